"""Training on resident images never waits for the device, and mixes no devices.

Epochs are traced with fake CUDA tensors, with a GPU or without: they have a device, a
shape and a type, but no values. Reading one is an error, and so is an operation on
tensors of two devices. A copy between host and device, which waits too, is one as well.
The backward pass cannot run on fake tensors without a GPU; it runs on meta tensors,
which have no values either, in ``tests/benchmarks/test_kernels.py``.
"""

import itertools
import random
from dataclasses import replace

import pytest
import torch
from torch._guards import active_fake_mode
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensor,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.cuda.amp import common
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from daformer_kedro.augmentation import rand_augment_operations
from daformer_kedro.augmentation.rand_augment import RandAugment, parse_policy
from daformer_kedro.augmentation.rand_augment_operations import (
    Groups,
    apply_operations,
    group_by_operation,
)
from daformer_kedro.config import (
    AugmentationConfig,
    FinetuningConfig,
    ModelConfig,
    PreprocessingConfig,
    RandomAffineConfig,
    SharpnessConfig,
    TrainingConfig,
)
from daformer_kedro.config.run import LossesConfig
from daformer_kedro.learning import chunks, phase_setup
from daformer_kedro.learning.phase import LearningSettings
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.learning.trainer import Trainer
from daformer_kedro.learning.training import finetune_on_memory, train_task
from daformer_kedro.model import DAFormer
from daformer_kedro.objectives.knn_distillation import KNNDistillation
from daformer_kedro.objectives.pooled_distillation import PooledDistillation

GPU = torch.device("cuda", 0)
SEED = torch.Generator().manual_seed(0)


class FakeGenerator(torch.Generator):
    """Says that it lies on the GPU; fake tensors need no numbers from it."""

    device = GPU


class CopyError(Exception):
    """Something was copied between host and device."""


