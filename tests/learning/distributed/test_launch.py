"""Ranks are started, watched, restarted and ended."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
import torch
import torch.distributed as dist

from daformer_kedro.errors import InputError
from daformer_kedro.learning.distributed import elastic, launch, on_ray
from daformer_kedro.learning.distributed.elastic import RanksFailedError
from daformer_kedro.learning.distributed.job import JobFolder
from daformer_kedro.learning.distributed.launch import check_launch, run_phase
from daformer_kedro.learning.distributed.rank import run_rank
from daformer_kedro.learning.epoch_totals import DivergenceError
from daformer_kedro.learning.progress import EpochRecord, observed_by
from daformer_kedro.learning.training import train_task
from daformer_kedro.storage.state_file import StateFile

JOIN = "daformer_kedro.learning.distributed.join"


class At:
    """Does something at the end of an epoch, the first time that it is told of."""

    def __init__(self, epoch: int, action: Callable[[], None]) -> None:
        self.epoch = epoch
        self.action = action
        self.seen: list[int] = []

    def on_epoch(self, record: EpochRecord) -> None:
        self.seen.append(record.epoch)
        if record.epoch == self.epoch:
            self.action()


def train(cases: ModuleType, state: StateFile | None = None, **places: Any) -> Any:
    """Train the second of two tasks with all that it has, where ``places`` says."""
    training = replace(cases.SETTINGS.training, epochs=4, **places)
    model = cases.grown(cases.first_model())
    records = run_phase(
        train_task,
        model,
        cases.images(),
        replace(cases.SETTINGS, training=training),
        teacher=cases.first_model().build(),
        state=state,
        **cases.bank(),
    )
    return model, records


@pytest.fixture(scope="module")
def alone(cases: ModuleType) -> Any:
    return train(cases)


def assert_close(one: Any, other: Any) -> None:
    for mine, theirs in zip(one[1], other[1], strict=True):
        assert mine.losses == pytest.approx(theirs.losses, rel=1e-4, abs=1e-6)
        assert mine.train_accuracy == theirs.train_accuracy
    weights = other[0].state_dict()
    for name, weight in one[0].state_dict().items():
        torch.testing.assert_close(weight, weights[name], rtol=1e-3, atol=1e-4)


def workers() -> list[psutil.Process]:
    """The ranks that this process has started, the first rank first."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # it has just ended
            if any(word.endswith("distributed.worker") for word in child.cmdline()):
                found.append(child)
    return sorted(found, key=lambda child: int(child.environ()["RANK"]))


