"""A folder on this machine's disk: where it is, and what is copied there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from daformer_kedro.datasets.images import ImagesDataset
from daformer_kedro.datasets.stored import StoredDataset
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.images import ImageArrays
from daformer_kedro.storage.scratch import (
    noted_scratch,
    open_scratch,
    remove_copies,
    scratch_of,
)


def images(value: int) -> ImageArrays:
    pixels = np.full((3, 2, 2, 1), value, dtype=np.uint8)
    labels = np.zeros(3, dtype=np.int64)
    return ImageArrays(pixels, labels, pixels, labels, class_names=("a",))


def test_projects_that_share_a_disk_have_folders_of_their_own(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "project", tmp_path / "b" / "project"
    found = {scratch_of(project, str(tmp_path)) for project in (first, second)}
    assert len(found) == 2
    assert {folder.parent for folder in found if folder} == {tmp_path}
    assert scratch_of(first, None) is None
    inside = scratch_of(first, "build/scratch")
    assert inside is not None
    assert inside.parent == first / "build" / "scratch"


def test_a_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cache\.scratch = 's3://bucket': allowed: a"):
        scratch_of(tmp_path, "s3://bucket")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = scratch_of(tmp_path, "file")
    assert folder is not None
    with pytest.raises(InputError, match=r"cache\.scratch = .*file': cannot be"):
        open_scratch(folder, tmp_path / "journal")
    assert noted_scratch(tmp_path / "journal") == []


def test_every_folder_in_use_is_noted_once(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b", "a")]
    for folder in folders:
        open_scratch(folder, tmp_path / "journal")
    assert noted_scratch(tmp_path / "journal") == folders[:2]


def test_arrays_are_mapped_from_a_copy_of_what_is_stored(tmp_path: Path) -> None:
    where, scratch = tmp_path / "data" / "images", tmp_path / "scratch"
    stored = StoredDataset(
        filepath=str(where),
        dataset={"type": ImagesDataset},
        scratch=str(scratch),
    )
    open_scratch(scratch, tmp_path / "journal")
    for value in (1, 2):  # what is stored later is copied again
        stored.save(images(value))
        for _ in range(2):
            loaded = stored.load().train_images
            assert np.array_equal(loaded, images(value).train_images)
            assert Path(loaded.filename).is_relative_to(scratch)
    assert len(os.listdir(scratch / "copies")) == 2
    remove_copies(scratch, but=["none of them"])
    assert os.listdir(scratch / "copies") == []
    assert np.array_equal(stored.load().train_images, images(2).train_images)


def test_without_a_disk_of_its_own_nothing_is_copied(tmp_path: Path) -> None:
    where = tmp_path / "data" / "images"
    stored = StoredDataset(filepath=str(where), dataset={"type": ImagesDataset})
    stored.save(images(1))
    assert Path(stored.load().train_images.filename).parent == where
