"""The type that a network computes in, and its weights in that type.

Autocast to bfloat16 converts each weight and each input where it is used, keeps the
residuals in float32 and normalises there. Encoder and decoder read the type from it,
and compute in it from the patches to the last mean over tokens, with all weights of a
pass converted together. Whatever sums many numbers up does so in float32 inside its
kernel: products, normalisation, softmax and means. Without autocast nothing is
converted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

Prepared = TypeVar("Prepared")


def compute_type(x: Tensor) -> torch.dtype:
    """Return autocast's type on the device of a tensor; without it, the tensor's."""
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return x.dtype


def by_hand(x: Tensor) -> torch.autocast:
    """Return a context in which autocast converts nothing on a tensor's device."""
    return torch.autocast(x.device.type, enabled=False)


def cast_together(tensors: Sequence[Tensor], dtype: torch.dtype) -> Sequence[Tensor]:
    """Return the tensors in one type, converted by one operation both ways."""
    if not torch.is_grad_enabled():  # whoever watches modules sees no parameter
        tensors = [tensor.detach() for tensor in tensors]
    if all(tensor.dtype == dtype for tensor in tensors):
        return tensors
    if torch.compiler.is_compiling():
        return [tensor.to(dtype) for tensor in tensors]
    return _CastTogether.apply(dtype, *tensors)


class _CastTogether(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.dtypes = [tensor.dtype for tensor in tensors]
        return tuple(_converted(tensors, [dtype] * len(tensors)))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        wanted = [
            (number, gradient)
            for number, gradient in enumerate(gradients)
            if gradient is not None and ctx.needs_input_grad[1 + number]
        ]
        result: list[Tensor | None] = [None] * len(gradients)
        converted = _converted(
            [gradient for _, gradient in wanted],
            [ctx.dtypes[number] for number, _ in wanted],
        )
        for (number, _), gradient in zip(wanted, converted, strict=True):
            result[number] = gradient
        return (None, *result)


def _converted(
    tensors: Sequence[Tensor], dtypes: Sequence[torch.dtype]
) -> list[Tensor]:
    converted = [
        torch.empty(tensor.shape, dtype=dtype, device=tensor.device)
        for tensor, dtype in zip(tensors, dtypes, strict=True)
    ]
    if converted:
        torch._foreach_copy_(converted, list(tensors))
    return converted


class KeptWeights(Generic[Prepared]):
    """Weights as a pass computes with them, kept while they stay as they are.

    A teacher, or an encoder that does not train, prepares them once. Where any
    parameter trains, each pass prepares its own: a CUDA graph changes parameters
    unseen.
    """

    def __init__(self) -> None:
        self._key: tuple[object, ...] | None = None
        self._value: Prepared | None = None

    def get(
        self, module: nn.Module, dtype: torch.dtype, prepare: Callable[[], Prepared]
    ) -> Prepared:
        """Return what ``prepare`` makes of the module's parameters in a type."""
        parameters = list(module.parameters())
        changes = any(p.requires_grad or p.is_inference() for p in parameters)
        if changes or torch.compiler.is_compiling():
            self._key = self._value = None
            return prepare()
        seen = ((id(p), p._version, p.dtype, p.device) for p in parameters)
        key = (dtype, torch.is_inference_mode_enabled(), *seen)
        if self._value is None or key != self._key:
            self._key, self._value = key, prepare()
        return self._value


def add_residual(x: Tensor, residual: Tensor, factors: Tensor | None) -> Tensor:
    """Add a residual, scaled for each image.

    Args:
        x: of any shape.
        residual: of the same shape.
        factors: of the residual, to be expanded to its shape; ``None`` for 1.

    Returns:
        Of the shape and type of ``x``.
    """
    if factors is None:
        return x + residual
    if torch.compiler.is_compiling():
        return (x + factors * residual).to(x.dtype)
    return _AddScaled.apply(x, residual, factors)


class _AddScaled(torch.autograd.Function):
    """One operation forward and one backward, whatever the types."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, residual: Tensor, factors: Tensor) -> Tensor:
        ctx.save_for_backward(factors)
        ctx.dtype = residual.dtype
        return torch.addcmul(x, factors, residual, out=torch.empty_like(x))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (factors,) = ctx.saved_tensors
        scaled = torch.empty_like(gradient, dtype=ctx.dtype)
        return gradient, torch.mul(gradient, factors, out=scaled), None


def mean_over_tokens(x: Tensor) -> Tensor:
    """Return the mean over the tokens, (T, B, N, D) to (T, B, D)."""
    if torch.compiler.is_compiling():
        return x.mean(dim=2)
    return _MeanOverTokens.apply(x)


class _MeanOverTokens(torch.autograd.Function):
    """The gradient is one value for all tokens, which need not be written out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return x.mean(dim=2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return (gradient / ctx.shape[2])[:, :, None].expand(ctx.shape)
