"""Steps of the training loop on meta tensors, as CUDA would run them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from daformer_kedro.learning import chunks, phase_setup, trainer, training
from daformer_kedro.learning.graph import StepInput
from daformer_kedro.learning.optimisation import ConstantSchedule
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.learning.trainer import Trainer
from daformer_kedro.learning.training import finetune_on_memory, train_task
from daformer_kedro.model import DAFormer
from on_gpu.recipe import configuration, learning_settings

META = torch.device("meta")
BATCH_SIZE, CLASSES_PER_TASK, IMAGE_SIZE = 128, 10, 32
_GPU_MEMORY = 80 * 2**30

# Of CUDA's autocast, as far as the package calls them.
_IN_HALF = {"linear", "matmul", "bmm", "mm", "conv2d", "einsum", "addmm", "baddbmm"}
_IN_HALF |= {"__matmul__", "scaled_dot_product_attention"}
_IN_FLOAT32 = {"softmax", "log_softmax", "layer_norm", "normalize", "kl_div", "norm"}
_IN_FLOAT32 |= {"binary_cross_entropy_with_logits", "sum", "exp", "log", "pow"}


class ImitatedCuda(TorchFunctionMode):
    """Inside, operations on meta tensors take CUDA's types and CUDA's attention."""

    def __init__(self) -> None:
        super().__init__()
        self.casts = False

    @contextmanager
    def autocast(self, enabled: bool = True) -> Iterator[None]:
        """Cast inside the block as autocast to bfloat16 does, or not at all."""
        before, self.casts = self.casts, enabled
        try:
            yield
        finally:
            self.casts = before

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if isinstance(kwargs.get("generator"), _MetaGenerator):
            del kwargs["generator"]  # there is none for meta tensors
        name = getattr(func, "__name__", "")
        if self.casts and name in _IN_HALF:
            args, kwargs = tree_map(_to_half, (args, kwargs))
        elif self.casts and name in _IN_FLOAT32:
            args, kwargs = tree_map(_to_float32, (args, kwargs))
        if name == "scaled_dot_product_attention":
            return _attention(*args)
        return func(*args, **kwargs)


def _to_half(value: Any) -> Any:
    is_float = torch.is_tensor(value) and value.is_floating_point()
    return value.to(torch.bfloat16) if is_float else value


def _to_float32(value: Any) -> Any:
    is_half = torch.is_tensor(value) and value.dtype == torch.bfloat16
    return value.float() if is_half else value


def _attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention without a mask, by the kernel that CUDA takes for the type."""
    if query.dtype == torch.bfloat16:
        attend = torch.ops.aten._scaled_dot_product_flash_attention
        return attend(query, key, value)[0]
    attend = torch.ops.aten._scaled_dot_product_efficient_attention
    return attend(query, key, value, None, torch.is_grad_enabled())[0]


class _MetaGenerator(torch.Generator):
    device = META


class _FusedAdamW:
    """Stands for the fused optimiser, whose two kernels a step have no meta form."""

    def __init__(
        self, parameters: Iterable[Tensor], rate: float, decay: float, *_: object
    ) -> None:
        self._parameters = [p for p in parameters if p.requires_grad]
        self.param_groups = [{"initial_lr": rate, "weight_decay": decay}]

    def step(self) -> None:
        """Do nothing."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None


@dataclass(frozen=True)
class Case:
    """A step to take.

    Attributes:
        num_tasks: tasks so far.
        precision: ``training.precision``.
        rho: of sharpness-aware minimisation.
        phase: ``train`` or ``finetune``.
    """

    num_tasks: int
    precision: str
    rho: float
    phase: str = "train"


def run_epoch(
    case: Case,
    num_batches: int,
    form: Mapping[str, Any],
    *,
    step: AbstractContextManager[Any],
    epoch: AbstractContextManager[Any],
) -> None:
    """Run an epoch of the published recipe on meta tensors.

    Args:
        case: see :class:`Case`.
        num_batches: steps of the epoch.
        form: section ``model`` of the parameters, where it is another than published.
        step: entered around each step.
        epoch: entered around all of it: augmentation and bookkeeping too.
    """
    config = configuration(
        {
            "training": {
                "epochs": 1,
                "batch_size": BATCH_SIZE,
                "compile": "off",
                "precision": case.precision,
                "sharpness": {"rho": case.rho, "first_task": True},
            },
            "finetuning": {"epochs": 1, "batch_size": BATCH_SIZE},
            "model": form,
        }
    )
    num_images = BATCH_SIZE * num_batches
    shape = (num_images, 3, IMAGE_SIZE, IMAGE_SIZE)
    data = TaskImages(
        torch.empty(shape, dtype=torch.uint8, device=META),
        torch.empty(num_images, dtype=torch.int64, device=META),
    )

    def model(count: int) -> DAFormer:
        return DAFormer(
            config.model,
            image_size=IMAGE_SIZE,
            in_channels=3,
            task_sizes=[CLASSES_PER_TASK] * count,
            divergence=count > 1,
        ).to(META)

    settings = learning_settings(config)
    with _imitated(step), epoch:
        student = model(case.num_tasks)
        if case.phase == "finetune":
            student.remove_divergence_head()
            finetune_on_memory(student, data, settings, config.finetuning)
        else:
            teacher = None
            if case.num_tasks > 1:
                teacher = model(case.num_tasks - 1)
                teacher.remove_divergence_head()  # as after each task
            train_task(student, data, settings, teacher=teacher)


_tolist = torch.Tensor.tolist


def _read(tensor: Tensor) -> Any:
    """Return a tensor's values, made up where it has none."""
    return [0.5] * len(tensor) if tensor.device == META else _tolist(tensor)


@contextmanager
def _imitated(step: AbstractContextManager[Any]) -> Iterator[None]:
    """Replace what needs a device or values."""
    cuda = ImitatedCuda()
    ordinary = Trainer._step

    def entered(self: Trainer, given: StepInput) -> dict[str, Tensor]:
        with step:
            return ordinary(self, given)

    def autocast(_: torch.device, precision: torch.dtype) -> Any:
        return cuda.autocast() if precision == torch.bfloat16 else nullcontext()

    with ExitStack() as stack:
        for owner, name, stand_in in (
            (training, "make_optimiser", _FusedAdamW),
            (training, "make_schedule", lambda used, *_: ConstantSchedule(used)),
            (phase_setup, "phase_generator", lambda *_: _MetaGenerator()),
            (chunks, "_memory", lambda _: _GPU_MEMORY),
            (trainer, "autocast", autocast),
            (torch, "autocast", lambda _, enabled: cuda.autocast(enabled)),
            (torch, "is_autocast_enabled", lambda _: cuda.casts),
            (torch, "get_autocast_dtype", lambda _: torch.bfloat16),
            (Trainer, "_step", entered),
            (torch.Tensor, "tolist", _read),
        ):
            stack.enter_context(mock.patch.object(owner, name, stand_in))
        stack.enter_context(cuda)
        yield
