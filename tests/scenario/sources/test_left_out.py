"""No image is left out without a word, and no name hides that it is another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from daformer_kedro.config import SourceConfig
from daformer_kedro.datasets import ImagesDataset
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources import index_source, read_source
from daformer_kedro.storage.checksum import checksum


def tree(root: Path, classes: dict[str, int], *splits: str) -> Path:
    for split in splits or ("",):
        for name, count in classes.items():
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                level = (7 * number + 90 * (split == "test")) % 256
                image = Image.new("RGB", (12, 10), (level, 100, 200))
                image.save(root / split / name / f"{number:02d}.png")
    return root


def read(root: Path, stream: tuple[str, ...] | None = None, **changes: Any) -> Any:
    config = SourceConfig(name="image_folder", path=str(root), **changes)
    return read_source(config, image_size=8, resize=10, stream=stream)


def test_what_is_left_out_is_listed_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tree(tmp_path, {"a": 4, "b": 4}, "train", "test")
    bad = tmp_path / "train" / "a" / "odd: name.png"
    bad.write_bytes(b"")
    for name in ("notes.txt", "more.TXT", "film.mp4", "README", ".hidden.png"):
        (tmp_path / "test" / "b" / name).write_text("no image")
    config = SourceConfig(name="image_folder", path=str(tmp_path), on_error="skip")
    images, left_out = index_source(config, image_size=8)
    assert len(images.train_paths) == 8
    ((file, reason),) = left_out.skipped
    assert file == "train/a/odd: name.png"
    assert reason.startswith("cannot be read as an image")
    counts = {".txt": 2, ".mp4": 1, "without a suffix": 1, "hidden": 1}
    assert left_out.passed_over == counts
    assert "2 .txt, 1 .mp4, 1 hidden, 1 without a suffix" in caplog.text


def test_what_is_left_out_is_no_part_of_the_index(tmp_path: Path) -> None:
    tree(tmp_path / "in", {"a": 4, "b": 4}, "train", "test")
    checksums = []
    for place in ("before", "after"):
        dataset = ImagesDataset(filepath=str(tmp_path / place))
        dataset.save(read(tmp_path / "in", on_error="skip"))
        checksums.append(checksum(tmp_path / place))
        (tmp_path / "in" / "train" / "a" / "note.txt").write_text("new")
        (tmp_path / "in" / "train" / "a" / "bad.png").write_text("new")
    assert checksums[0] == checksums[1]


def test_files_may_be_evaluated_on_training_images(tmp_path: Path) -> None:
    tree(tmp_path, {"a": 4, "b": 4}, "train", "test")
    config = SourceConfig(
        name="image_folder", path=str(tmp_path), validation_fraction=0.25
    )
    images, _ = index_source(config, image_size=8)
    assert images.is_validation is not None
    assert images.train_labels[~images.is_validation].tolist() == [0] * 3 + [1] * 3
    assert images.test_labels.tolist() == [0, 1]
    assert all(path.startswith("train/") for path in images.test_paths)


def test_every_suffix_of_the_formats_is_read(tmp_path: Path) -> None:
    tree(tmp_path, {"a": 2, "b": 2})
    noise = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    for name, kind in {
        "1.jfif": "JPEG",
        "2.jpe": "JPEG",
        "3.AVIF": "AVIF",
        "4.jp2": "JPEG2000",
        "5.pbm": "PPM",
        "6.mpo": "MPO",
        "7.PNG": "PNG",
    }.items():
        Image.fromarray(noise).save(tmp_path / "a" / name, kind)
    images = read(tmp_path)
    assert len(images.train_paths) + len(images.test_paths) == 4 + 7


@pytest.mark.parametrize(
    "name", ["a.heic", "a.HEIF", "a.cr3", "a.nef", "a.jxl", "a.svg", "a.qoi", "a.psd"]
)
def test_what_looks_like_an_image_is_not_passed_over(tmp_path: Path, name: str) -> None:
    tree(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "a" / name).write_bytes(b"no image that is read")
    with pytest.raises(InputError, match=f"a/{name}: cannot be read as an image"):
        read(tmp_path)


@pytest.mark.parametrize("changes", [{}, {"cache_size": 16}, {"on_error": "skip"}])
def test_a_pipe_is_not_waited_for(tmp_path: Path, changes: dict[str, Any]) -> None:
    root = tree(tmp_path / "in", {"a": 3, "b": 3}, "train", "test")
    os.mkfifo(root / "train" / "a" / "pipe.png")
    config = SourceConfig(name="image_folder", path=str(root), **changes)
    options: dict[str, Any] = {"image_size": 8, "copies": tmp_path / "out"}
    if "on_error" in changes:
        _, left_out = index_source(config, **options)
        assert left_out.skipped == [("train/a/pipe.png", "is not a regular file")]
    else:
        with pytest.raises(InputError, match=r"pipe\.png: is not a regular file"):
            index_source(config, **options)


def test_a_name_composed_in_two_ways_is_one_class(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    composed, apart = "caf\xe9", "cafe\u0301"
    tree(tmp_path / "one", {composed: 2, apart: 3, "tea": 2})
    if len(os.listdir(tmp_path / "one")) < 3:
        pytest.skip("this file system composes names itself")
    images = read(tmp_path / "one")
    assert images.class_names == (composed, "tea")
    labels = [*images.train_labels.tolist(), *images.test_labels.tolist()]
    assert sorted(labels) == [0] * 5 + [1] * 2
    assert "they are read as one class" in caplog.text
    tree(tmp_path / "two", {composed: 2, "tea": 2}, "train")
    tree(tmp_path / "two", {apart: 3, "tea": 2}, "test")
    assert read(tmp_path / "two").test_labels.tolist() == [0, 0, 0, 1, 1]
    tree(tmp_path / "may", {composed: 2, "tea": 2})
    tree(tmp_path / "june", {apart: 2})
    with pytest.raises(InputError, match="'café' is in may and in june"):
        read(tmp_path, ("may", "june"))


def test_a_class_divides_the_same_however_its_name_is_composed(tmp_path: Path) -> None:
    numbers = []
    for place, name in (("one", "caf\xe9"), ("two", "cafe\u0301")):
        tree(tmp_path / place, {name: 30, "tea": 2})
        tests = read(tmp_path / place).test_paths.tolist()
        numbers.append([path.rpartition("/")[2] for path in tests])
    assert numbers[0] == numbers[1]


def test_names_that_look_alike_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tree(tmp_path, {"Cat": 2, "cat ": 2, "dog": 2})
    assert read(tmp_path).num_classes == 3
    assert "'Cat' and 'cat ' look alike and are learnt as two classes" in caplog.text


def test_hidden_folders_of_images_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tree(tmp_path, {".NET": 2, "cat": 2, "dog": 2})
    (tmp_path / ".git").mkdir()
    assert read(tmp_path).num_classes == 2
    assert "not read, since their names begin with a dot: '.NET'" in caplog.text
    assert ".git" not in caplog.text
