"""Places for runs side by side, each with GPUs of its own where there are several."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from queue import Queue

VISIBLE = "CUDA_VISIBLE_DEVICES"


class Slots:
    """Places of runs that may be under way together.

    The GPUs that this process sees are dealt out evenly; with fewer GPUs than places,
    several runs share one. A single place keeps all of them.

    Args:
        jobs: number of places.
        deals_gpus: whether places have GPUs of their own.
    """

    def __init__(self, jobs: int, *, deals_gpus: bool = True) -> None:
        self._free: Queue[dict[str, str]] = Queue()
        gpus = visible_gpus() if deals_gpus and jobs > 1 else []
        for number in range(jobs):
            own = gpus[number::jobs] or gpus[number % len(gpus) :][:1] if gpus else []
            self._free.put({VISIBLE: ",".join(own)} if own else {})

    @contextmanager
    def take(self) -> Iterator[Mapping[str, str]]:
        """Wait for a place, and give the variables of the environment that make it."""
        place = self._free.get()
        try:
            yield place
        finally:
            self._free.put(place)


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA's variable names them."""
    given = os.environ.get(VISIBLE)
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip()]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]
