"""Work of one rank, whoever started it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from daformer_kedro.augmentation.file_images import FileImages
from daformer_kedro.errors import InputError
from daformer_kedro.learning.devices import rank_device
from daformer_kedro.learning.distributed.job import PHASES, Job, JobFolder
from daformer_kedro.learning.distributed.messages import Sender
from daformer_kedro.learning.epoch_totals import DivergenceError
from daformer_kedro.learning.progress import EpochRecord, observed_by
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.model import DAFormer
from daformer_kedro.parallel.process_group import DistributedGroup, RanksDisagreeError
from daformer_kedro.storage.state_file import StateFile

ERRORS: dict[str, type[Exception]] = {
    error.__name__: error for error in (DivergenceError, InputError, RanksDisagreeError)
}
"""Errors that all ranks meet alike, and would meet again after a restart."""


def backend() -> str:
    """Return the backend of process groups: gloo for tensors on CPUs, NCCL on GPUs."""
    has_nccl = torch.cuda.is_available() and dist.is_nccl_available()
    return "cpu:gloo,cuda:nccl" if has_nccl else "gloo"


def run_rank(path: Path | None, gpu: int) -> None:
    """Take part in a job, in a process group that stands already.

    Args:
        path: the job's folder; ranks on machines that do not have it are sent
            everything.
        gpu: which of the GPUs that this process sees is its own.
    """
    group = DistributedGroup(_find_leader(path is not None))
    if path is None or not group.is_leader:
        try:
            _run(_job(group, path), group, path, gpu, None)
        except tuple(ERRORS.values()):
            pass  # the leader says it
        return
    folder = JobFolder(path)
    sender = Sender(folder.messages_path)
    sender.send("started", {})
    logger = logging.getLogger("daformer_kedro")
    logger.addHandler(sender)
    job = _job(group, path)
    try:
        with observed_by(sender):
            state = StateFile(job.state_path, job.state_key)
            folder.write_result(*_run(job, group, path, gpu, state))
    except tuple(ERRORS.values()) as error:
        sender.send("error", {"type": type(error).__name__, "text": str(error)})
    finally:
        logger.removeHandler(sender)


def _find_leader(has_folder: bool) -> int:
    """The first rank on the machine that holds the job."""
    first = torch.tensor(dist.get_rank() if has_folder else dist.get_world_size())
    dist.all_reduce(first, dist.ReduceOp.MIN)
    return int(first)


def _job(group: DistributedGroup, path: Path | None) -> Job:
    reads = path is not None and group.is_leader
    return Job.from_bytes(
        group.broadcast_bytes(JobFolder(path).read_bytes() if path and reads else b"")
    )


def _run(
    job: Job,
    group: DistributedGroup,
    path: Path | None,
    gpu: int,
    state: StateFile | None,
) -> tuple[DAFormer, list[EpochRecord]]:
    device = rank_device(job.settings.training.device, gpu)
    if not group.all_true(device.type == group.broadcast(device.type)):
        raise InputError(
            f"training.device = {job.settings.training.device!r}: some machines of the "
            "run have GPUs and some have not; allowed: cpu"
        )
    images = (
        _images(group, path).to(device)
        if job.files is None
        else FileImages.from_plain(job.files)
    )
    data = TaskImages(images, job.targets.to(device))
    model = job.model.build(device)
    options: dict[str, Any] = {
        name: tensor.to(device) for name, tensor in job.tensors.items()
    }
    others = {
        "teacher": None if job.teacher is None else job.teacher.build(device),
        "finetuning": job.finetuning,
        "validation": None if job.validation is None else job.validation.to(device),
    }
    options |= {name: value for name, value in others.items() if value is not None}
    phase = PHASES[job.phase]
    return model, phase(model, data, job.settings, state=state, group=group, **options)


def _images(group: DistributedGroup, path: Path | None) -> torch.Tensor:
    """The images: one memory map for all ranks of a machine, or the leader sends."""
    mapped = torch.empty(0)
    if path is not None:
        # Copy on write, since torch has no tensors that only read; nothing writes.
        mapped = torch.from_numpy(np.load(JobFolder(path).images_path, mmap_mode="c"))
    if group.all_true(path is not None):
        return mapped
    sent = group.broadcast(mapped)
    return sent if path is None else mapped
