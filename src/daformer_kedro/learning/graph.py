"""The optimisation step as one CUDA graph.

A step of a small network is thousands of short kernels, which a host starts more slowly
than a GPU runs them. A graph is recorded once and started as a whole, and computes what
the step does, to the bit: kernels, their order and the draws are the same.

What a graph demands of a step, and where it is kept: tensors in place (here, and in
the optimiser, see :func:`~daformer_kedro.learning.optimisation.make_optimiser`), one
shape (a phase has one batch size), no value read by the host and no copy from it (
``tests/learning/test_waiting.py``). Autocast may cache the weights' casts: it is
entered and left inside the step, so that what it keeps is made and used by one replay.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

_LOGGER = logging.getLogger(__name__)
_WARM_UP = 3
"""Ordinary steps before the recording; libraries and optimiser make what they keep."""


class StepInput(NamedTuple):
    """Inputs that differ from one step to the next.

    Attributes:
        rows: (B,) int64, positions of the images in the task's data.
        images: (B, C, H, W) augmented images, or (B, N, W) tokens.
        mixing: this batch's row of
            :meth:`~daformer_kedro.augmentation.mixing.Mixing.draw`.
    """

    rows: Tensor
    images: Tensor
    mixing: Tensor


Step = Callable[[StepInput], dict[str, Tensor]]
Replay = Callable[[], None]


class Recorder(Protocol):
    """Recorder of a function's work, which replays it."""

    def warm_up(self, work: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Do the work as it will be recorded, and return its results."""

    def record(
        self, work: Callable[[], dict[str, Tensor]]
    ) -> tuple[dict[str, Tensor], Replay]:
        """Record the work without doing it.

        Returns:
            Where its results will lie, and what does the work.
        """


class GraphedStep:
    """A step that is recorded after a few ordinary ones, and replayed from then on.

    Where it cannot be recorded, it stays an ordinary step, and a warning says why.

    Args:
        recorder: see :class:`CudaRecorder`.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._num_taken = 0
        self._can_record = True
        self._given: StepInput | None = None
        self._results: dict[str, Tensor] = {}
        self._replay: Replay | None = None

    @property
    def is_recorded(self) -> bool:
        """Return whether steps are replays by now."""
        return self._replay is not None

    def __call__(self, step: Step, given: StepInput) -> dict[str, Tensor]:
        """Take a step; what is returned is overwritten by the next one.

        Args:
            step: takes an optimisation step and returns its results; always the same,
                and not kept, since it may be a method of what keeps this.
            given: of one shape in all calls.
        """
        if self._num_taken < _WARM_UP:
            self._num_taken += 1
            return self._recorder.warm_up(lambda: step(given))
        if self._replay is None and self._can_record:
            self._record(step, given)
        if self._replay is None or self._given is None:
            return step(given)
        for own, new in zip(self._given, given, strict=True):
            own.copy_(new)
        self._replay()
        return self._results

    def _record(self, step: Step, given: StepInput) -> None:
        own = StepInput(*(tensor.clone() for tensor in given))
        try:
            self._results, self._replay = self._recorder.record(lambda: step(own))
            self._given = own
        except Exception as error:
            self._can_record = False
            _warn((str(error).strip() or type(error).__name__).splitlines()[0])


@cache
def _warn(reason: str) -> None:
    _LOGGER.warning(
        "an optimisation step cannot be a CUDA graph here, training continues without "
        "(to be silent: training.graph=off): %s",
        reason,
    )


class CudaRecorder:
    """Records steps as CUDA graphs.

    Args:
        optimiser: whose step is part of the work; its rates are tensors.
        generator: on the GPU, from which the work draws; each replay draws on.
    """

    def __init__(
        self, optimiser: torch.optim.Optimizer, generator: torch.Generator
    ) -> None:
        self._optimiser = optimiser
        self._generator = generator
        self._stream = torch.cuda.Stream(generator.device)

    def warm_up(self, work: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Do the work on the stream that will record it."""
        main = torch.cuda.current_stream(self._generator.device)
        self._stream.wait_stream(main)
        with torch.cuda.stream(self._stream):
            results = work()
        main.wait_stream(self._stream)
        for result in results.values():
            result.record_stream(main)
        return results

    def record(
        self, work: Callable[[], dict[str, Tensor]]
    ) -> tuple[dict[str, Tensor], Replay]:
        """Record the work, in memory of its own.

        Each replay makes its own gradients, in that memory: the step leaves none.
        """
        graph = torch.cuda.CUDAGraph()
        before = self._generator.clone_state()
        graph.register_generator_state(self._generator)
        self._set_capturable(True)
        try:
            # Only this thread's calls count: others may pin memory for the next batch.
            with torch.cuda.graph(
                graph, stream=self._stream, capture_error_mode="thread_local"
            ):
                results = work()
        except BaseException:
            # A recording that fails leaves the generator in the middle of it.
            self._generator.graphsafe_set_state(before)
            self._optimiser.zero_grad(set_to_none=True)
            raise
        finally:
            self._set_capturable(False)
        return results, graph.replay

    def _set_capturable(self, value: bool) -> None:
        """Allow the optimiser's step in a graph; outside of one it would warn."""
        for group in self._optimiser.param_groups:
            group["capturable"] = value


def wants_graph(setting: str, device: torch.device, num_ranks: int) -> bool:
    """Resolve ``training.graph``.

    ``auto`` records on a GPU, in one process: ranks exchange outputs and gradients
    within a step.
    """
    return setting == "auto" and device.type == "cuda" and num_ranks == 1
