"""Sharpness-aware minimisation: climb to a nearby worse point, step from there.

Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization",
ICLR 2021; adaptive form: Kwon et al., "ASAM", ICML 2021.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

# Keeps a zero gradient from dividing by zero, as in the released code.
_SMALLEST_NORM = 1e-12


@torch.no_grad()
def ascend(
    parameters: Sequence[torch.Tensor], rho: float, adaptive: bool = True
) -> list[torch.Tensor]:
    """Move the weights up their gradient, in place.

    ε = ρ · w² · g / ‖ |w| · g ‖₂ where adaptive, else ε = ρ · g / ‖g‖₂, with the norm
    over all parameters. Those without a gradient stay.

    The former weights are returned as they were: w + ε - ε is not w in floating
    point, so keeping ε would let the weights drift.

    Args:
        parameters: weights with the gradient of the loss.
        rho: radius ρ of the ascent.
        adaptive: scale the ascent by the squared weights.

    Returns:
        What :func:`restore` needs, one tensor per parameter.
    """
    moved = [p for p in parameters if p.grad is not None]
    originals = [p.detach() if p.grad is None else p.clone() for p in parameters]
    if not moved:
        return originals
    gradients = [p.grad for p in moved if p.grad is not None]
    scaled = torch._foreach_mul(gradients, moved) if adaptive else gradients
    norm = torch.nn.utils.get_total_norm(scaled)
    directions = torch._foreach_mul(scaled, moved) if adaptive else scaled
    steps = torch._foreach_mul(directions, rho / (norm + _SMALLEST_NORM))
    torch._foreach_add_(moved, steps)
    return originals


@torch.no_grad()
def restore(
    parameters: Sequence[torch.Tensor], originals: Sequence[torch.Tensor]
) -> None:
    """Put the weights back to the bit, keeping the gradients of the ascent point.

    Args:
        parameters: the same ones, in the same order, as were given to :func:`ascend`.
        originals: its result.
    """
    torch._foreach_copy_(list(parameters), list(originals))
