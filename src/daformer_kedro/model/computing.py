"""The type that a network computes in, and its weights in that type.

Autocast to bfloat16 converts each weight and each input where it is used, keeps the
residuals in float32 and normalises there. Encoder and decoder read the type from it, and
compute in it from the patches to the last mean over tokens, with all weights of a pass
converted together. Whatever sums many numbers up does so in float32 inside its kernel:
products, normalisation, softmax and means. Without autocast nothing is converted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


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


def add_residual(x: Tensor, residual: Tensor, keep: Tensor | None) -> Tensor:
    """Add a residual, scaled for each image.

    Args:
        x: (B, N, D) tokens.
        residual: (B, N, D) of the same type.
        keep: (B,) factors of the residual, in float32, or ``None`` for 1.

    Returns:
        (B, N, D) of that type.
    """
    if keep is None:
        return x + residual
    factors = keep[:, None, None]
    if torch.compiler.is_compiling():
        return (x + factors * residual).to(x.dtype)
    return _AddScaled.apply(x, residual, factors)


class _AddScaled(torch.autograd.Function):
    """One operation forward and one backward, whatever the type of the factors."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, residual: Tensor, factors: Tensor) -> Tensor:
        ctx.save_for_backward(factors)
        return torch.addcmul(x, factors, residual, out=torch.empty_like(x))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (factors,) = ctx.saved_tensors
        scaled = torch.mul(gradient, factors, out=torch.empty_like(gradient))
        return gradient, scaled, None
