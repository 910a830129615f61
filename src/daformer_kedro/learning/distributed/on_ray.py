"""Ranks through Ray Train: on this machine, or on a cluster that ``RAY_ADDRESS`` names.

Ray is an optional part of the installation and imported only where it is asked for.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from daformer_kedro.config import TrainingConfig
from daformer_kedro.errors import InputError
from daformer_kedro.learning.distributed.elastic import (
    MAX_RESTARTS,
    RanksFailedError,
    importable_package,
)
from daformer_kedro.learning.distributed.job import JobFolder
from daformer_kedro.learning.distributed.rank import backend, run_rank
from daformer_kedro.learning.saving import finish_writing

_POLL_SECONDS = 0.2


def check() -> None:
    """Find out whether Ray is installed.

    Raises:
        InputError: it is not; says how to install it.
    """
    if find_spec("ray") is None:
        raise InputError(
            "training.engine = 'ray' needs Ray Train, which is not installed: "
            'pip install "daformer_kedro[ray]"; allowed without it: torch'
        )


def run(folder: Path, training: TrainingConfig) -> None:
    """Start a job's ranks as workers of Ray Train and wait for their end.

    When a worker dies, all are restarted, up to three times.

    Raises:
        InputError: this machine's Ray has fewer GPUs or CPUs than ranks.
        RanksFailedError: workers died again and again.
    """
    check()
    with connected(training.num_ranks):
        _fit(folder, training)


def _fit(folder: Path, training: TrainingConfig) -> None:
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    trainer = TorchTrainer(
        _worker,
        train_loop_config={"folder": str(folder)},
        torch_config=TorchConfig(backend=backend()),
        scaling_config=ScalingConfig(
            num_workers=training.num_ranks, use_gpu=_uses_gpus(training)
        ),
        run_config=RunConfig(
            name="ranks",
            storage_path=str(folder / "ray"),
            failure_config=FailureConfig(max_failures=MAX_RESTARTS),
        ),
    )
    try:
        trainer.fit()
    except TrainingFailedError as error:
        raise RanksFailedError(
            f"Ray workers failed {MAX_RESTARTS + 1} times: {error}"
        ) from error


@contextmanager
def connected(num_ranks: int) -> Iterator[None]:
    """Use the cluster that the environment names, or start Ray on this machine.

    Ray's own processes end with the thread that started them, so a Ray that is started
    here must not outlive the block.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    import ray

    if ray.is_initialized():
        yield
        return
    is_cluster = "RAY_ADDRESS" in os.environ
    # Ranks share the cores, as with the other engine; a cluster knows its own.
    cores = None if is_cluster else max(num_ranks, os.cpu_count() or 1)
    with importable_package():
        ray.init(
            address=None if is_cluster else "local",
            num_cpus=cores,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    try:
        yield
    finally:
        ray.shutdown()


def _uses_gpus(training: TrainingConfig) -> bool:
    import ray

    num_gpus = int(ray.cluster_resources().get("GPU", 0))
    if training.device == "cpu" or (training.device == "auto" and not num_gpus):
        return False
    if training.num_ranks > num_gpus and "RAY_ADDRESS" not in os.environ:
        raise InputError(
            f"training.devices = {training.num_ranks}: this machine's Ray has "
            f"{num_gpus} GPUs; allowed: 1 to {num_gpus}, or training.device=cpu"
        )
    return True


def _worker(config: dict[str, str]) -> None:
    """One worker of Ray Train, in the process group that Ray has set up."""
    from ray.train.torch import get_device

    folder = JobFolder(Path(config["folder"]))
    if not folder.is_wanted:
        return
    threading.Thread(target=_watch, args=(folder,), daemon=True).start()
    run_rank(folder.path, get_device().index or 0)


def _watch(folder: JobFolder) -> None:
    """End this process when the job is not wanted any more."""
    while folder.is_wanted:
        time.sleep(_POLL_SECONDS)
    finish_writing()
    os._exit(0)
