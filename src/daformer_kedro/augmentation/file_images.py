"""Images that stay files: decoded by worker processes, ahead of need."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_decoding import eval_view, open_rgb, random_view

_MOST_WORKERS = 16
_FEW_IMAGES = 256  # starting workers would take longer than decoding these
_BATCHES_AHEAD = 4
_LARGEST_SEED = 2**62
_SECONDS_TO_END = 5
_EVAL_VIEW = -1

Order = list[list[tuple[int, int]]]
"""For each batch, rows and the seeds of their random views."""


class FileImages:
    """Some images of an index, as batches of pixels.

    Memory holds the paths and a few batches, however many images there are.

    Args:
        root: folder that the paths start from.
        paths: (N,) relative paths.
        image_size: side S of what the network reads, in pixels.
        resize: short side before the centre crop in evaluation.
        area: range of the share of the image that a random view shows; ``None`` for
            that crop in training too.
        num_workers: processes that decode; ``None`` for one per core, none for a few
            images.
    """

    def __init__(
        self,
        root: Path,
        paths: NDArray[np.str_],
        *,
        image_size: int,
        resize: int | None = None,
        area: tuple[float, float] | None = None,
        num_workers: int | None = None,
    ) -> None:
        self.image_size = image_size
        self._order: Order = []
        self._files = _Files(root, paths, image_size, resize or image_size, area)
        if num_workers is None:
            cores = min(_MOST_WORKERS, os.cpu_count() or 1)
            num_workers = 0 if len(paths) <= _FEW_IMAGES else cores
        self._num_workers = num_workers
        self._loader: DataLoader[Tensor] | None = None

    def __len__(self) -> int:
        return len(self._files)

    def to_plain(self) -> dict[str, Any]:
        """Return what finds the images, as plain values."""
        files = self._files
        return {
            "root": str(files.root),
            "paths": files.paths.tolist(),
            "image_size": self.image_size,
            "resize": files.resize,
            "area": files.area,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> FileImages:
        """Read what :meth:`to_plain` returned."""
        root, paths = Path(plain["root"]), np.array(plain["paths"], np.str_)
        options = {name: plain[name] for name in ("image_size", "resize", "area")}
        return cls(root, paths, **options)

    def random_batches(
        self, batches: Sequence[Tensor], generator: torch.Generator
    ) -> Iterator[Tensor]:
        """A random view of each image of the given batches.

        The seeds of all views are drawn here, at once, so that neither the number of
        workers nor their speed changes a pixel.

        Args:
            batches: rows of each batch.
            generator: source of the seeds.

        Yields:
            (len(rows), 3, S, S) uint8 on the CPU.

        Raises:
            InputError: a file cannot be decoded; the message names it.
        """
        rows = torch.cat(list(batches)).tolist()
        seeds = torch.randint(
            _LARGEST_SEED, (len(rows),), generator=generator, device=generator.device
        ).tolist()
        pairs = iter(zip(rows, seeds, strict=True))
        yield from self._read([[next(pairs) for _ in batch] for batch in batches])

    def test_batches(self, batch_size: int) -> Iterator[Tensor]:
        """Batches of all images in order, cropped for evaluation."""
        rows = range(len(self))
        yield from self._read(
            [
                [(row, _EVAL_VIEW) for row in rows[start : start + batch_size]]
                for start in range(0, len(self), batch_size)
            ]
        )

    def _read(self, order: Order) -> Iterator[Tensor]:
        self._order[:] = order
        if self._loader is None:
            workers = self._num_workers
            self._loader = DataLoader(
                self._files,
                batch_sampler=self._order,
                num_workers=workers,
                prefetch_factor=_BATCHES_AHEAD if workers else None,
                persistent_workers=workers > 0,
                pin_memory=torch.cuda.is_available(),
                worker_init_fn=_leave_ending_to_parent,
            )
        try:
            yield from self._loader
        except InputError as error:
            # A worker's error comes with the worker's traceback in its message.
            start = f"\n{InputError.__module__}.{InputError.__qualname__}: "
            raise InputError(str(error).rpartition(start)[2].strip()) from error


def _leave_ending_to_parent(worker: int) -> None:
    """Let a worker outlive a signal to end for a moment, until its parent ends it.

    Terminals and schedulers send their signals to all processes of a job. A worker that
    ended at once would be an error in its parent, often before that has the signal.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_later)


def _end_later(*_: Any) -> None:
    timer = threading.Timer(_SECONDS_TO_END, os._exit, [0])
    timer.daemon = True
    timer.start()


class _Files(Dataset[Tensor]):
    """Decodes one image for a row and a seed; workers get a copy."""

    def __init__(
        self,
        root: Path,
        paths: NDArray[np.str_],
        image_size: int,
        resize: int,
        area: tuple[float, float] | None,
    ) -> None:
        self.root = root
        # An array, not a list: workers would copy a list's pages as they count
        # references to its strings.
        self.paths = paths
        self.image_size = image_size
        self.resize = resize
        self.area = area

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row_and_seed: tuple[int, int]) -> Tensor:
        row, seed = row_and_seed
        image = open_rgb(self.root / str(self.paths[row]))
        if self.area is None or seed == _EVAL_VIEW:
            pixels = eval_view(image, self.resize, self.image_size)
        else:
            pixels = random_view(image, self.area, self.image_size, seed)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
