"""The residual of attention, from image tokens to tokens of each task."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def add_to_each_task(
    x: Tensor, external: Tensor | None, internal: Tensor, keep: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Add to an image's tokens what the heads attended to, for each task.

    y = x + keep · (internal + external). Written out, these are four passes over
    tensors that grow with the tasks, and as many backward; here it is two each way.

    Args:
        x: (B, N, D) tokens.
        external: (B, H, N, d) attention that all tasks share, or ``None``.
        internal: (B, H, N, T, d) attention of each task.
        keep: (T, B) factors, or ``None`` for 1.

    Returns:
        y (T, B, N, D) of the type of ``internal``, and its mean over the tokens
        (T, B, D), in float32 unless all are float64.
    """
    if torch.compiler.is_compiling():
        attended = internal.permute(3, 0, 2, 1, 4)
        if external is not None:
            attended = attended + external.transpose(1, 2)
        attended = attended.flatten(3)
        if keep is not None:
            attended = keep[:, :, None, None] * attended
        y = (x + attended).to(internal.dtype)
        return y, y.mean(dim=2, dtype=_type_of_means(x))
    return _AddToEachTask.apply(x, external, internal, keep)


def _type_of_means(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


class _AddToEachTask(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        external: Tensor | None,
        internal: Tensor,
        keep: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        heads, width = internal.shape[1], internal.shape[4]
        attended = internal.permute(3, 0, 2, 1, 4)  # (T, B, N, H, d)
        y = torch.empty(attended.shape, dtype=internal.dtype, device=x.device)
        image = x.unflatten(2, (heads, width))
        if keep is None:
            if external is not None:
                image = image + external.transpose(1, 2)
            torch.add(attended, image, out=y)
        else:
            scaled = attended
            if external is not None:
                scaled = torch.add(attended, external.transpose(1, 2), out=y)
            torch.addcmul(image, keep[:, :, None, None, None], scaled, out=y)
        ctx.save_for_backward(keep)
        ctx.has_external = external is not None
        ctx.shape = internal.shape
        y = y.flatten(3)
        return y, y.mean(dim=2, dtype=_type_of_means(x))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, of_y: Tensor, of_mean: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor, None]:
        (keep,) = ctx.saved_tensors
        share = of_mean / of_y.shape[2]  # (T, B, D) of each token
        of_x = of_y.sum(dim=0)
        torch.add(of_x, share.sum(dim=0)[:, None], out=of_x)
        of_internal = torch.empty(ctx.shape, dtype=of_y.dtype, device=of_y.device)
        heads, width = ctx.shape[1], ctx.shape[4]
        target = of_internal.permute(3, 0, 2, 1, 4)
        whole = of_y.unflatten(3, (heads, width))
        share = share.unflatten(2, (heads, width))[:, :, None]
        if keep is None:
            torch.add(whole, share, out=target)
        else:
            factors = keep[:, :, None, None, None]
            torch.addcmul(factors * share, factors, whole, out=target)
        of_external = of_internal.sum(dim=3) if ctx.has_external else None
        return of_x, of_external, of_internal, None
