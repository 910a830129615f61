"""Ranks through PyTorch's elastic launcher, on this machine and on others."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import (
    ChildFailedError,
    ProcessFailure,
)
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from daformer_kedro.config import TrainingConfig
from daformer_kedro.learning.distributed.job import JobFolder

MAX_RESTARTS = 3
_WORKER = "daformer_kedro.learning.distributed.worker"
_SOURCE = Path(__file__).parents[3]
_RUN_ID = "daformer"
_CHATTER = (
    "torch.distributed.elastic.multiprocessing.api",
    "torch.distributed.elastic.rendezvous.dynamic_rendezvous",
    "torch.distributed.launcher.api",
)
_LINES_SHOWN = 15


class RanksFailedError(RuntimeError):
    """Ranks failed again and again."""


def run(folder: Path, training: TrainingConfig) -> None:
    """Start a job's ranks on this machine and wait for their end.

    When a rank fails, all are restarted, up to three times.

    Raises:
        RanksFailedError: names the rank that failed first, and what it said.
    """
    is_local = training.rendezvous is None
    launch(
        training.devices,
        training.nnodes,
        # Port 0: any that is free.
        "localhost:0" if training.rendezvous is None else training.rendezvous,
        is_host=True,
        folder=folder,
        address="localhost" if is_local else None,
    )


def launch(
    num_ranks: int,
    num_machines: int,
    rendezvous: str,
    *,
    is_host: bool,
    folder: Path | None = None,
    address: str | None = None,
) -> None:
    """Start ranks on this machine, as soon as all machines are there.

    Args:
        num_ranks: on this machine.
        num_machines: that take part.
        rendezvous: ``HOST:PORT`` where they find each other.
        is_host: whether that is this process.
        folder: of the job, on the machine that has it.
        address: of this machine; ``None`` looks it up.

    Raises:
        RanksFailedError: names the rank that failed first, and what it said.
    """
    config = LaunchConfig(
        min_nodes=num_machines,
        max_nodes=num_machines,
        nproc_per_node=num_ranks,
        run_id=_RUN_ID,
        rdzv_backend="c10d",
        rdzv_endpoint=rendezvous,
        rdzv_configs={"is_host": is_host},
        max_restarts=MAX_RESTARTS,
        logs_specs=DefaultLogsSpecs(log_dir=os.devnull),
        local_addr=address,
    )
    with importable_package(), _fresh_stores(), _silence():
        try:
            arguments = [] if folder is None else [str(folder)]
            elastic_launch(config, sys.executable)("-m", _WORKER, *arguments)
        except ChildFailedError as error:
            raise RanksFailedError(_explain(error, folder)) from error


def _explain(error: ChildFailedError, folder: Path | None) -> str:
    number, failure = error.get_first_failure()
    text = (
        f"rank {number} {_end_of(failure)}, and the ranks were started "
        f"{MAX_RESTARTS + 1} times"
    )
    if folder is None:
        return text
    return f"{text}. What it said last:\n{_last_lines(folder, number)}"


def _end_of(failure: ProcessFailure) -> str:
    if failure.exitcode < 0:
        return f"was ended by {signal.Signals(-failure.exitcode).name}"
    return f"ended with exit status {failure.exitcode}"


def _last_lines(folder: Path, rank: int) -> str:
    """The end of what a rank printed."""
    path = JobFolder(folder).log_path(rank)
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return "\n".join(text.splitlines()[-_LINES_SHOWN:]) or "(nothing)"


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """A variable of the environment, for processes that are started in the block."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def importable_package() -> AbstractContextManager[None]:
    """Let processes that are started in the block import this package."""
    before = os.environ.get("PYTHONPATH")
    paths = [str(_SOURCE), *([before] if before else [])]
    return _environment("PYTHONPATH", os.pathsep.join(paths))


def _fresh_stores() -> AbstractContextManager[None]:
    """Let ranks that are restarted find each other in a store of their own.

    The launcher would serve all attempts from one store, in which a rank may find the
    address of one that has died, and wait for it until its time is up.
    """
    return _environment("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")


@contextmanager
def _silence() -> Iterator[None]:
    """Silence the launcher's own words on each process, which are said in ours."""
    loggers = [logging.getLogger(name) for name in _CHATTER]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
