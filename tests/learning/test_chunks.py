"""How much is computed at a time."""

import pytest
import torch

from daformer_kedro.config import ModelConfig
from daformer_kedro.learning import chunks
from daformer_kedro.learning.chunks import inference_chunks, training_chunks
from daformer_kedro.model import DAFormer

CPU = torch.device("cpu")


def make(num_tasks=3, decoder="dual_attention"):
    config = ModelConfig(
        embed_dim=24, num_heads=3, depth=2, patch_size=4, decoder=decoder
    )
    return DAFormer(
        config, image_size=16, in_channels=3, task_sizes=[2] * num_tasks
    ).eval()


def bytes_of(model):
    return 4 * model.decoder.numbers_per_task(16)


@pytest.mark.parametrize(
    ("cache", "batch_size", "num_images", "num_tasks"),
    [
        (1000, 512, 500, 2),  # more images than fit with two tasks
        (1000, 100, 100, 10),
        (0, 512, 1, 2),  # never less than one image and two tasks
    ],
)
def test_a_cpu_looks_at_what_fits_its_cache(
    monkeypatch, cache, batch_size, num_images, num_tasks
):
    model = make()
    monkeypatch.setattr(chunks, "_CPU_CACHE", cache * bytes_of(model))
    images, tasks = inference_chunks(model, batch_size, CPU)
    assert (images, tasks.num_tasks) == (num_images, num_tasks)


def test_a_gpu_looks_at_the_whole_batch(monkeypatch):
    model = make()
    monkeypatch.setattr(chunks, "_memory", lambda device: 16 * 1000 * bytes_of(model))
    images, tasks = inference_chunks(model, 100, torch.device("cuda"))
    assert (images, tasks.num_tasks) == (100, 10)


@pytest.mark.parametrize(
    ("device", "ranks", "memory", "expected"),
    [
        # three tasks of eight images need 24 times what one of one image needs
        ("cuda", 1, 48, (None, False)),
        ("cuda", 1, 47, (2, True)),
        ("cuda", 2, 48, (None, False)),  # a GPU each
        ("cpu", 1, 48, (6, False)),
        ("cpu", 2, 95, (6, True)),  # the same memory for both
    ],
)
def test_training_computes_twice_what_memory_cannot_hold(
    monkeypatch, caplog, device, ranks, memory, expected
):
    model = make()
    one = bytes_of(model)
    monkeypatch.setattr(chunks, "_CPU_CACHE", 48 * one)
    monkeypatch.setattr(chunks, "_memory", lambda device: memory * one)
    with caplog.at_level("INFO"):
        found = training_chunks(model, 8, torch.device(device), torch.float32, ranks)
    assert (found.num_tasks, found.recompute) == expected
    assert ("computes them twice" in caplog.text) == found.recompute


def test_bfloat16_takes_half(monkeypatch):
    model = make()
    monkeypatch.setattr(chunks, "_memory", lambda device: 24 * bytes_of(model))
    gpu = torch.device("cuda")
    assert training_chunks(model, 8, gpu, torch.float32).recompute
    assert not training_chunks(model, 8, gpu, torch.bfloat16).recompute


def test_activations_are_of_the_size_that_is_assumed():
    """What autograd keeps of a task is near the estimate, and below it."""
    sizes = []
    for num_tasks in (3, 5):
        model, kept = make(num_tasks), {}

        def keep(tensor, kept=kept):
            kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model(torch.randn(64, 3, 16, 16))
        sizes.append(sum(t.untyped_storage().nbytes() for t in kept.values()))
    one = (sizes[1] - sizes[0]) / 2 / 64
    assert 0.4 * bytes_of(model) < one < bytes_of(model)
