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
        train_views: (N, V - 1, n, W) float16, of augmented versions of the training
            images; ``None`` where V is 1.
    """

    train_tokens: NDArray[np.float16]
    test_tokens: NDArray[np.float16]
    image_size: int
    num_channels: int
    train_views: NDArray[np.float16] | None = None

    @property
    def num_views(self) -> int:
        """Versions V of a training image, of which the first is the image as it is."""
        return 1 if self.train_views is None else 1 + self.train_views.shape[1]

    def views(self, sample_index: Iterable[int]) -> NDArray[np.float16]:
        """Return tokens (k, V, n, W) of all versions of some training images.

        Args:
            sample_index: positions among them.
        """
        rows = np.asarray(sample_index)
        plain = np.asarray(self.train_tokens[rows])[:, None]
        if self.train_views is None:
            return plain
        return np.concatenate([plain, self.train_views[rows]], axis=1)

    def tokens(
        self, split: Literal["train", "test"], sample_index: Iterable[int]
    ) -> NDArray[np.float16]:
        """Return tokens of some images of a split; a map reads only these.

        Args:
            split: ``train`` or ``test``.
            sample_index: positions in the split.
        """
        tokens = self.train_tokens if split == "train" else self.test_tokens
        return np.asarray(tokens[np.asarray(sample_index)])
