"""A job says all that a rank needs, as data and no code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from daformer_kedro.config import FinetuningConfig
from daformer_kedro.learning.distributed.job import Job, JobFolder
from daformer_kedro.learning.training import finetune_on_memory, train_task
from daformer_kedro.storage.state_file import StateFile


def test_a_job_comes_back_as_it_was(tmp_path: Path, cases: ModuleType) -> None:
    teacher = cases.first_model().build()
    model = cases.grown(cases.first_model())
    state = StateFile(tmp_path / "a.state", "key")
    bank = cases.bank()
    job = Job.of(
        train_task,
        model,
        cases.images(),
        cases.SETTINGS,
        state,
        teacher=teacher,
        validation=cases.images(8),
        **bank,
    )
    again = Job.from_bytes(job.to_bytes())
    assert again.phase == "train_task"
    assert again.settings == cases.SETTINGS
    assert (again.state_path, again.state_key) == (tmp_path / "a.state", "key")
    assert torch.equal(again.targets, cases.images().targets)
    assert all(torch.equal(again.tensors[name], bank[name]) for name in bank)
    built = again.model.build()
    assert built.divergence_head is not None
    for name, weight in model.state_dict().items():
        assert torch.equal(built.state_dict()[name], weight), name
    assert again.teacher is not None
    assert again.teacher.build().task_sizes == (2,)
    assert again.finetuning is None
    assert again.validation is not None
    assert torch.equal(again.validation.images, cases.images(8).images)
    assert torch.equal(again.validation.targets, cases.images(8).targets)


def test_what_a_phase_has_no_use_for_stays_out(
    tmp_path: Path, cases: ModuleType
) -> None:
    config = FinetuningConfig(epochs=2, batch_size=8)
    job = Job.of(
        finetune_on_memory,
        cases.grown(None),
        cases.images(),
        cases.SETTINGS,
        StateFile(tmp_path / "a.state", "key"),
        finetuning=config,
    )
    again = Job.from_bytes(job.to_bytes())
    assert again.finetuning == config
    assert again.teacher is None
    assert again.tensors == {}


def test_images_lie_in_a_file_of_their_own_that_can_be_mapped(
    tmp_path: Path, cases: ModuleType
) -> None:
    images = cases.images()
    folder = JobFolder(tmp_path)
    job = Job.of(
        train_task,
        cases.grown(None),
        images,
        cases.SETTINGS,
        StateFile(tmp_path / "a.state", "key"),
    )
    assert not folder.is_wanted
    folder.write(job, images.images)
    assert folder.is_wanted
    mapped = np.load(folder.images_path, mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, images.images.numpy())
    assert Job.from_bytes(folder.read_bytes()).settings == cases.SETTINGS
    folder.end()
    assert not folder.is_wanted


def test_a_result_is_there_whole_or_not_at_all(
    tmp_path: Path, cases: ModuleType
) -> None:
    folder = JobFolder(tmp_path)
    assert folder.read_result() is None
    model = cases.first_model().build()
    data = replace(cases.images(), targets=cases.images().targets % 2)
    records = train_task(model, data, cases.SETTINGS)
    folder.write_result(model, records)
    result = folder.read_result()
    assert result is not None
    weights, history = result
    assert history == records
    assert all(torch.equal(weights[n], w) for n, w in model.state_dict().items())
