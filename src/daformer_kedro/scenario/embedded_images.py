"""Images as an encoder embedded them, in the place of their pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class EmbeddedImages:
    """Tokens of all images of a source; the arrays may be memory maps.

    Attributes:
        train_tokens: (N, n, W) float16, of training images; n is 1 for their mean.
        test_tokens: (M, n, W) float16.
        image_size: side of the images they were made of, in pixels.
        num_channels: channels of these.
    """

    train_tokens: NDArray[np.float16]
    test_tokens: NDArray[np.float16]
    image_size: int
    num_channels: int

    def tokens(
        self, split: Literal["train", "test"], rows: Iterable[int]
    ) -> NDArray[np.float16]:
        """Tokens of some images of a split; of a map only these are read.

        Args:
            split: ``train`` or ``test``.
            rows: positions in the split.
        """
        tokens = self.train_tokens if split == "train" else self.test_tokens
        return np.asarray(tokens[np.asarray(rows)])