def kill(rank: int) -> Callable[[], None]:
    def action() -> None:
        workers()[rank].kill()

    return action


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def meeting_points(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A file to which every rank writes its attempt and where it looks for others."""
    folder = tmp_path_factory.mktemp("meeting")
    (folder / "sitecustomize.py").write_text(
        "import os\n"
        "place = os.environ.get('MASTER_PORT')\n"
        "attempt = os.environ.get('TORCHELASTIC_RESTART_COUNT')\n"
        f"with open({str(folder / 'points')!r}, 'a') as points:\n"
        "    points.write(f'{attempt} {place}\\n')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    return folder / "points"


def test_a_rank_that_dies_is_started_anew_from_the_last_state(
    tmp_path: Path,
    cases: ModuleType,
    alone: Any,
    caplog: pytest.LogCaptureFixture,
    meeting_points: Path,
) -> None:
    observer = At(1, kill(rank=1))
    state = StateFile(tmp_path / "training.state", "key")
    with observed_by(observer):
        together = train(cases, state, devices=2)
    assert_close(together, alone)
    assert observer.seen == [0, 1, 2, 3]
    assert "A rank failed" in caplog.text
    # In the store of the first attempt they could find, and wait for, the dead one.
    points = dict(line.split() for line in meeting_points.read_text().splitlines())
    assert points["0"] != points["1"]
    # Nothing is left but the state, which goes once the results are stored.
    assert [path.name for path in tmp_path.iterdir()] == ["training.state"]


def test_an_interruption_ends_the_ranks_and_leaves_the_state(
    tmp_path: Path, cases: ModuleType, alone: Any
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    state = StateFile(tmp_path / "training.state", "key")
    with pytest.raises(KeyboardInterrupt), observed_by(At(1, interrupt)):
        train(cases, state, devices=2)
    assert workers() == []
    saved = state.load()
    assert saved is not None
    assert len(saved["history"]) >= 2
    # One process goes on from what two ranks have saved.
    observer = At(99, interrupt)
    with observed_by(observer):
        assert_close(train(cases, state), alone)
    assert observer.seen == [0, 1, 2, 3]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A rank is this process, which saves starting one."""

    def engine(folder: Path, training: Any) -> None:
        meeting = f"file://{tmp_path / 'meeting'}"
        dist.init_process_group("gloo", init_method=meeting, rank=0, world_size=1)
        try:
            run_rank(folder, 0)
        finally:
            dist.destroy_process_group()

    monkeypatch.setitem(launch.ENGINES, "torch", engine)


@pytest.mark.usefixtures("here")
def test_an_error_that_all_ranks_meet_is_told_as_by_one_process(
    cases: ModuleType,
) -> None:
    with pytest.raises(DivergenceError, match=r"^task 1, train epoch \d: the loss is"):
        train(cases, devices=2, learning_rate=1e30)


@pytest.mark.usefixtures("here")
def test_a_state_that_is_not_to_be_continued_is_not(
    tmp_path: Path, cases: ModuleType, alone: Any
) -> None:
    path = tmp_path / "training.state"
    train(cases, StateFile(path, "key"), learning_rate=0.5)
    state = StateFile(path, "key", may_resume=False)
    assert_close(train(cases, state, devices=2), alone)


def test_an_engine_that_fails_is_not_taken_for_one_that_is_done(
    cases: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def engine(folder: Path, training: Any) -> None:
        raise RanksFailedError("rank 1 was ended by SIGKILL")

    monkeypatch.setitem(launch.ENGINES, "torch", engine)
    with pytest.raises(RanksFailedError, match="rank 1 was ended by SIGKILL"):
        train(cases, devices=2)
    monkeypatch.setitem(launch.ENGINES, "torch", lambda *_: None)
    with pytest.raises(RanksFailedError, match="ended without a result"):
        train(cases, devices=2)


def test_a_second_machine_takes_part(
    cases: ModuleType, alone: Any, started: Any, tmp_path: Path
) -> None:
    rendezvous = f"localhost:{free_port()}"
    command = [sys.executable, "-m", JOIN, rendezvous, "--nnodes", "2"]
    with started(command, cwd=tmp_path) as other:
        together = train(cases, nnodes=2, rendezvous=rendezvous)
        assert_close(together, alone)
        time.sleep(1)
        assert other.process.poll() is None  # it waits for the next training
        other.process.terminate()
        other.process.wait(60)
        assert other.others() == []
        said = other.log.read_text()
    assert said.splitlines()[-1] == "Took part in a training"
    assert "Traceback" not in said


def test_ranks_that_fail_each_time_are_named_with_what_they_said(
    tmp_path: Path, cases: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elastic, "_WORKER", "this_module_is_not_there")
    for rank in range(2):
        JobFolder(tmp_path).log_path(rank).write_text("first\nout of memory\n")
    training = replace(cases.SETTINGS.training, devices=2)
    with pytest.raises(
        RanksFailedError,
        match=r"(?s)^rank \d ended with exit status 1, and the ranks were started 4 "
        r"times\. What it said last:.first.out of memory$",
    ):
        elastic.run(tmp_path, training)


def test_a_missing_ray_is_named_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, cases: ModuleType
) -> None:
    monkeypatch.setattr(on_ray, "find_spec", lambda name: None)
    training = replace(cases.SETTINGS.training, engine="ray")
    with pytest.raises(InputError, match=r"needs Ray Train.*\[ray\].*allowed.*torch"):
        check_launch(training)


# What Ray's parts say of each other is not ours to mend.
@pytest.mark.filterwarnings("ignore", "error:::daformer_kedro")
@pytest.mark.slow
@pytest.mark.timeout(900)  # Ray starts a dozen processes
def test_a_worker_of_ray_that_is_killed_is_started_anew(
    tmp_path: Path, cases: ModuleType, alone: Any, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("ray")

    def kill_one() -> None:
        found = [
            process
            for process in psutil.process_iter(["ppid", "cmdline"])
            if any("RayTrainWorker" in word for word in process.info["cmdline"] or [])
        ]
        mine = [
            process for process in found if os.getpid() in map(_pid, process.parents())
        ]
        assert len(mine) == 2
        mine[0].kill()

    observer = At(1, kill_one)
    with observed_by(observer):
        together = train(cases, devices=2, engine="ray")
    assert_close(together, alone)
    assert observer.seen == [0, 1, 2, 3]
    assert "A rank failed" in caplog.text


def _pid(process: psutil.Process) -> int:
    return process.pid
