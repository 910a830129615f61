"""How much is computed at a time."""

import pytest
import torch

from daformer_kedro.config import ModelConfig
from daformer_kedro.learning import chunks
from daformer_kedro.learning.chunks import (
    images_at_once,
    inference_chunks,
    training_chunks,
)
from daformer_kedro.model import DAFormer

CPU = torch.device("cpu")
FORMS = [{"edition": "S"}, {"edition": "M"}, {"decoder": "task_attention"}]


def make(num_tasks=3, width=24, image_size=16, **form):
    config = ModelConfig(embed_dim=width, num_heads=3, depth=2, patch_size=4, **form)
    return DAFormer(
        config, image_size=image_size, in_channels=3, task_sizes=[2] * num_tasks
    ).eval()


def bytes_of(model, itemsize=4):
    return model.decoder.bytes_per_task(model.encoder.num_tokens, itemsize)


@pytest.mark.parametrize(
    ("cache", "batch_size", "tasks", "num_images", "at_once"),
    [
        (1000, 512, 3, 500, 2),  # more images than fit with two tasks
        (1000, 512, 1, 512, 2),
        (300, 512, 1, 300, 2),
        (1000, 100, 3, 100, 10),
        (0, 512, 3, 1, 2),  # never less than one image and two tasks
    ],
)
def test_a_cpu_looks_at_what_stays_in_its_cache(
    monkeypatch, cache, batch_size, tasks, num_images, at_once
):
    model = make(tasks)
    monkeypatch.setattr(chunks, "_room", lambda device: cache * bytes_of(model))
    images = images_at_once(model, batch_size, CPU)
    found = inference_chunks(model, images, CPU)
    assert (images, found.at_once) == (num_images, at_once)


def test_a_gpu_looks_at_the_whole_batch(monkeypatch):
    model = make()
    monkeypatch.setattr(chunks, "_memory", lambda device: 16 * 1000 * bytes_of(model))
    gpu = torch.device("cuda")
    images = images_at_once(model, 100, gpu)
    found = inference_chunks(model, images, gpu)
    assert (images, found.at_once) == (100, 10)


@pytest.mark.parametrize(
    ("device", "ranks", "memory", "expected"),
    [
        # five tasks of eight images need 40 times what one of one image needs
        ("cuda", 1, 80, (None, False)),
        ("cuda", 1, 79, (2, True)),
        ("cuda", 2, 80, (None, False)),  # a GPU each
        ("cpu", 1, 80, (4, False)),
        ("cpu", 2, 159, (4, True)),  # the same memory for both
    ],
)
def test_training_computes_twice_what_memory_cannot_hold(
    monkeypatch, caplog, device, ranks, memory, expected
):
    model = make(5)
    one = bytes_of(model)
    monkeypatch.setattr(chunks, "_CPU_BYTES", 32 * one)
    monkeypatch.setattr(chunks, "_BYTES_A_THREAD", 0)
    monkeypatch.setattr(chunks, "_memory", lambda device: memory * one)
    with caplog.at_level("INFO"):
        found = training_chunks(model, 8, torch.device(device), torch.float32, ranks)
    assert (found.at_once, found.recompute) == expected
    assert ("computes them twice" in caplog.text) == found.recompute


def test_what_cannot_be_cut_is_not_computed_twice(monkeypatch):
    monkeypatch.setattr(chunks, "_memory", lambda device: 1)
    found = training_chunks(make(2), 8, torch.device("cuda"), torch.float32)
    assert not found.recompute


def test_the_limit_of_a_container_counts(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(chunks, "_CONTAINER_LIMIT", limit)
    whole = chunks._memory(CPU)
    for text, expected in (("max\n", whole), ("123456\n", 123456)):
        limit.write_text(text)
        assert chunks._memory(CPU) == expected


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_activations_are_of_the_size_that_is_assumed(form, precision):
    """What autograd keeps of a task for an image, as it grows with both."""

    def kept(num_tasks, num_images):
        model, found = make(num_tasks, 96, 32, **form), {}

        def keep(tensor):
            found[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        images = torch.randn(num_images, 3, 32, 32)
        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            torch.autocast("cpu", precision, enabled=precision != torch.float32),
        ):
            model(images)
        return sum(tensor.untyped_storage().nbytes() for tensor in found.values())

    grown = [kept(5, images) - kept(3, images) for images in (8, 16)]
    one = (grown[1] - grown[0]) / 2 / 8
    assert 0.4 < one / bytes_of(make(3, 96, 32, **form), precision.itemsize) < 1