class NoCopies(TorchDispatchMode):
    """Inside, nothing goes from the host to the device or back."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        came, went = (
            {leaf.device.type for leaf in tree_leaves(tree) if torch.is_tensor(leaf)}
            for tree in ((args, kwargs), result)
        )
        # Uploads of the host's tables; a GPU gets them when it comes to them.
        is_ahead = came == {"cpu"} and (kwargs or {}).get("non_blocking", False)
        if came and went and came != went and not is_ahead:
            raise CopyError(f"{func} of {came} gave {went}")
        return result


def backward(total):
    """Give every leaf of the graph a gradient."""
    seen, ahead = set(), [total.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            node.variable.grad = torch.zeros_like(node.variable)
        ahead.extend(following for following, _ in node.next_functions)


def on_real_draws(self, images, generator):
    """Have the draws, which lie on the host, hold numbers."""
    with unset_fake_temporarily():
        policy = parse_policy("rand-m9-mstd0.5-inc1")
        drawn = RandAugment(policy, (0.5,) * 3, "cpu").draw(len(images), SEED)
    return apply_operations(images, *drawn, self._fill)


def grouped(numbers, arguments):
    """Group real draws; what goes to the device has to be fake."""
    mode = active_fake_mode()
    with unset_fake_temporarily():
        *tables, counts = group_by_operation(numbers, arguments)
    return Groups(*map(mode.from_tensor, tables), counts)


def fused_adamw(parameters, *args, lr, **options):
    """Stand for the kernel, which has no fake form with a rate on the GPU."""
    assert lr.device == GPU
    for parameter in parameters:
        parameter.mul_(lr)


@pytest.fixture
def reads(monkeypatch):
    """Inside, tensors are fake and epochs are watched; lists what is read."""
    shapes = []
    run_epoch, make_tensor = Trainer._run_epoch, torch.tensor

    def tolist(tensor):
        shapes.append(tuple(tensor.shape))
        return [0.5] * len(tensor)

    def tensor(values, *, device=None, **options):
        made = make_tensor(values, **options)  # cannot make a fake one on a GPU
        return made if device is None else made.to(device)

    def watched(self, *arguments):
        with NoCopies():
            return run_epoch(self, *arguments)

    monkeypatch.setattr(FakeTensor, "tolist", tolist)
    monkeypatch.setattr(torch.Tensor, "backward", backward)
    monkeypatch.setattr(torch, "tensor", tensor)
    monkeypatch.setattr(Trainer, "_run_epoch", watched)
    monkeypatch.setattr(phase_setup, "phase_generator", lambda *args: FakeGenerator())
    monkeypatch.setattr(RandAugment, "__call__", on_real_draws)
    monkeypatch.setattr(rand_augment_operations, "group_by_operation", grouped)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(torch, "_fused_adamw_", fused_adamw)
    monkeypatch.setattr(chunks, "_memory", lambda device: 2**30)
    # what turns autocast off on a machine without a GPU
    monkeypatch.setattr(common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **options: True)
    with FakeTensorMode():
        yield shapes


def settings(epochs=2, **changes):
    """All kinds of chance, on resident images."""
    return LearningSettings(
        training=TrainingConfig(
            epochs=epochs,
            batch_size=8,
            clip_norm=1.0,
            compile="off",
            graph="off",
            **changes,
        ),
        losses=LossesConfig(),
        augmentation=AugmentationConfig(
            crop_padding=1,
            horizontal_flip=0.5,
            random_affine=RandomAffineConfig(degrees=5.0),
            rand_augment="rand-m9-mstd0.5-inc1",
            random_erasing=0.3,
            mixup_alpha=0.8,
            cutmix_alpha=1.0,
            repeats=2,
        ),
        preprocessing=PreprocessingConfig((0.5,) * 3, (0.25,) * 3),
        seed=0,
    )


def model_of(task_sizes, **form):
    """A model on the fake GPU."""
    config = ModelConfig(embed_dim=16, depth=3, num_heads=2, patch_size=2, **form)
    with unset_fake_temporarily():  # drawing weights reads some
        model = DAFormer(
            config,
            image_size=8,
            in_channels=3,
            task_sizes=task_sizes,
            divergence=len(task_sizes) > 1,
        )
    for module in model.modules():
        for name, old in list(module.named_parameters(recurse=False)):
            new = torch.empty(old.shape, device=GPU)
            module._parameters[name] = torch.nn.Parameter(new)
        for name, old in list(module.named_buffers(recurse=False)):
            new = torch.empty(old.shape, dtype=old.dtype, device=GPU)
            module._buffers[name] = new
    return model


def data():
    """Images and targets on the fake GPU."""
    images = torch.zeros(24, 3, 8, 8, dtype=torch.uint8, device=GPU)
    return TaskImages(images, torch.zeros(24, dtype=torch.int64, device=GPU))


def train(
    precision="float32", losses=None, augmentation=None, rho=0.5, epochs=2, **form
):
    chosen = settings(
        epochs=epochs, precision=precision, sharpness=SharpnessConfig(rho=rho)
    )
    teacher = model_of([2, 2], **form)
    teacher.remove_divergence_head()
    num_embeddings = len(teacher.eval()(torch.zeros(1, 3, 8, 8, device=GPU)).embeddings)
    train_task(
        model_of([2, 2, 2], **form),
        data(),
        replace(
            chosen,
            losses=losses or chosen.losses,
            augmentation=replace(chosen.augmentation, **(augmentation or {})),
        ),
        teacher=teacher,
        features=torch.zeros(24, 16 * num_embeddings, device=GPU),
        neighbours=torch.zeros(24, 3, dtype=torch.int64, device=GPU),
    )


FACTORS = {
    "form": (
        {"edition": "S"},
        {"edition": "M"},
        {"attention": ("external",)},
        {"attention": ("internal",)},
        {"decoder": "task_attention"},
        {"decoder": "mean"},
    ),
    "scope": ("batch", "dataset", None),
    "pooled": (0.0, 0.1),
    "memory": (2**30, 2**10),
    "rho": (0.0, 0.5),
    "mixing": ((0.0, 0.0), (0.8, 0.0), (0.0, 1.0), (0.8, 1.0)),
    "erasing": (0.0, 0.3),
    "affine": (None, RandomAffineConfig(degrees=5.0)),
    "precision": ("float32", "bfloat16"),
}


def covering(factors):
    """Combinations such that every two values meet in one of them."""
    sizes = [range(len(values)) for values in factors.values()]
    numbers = range(len(sizes))
    open_pairs = {
        (a, x, b, y)
        for a, b in itertools.combinations(numbers, 2)
        for x, y in itertools.product(sizes[a], sizes[b])
    }
    draw, rows = random.Random(0), []
    while open_pairs:
        trials = []
        for _ in range(30):
            row = [draw.choice(size) for size in sizes]
            a, x, b, y = draw.choice(sorted(open_pairs))
            row[a], row[b] = x, y
            met = {
                (a, row[a], b, row[b]) for a, b in itertools.combinations(numbers, 2)
            }
            trials.append((len(met & open_pairs), row, met))
        _, row, met = max(trials, key=lambda trial: trial[0])
        open_pairs -= met
        rows.append({n: v[c] for (n, v), c in zip(factors.items(), row, strict=True)})
    return rows


@pytest.mark.parametrize("case", covering(FACTORS), ids=lambda case: case["precision"])
def test_no_combination_of_settings_waits(reads, monkeypatch, case):
    """Every two values together; each combination reads once in its one epoch."""
    monkeypatch.setattr(chunks, "_memory", lambda device: case["memory"])
    knn = {"weight": 0.0} if case["scope"] is None else {"scope": case["scope"]}
    mixup, cutmix = case["mixing"]
    train(
        case["precision"],
        LossesConfig(
            pooled_distillation=PooledDistillation(weight=case["pooled"]),
            knn_distillation=KNNDistillation(**knn),
        ),
        {
            "mixup_alpha": mixup,
            "cutmix_alpha": cutmix,
            "random_erasing": case["erasing"],
            "random_affine": case["affine"],
            "repeats": 1,
        },
        case["rho"],
        epochs=1,
        **case["form"],
    )
    assert len(reads) == 1


def test_so_does_training_in_little_memory(reads, monkeypatch, caplog):
    monkeypatch.setattr(chunks, "_memory", lambda device: 2**10)
    with caplog.at_level("INFO"):
        train(edition="S")
    assert "computes them twice" in caplog.text
    assert len(reads) == 2


def test_finetuning_reads_once_an_epoch(reads):
    model = model_of([2, 2])
    model.remove_divergence_head()
    finetune_on_memory(
        model, data(), settings(), FinetuningConfig(epochs=2, batch_size=8)
    )
    assert len(reads) == 2


@pytest.mark.parametrize(
    ("wait", "error"),
    [
        (lambda total: total.item(), DataDependentOutputException),
        (lambda total: total.cpu(), CopyError),
        (lambda total: torch.tensor([1.0], device=total.device), CopyError),
    ],
)
def test_waiting_would_be_noticed(reads, monkeypatch, wait, error):
    step = Trainer._step

    def waits(self, given):
        result = step(self, given)
        wait(result["total"])
        return result

    monkeypatch.setattr(Trainer, "_step", waits)
    with pytest.raises(error):
        train(edition="S")


def test_a_tensor_of_another_device_would_be_noticed(reads):
    wrong = TaskImages(data().images, torch.zeros(24, dtype=torch.int64))
    with pytest.raises(RuntimeError, match="same device"):
        train_task(model_of([2]), wrong, settings())
