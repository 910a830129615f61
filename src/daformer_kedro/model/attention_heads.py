"""Check of the number of attention heads, for modules that have any."""

from __future__ import annotations

from daformer_kedro.config import ModelConfig
from daformer_kedro.errors import InputError


def check_heads(config: ModelConfig) -> None:
    """Make sure that the heads divide the width.

    Raises:
        InputError: they do not.
    """
    width = config.embed_dim
    if width % config.num_heads:
        divisors = [n for n in range(1, width + 1) if width % n == 0]
        raise InputError(
            f"model.num_heads = {config.num_heads} does not divide model.embed_dim = "
            f"{width}; allowed: {', '.join(map(str, divisors))}"
        )
