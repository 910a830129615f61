"""A phase of training where ``training.devices`` says: here, or on ranks."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daformer_kedro.config import TrainingConfig
from daformer_kedro.learning.devices import check_devices
from daformer_kedro.learning.distributed import elastic, on_ray
from daformer_kedro.learning.distributed.job import Job, JobFolder, PhaseFunction
from daformer_kedro.learning.distributed.messages import Receiver
from daformer_kedro.learning.distributed.rank import ERRORS
from daformer_kedro.learning.phase import LearningSettings
from daformer_kedro.learning.progress import EpochRecord
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.model import DAFormer
from daformer_kedro.storage.atomic_files import temporary_sibling
from daformer_kedro.storage.state_file import StateFile

_POLL_SECONDS = 0.1
_SECONDS_TO_END = 30

Engine = Callable[[Path, TrainingConfig], None]
ENGINES: dict[str, Engine] = {"torch": elastic.run, "ray": on_ray.run}
"""Start the ranks of a job and return when they have ended."""


def check_launch(training: TrainingConfig) -> None:
    """Find out before anything runs what would fail when the ranks are started.

    Raises:
        InputError: a device or a package that is missing is asked for.
    """
    if training.engine == "ray":
        on_ray.check()
    else:
        check_devices(training.device, training.devices)


def run_phase(
    phase: PhaseFunction,
    model: DAFormer,
    data: TaskImages,
    settings: LearningSettings,
    *,
    state: StateFile | None = None,
    **options: Any,
) -> list[EpochRecord]:
    """Call a phase in this process, or have ranks run it and take over what they made.

    Args:
        phase: :func:`~daformer_kedro.learning.training.train_task` or
            :func:`~daformer_kedro.learning.training.finetune_on_memory`.
        model: trained in place.
        data: on the model's device; for ranks best in the CPU's memory.
        settings: ``training`` says where.
        state: file to resume from, and to save to.
        options: further arguments of the phase.

    Returns:
        One record per epoch.

    Raises:
        RanksFailedError: ranks failed more often than they are
            restarted.
    """
    if not settings.training.starts_ranks:
        return phase(model, data, settings, state=state, **options)
    with _job_folder(state) as folder:
        state = state or StateFile(folder.path / "training.state", "job")
        if not state.may_resume:
            # Ranks that are restarted resume from what the first ones saved.
            state.remove()
        folder.write(
            Job.of(phase, model, data, settings, state, **options), data.images
        )
        weights, records = _watched(folder, settings.training)
    model.load_state_dict(weights)
    model.eval()
    return records


def _watched(folder: JobFolder, training: TrainingConfig) -> Any:
    """Run a job's ranks, passing on their messages meanwhile.

    The launcher waits in a thread of its own, so that Ctrl+C and observers are where
    they are with one process: in the thread that trains.
    """
    receiver = Receiver(folder.messages_path)
    engine = _Thread(lambda: ENGINES[training.engine](folder.path, training))
    engine.start()
    try:
        while engine.is_alive():
            engine.join(_POLL_SECONDS)
            receiver.relay()
        receiver.relay()
    except BaseException:
        folder.end()
        engine.join(_SECONDS_TO_END)
        raise
    if receiver.error is not None:
        raise ERRORS[receiver.error["type"]](receiver.error["text"])
    if engine.error is not None:
        raise engine.error
    result = folder.read_result()
    if result is None:
        raise elastic.RanksFailedError("the ranks ended without a result")
    return result


class _Thread(threading.Thread):
    """A thread that keeps the error it ends with."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(daemon=True, name="ranks")
        self._work = work
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.error = error


@contextmanager
def _job_folder(state: StateFile | None) -> Iterator[JobFolder]:
    """Make a folder, removed after the block, next to the state where there is one.

    There the next run finds and removes what a killed process left.
    """
    if state is None:
        with tempfile.TemporaryDirectory(prefix="daformer_") as name:
            yield JobFolder(Path(name))
        return
    with temporary_sibling(state.path.with_suffix(".job").absolute()) as path:
        path.mkdir()
        yield JobFolder(path)
