"""Sharpness-aware minimisation: climb to a nearby worse point, step from there.

Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization",
ICLR 2021; adaptive form: Kwon et al., "ASAM", ICML 2021.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Keeps a zero gradient from dividing by zero, as in the released code.
_SMALLEST_NORM = 1e-12


class Ascent:
    """A step up the gradient, and back to the weights as they were.

    The former weights are copied into buffers that stay from one step to the next:
    w + ε - ε is not w in floating point, so keeping ε would let the weights drift.

    Args:
        rho: radius ρ of the ascent.
        adaptive: scale the ascent by the squared weights.
    """

    def __init__(self, rho: float, adaptive: bool = True) -> None:
        self.rho = rho
        self.adaptive = adaptive
        self._moved: list[Tensor] = []
        self._originals: list[Tensor] = []

    @torch.no_grad()
    def climb(self, parameters: Sequence[Tensor]) -> None:
        """Move the weights up their gradient, in place.

        ε = ρ · w² · g / ‖ |w| · g ‖₂ where adaptive, else ε = ρ · g / ‖g‖₂, with the
        norm over all parameters. Those without a gradient stay.

        Args:
            parameters: weights with the gradient of the loss.
        """
        moved = [p for p in parameters if p.grad is not None]
        gradients = [p.grad for p in moved if p.grad is not None]
        self._keep(moved)
        if not moved:
            return
        factors: list[Tensor] | float = moved if self.adaptive else 1.0
        steps = torch._foreach_mul(gradients, factors)
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(steps)))
        if self.adaptive:
            torch._foreach_mul_(steps, moved)
        torch._foreach_mul_(steps, self.rho / (norm + _SMALLEST_NORM))
        torch._foreach_add_(moved, steps)

    @torch.no_grad()
    def return_to_start(self) -> None:
        """Put the weights back to the bit, keeping the gradients of the worse point."""
        if self._moved:
            torch._foreach_copy_(self._moved, self._originals)

    def _keep(self, moved: list[Tensor]) -> None:
        is_same = len(moved) == len(self._moved) and all(
            new is old for new, old in zip(moved, self._moved, strict=True)
        )
        if not is_same:
            self._moved = moved
            self._originals = [torch.empty_like(p) for p in moved]
        if moved:
            torch._foreach_copy_(self._originals, moved)
