"""Sources whose images stay files."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_files import ImageFiles
from daformer_kedro.scenario.sources import (
    describe_source,
    imagenet,
    read_source,
)
from daformer_kedro.scenario.sources.file_checks import (
    find_faults,
    warn_of_duplicates,
)


def photo(path: Path, level: int = 0, size: tuple[int, int] = (12, 10)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, 100, 200)).save(path)
    return path


def tree(root: Path, classes: dict[str, int], *splits: str) -> Path:
    for split in splits or ("",):
        for name, count in classes.items():
            for number in range(count):
                level = (7 * number + 90 * (split == "test")) % 256
                photo(root / split / name / f"{number:02d}.png", level)
    return root


def read(root: Path, stream: tuple[str, ...] | None = None, **changes: Any) -> Any:
    config = SourceConfig(name="image_folder", path=str(root), **changes)
    return read_source(config, image_size=8, resize=10, stream=stream)


def test_an_index_stands_in_for_a_folder_that_is_away(tmp_path: Path) -> None:
    index = tmp_path / "files.json"
    index.write_text('{"class_names": ["a", "b", "c"], "task_sizes": null}')
    config = SourceConfig(name="image_folder", path=str(tmp_path / "away"))
    found = describe_source(config, image_size=8, index=index)
    assert (found.num_classes, found.image_size, found.task_sizes) == (3, 8, None)
    with pytest.raises(InputError, match="away: is not a folder"):
        describe_source(config, image_size=8, index=tmp_path / "none.json")
    # Another folder has arrived since: it must be read.
    index.write_text('{"class_names": ["a", "b"], "task_sizes": [2]}')
    assert describe_source(
        config, image_size=8, stream=("may",), index=index
    ).task_sizes == (2,)
    with pytest.raises(InputError):
        describe_source(config, image_size=8, stream=("may", "june"), index=index)


def test_two_splits_are_read_as_they_lie(tmp_path: Path) -> None:
    tree(tmp_path, {"zebra": 2, "ärmel": 3}, "train", "test")
    (tmp_path / "train" / "zebra" / "notes.txt").write_text("no image")
    (tmp_path / "train" / "zebra" / ".DS_Store").write_text("")
    images = read(tmp_path)
    assert isinstance(images, ImageFiles)
    assert images.class_names == ("zebra", "ärmel")
    assert images.train_paths.tolist()[:2] == [
        "train/zebra/00.png",
        "train/zebra/01.png",
    ]
    assert images.train_labels.tolist() == [0, 0, 1, 1, 1]
    assert images.test_labels.tolist() == [0, 0, 1, 1, 1]
    view = images.view("test", [0, 4])
    assert view.shape == (2, 8, 8, 3)
    assert view[0, 0, 0].tolist() == [90, 100, 200]
    assert view[1, 0, 0].tolist() == [104, 100, 200]


def test_one_folder_is_divided_by_the_paths_alone(tmp_path: Path) -> None:
    tree(tmp_path, {"a": 40, "b": 40})
    before = read(tmp_path, test_fraction=0.25)
    share = len(before.test_paths) / 80
    assert 0.1 < share < 0.4
    assert set(before.test_paths).isdisjoint(before.train_paths)
    photo(tmp_path / "a" / "new.png")
    after = read(tmp_path, test_fraction=0.25)
    assert set(before.test_paths) <= set(after.test_paths)
    assert set(before.train_paths) <= set(after.train_paths)
    other = read(tmp_path, test_fraction=0.25, split_seed=1)
    assert set(other.test_paths) != set(after.test_paths)


def test_a_replaced_file_shows_in_the_index(tmp_path: Path) -> None:
    tree(tmp_path, {"a": 2, "b": 2}, "train", "test")
    before = read(tmp_path)
    file = photo(tmp_path / "train" / "b" / "00.png", size=(100, 90))
    after = read(tmp_path)
    assert after.train_paths.tolist() == before.train_paths.tolist()
    assert after.train_bytes[2] == file.stat().st_size
    changed = after.train_bytes != before.train_bytes
    assert changed.tolist() == [False, False, True, False]
    assert after.test_bytes.tolist() == before.test_bytes.tolist()


def test_each_class_has_an_image_on_either_side(tmp_path: Path) -> None:
    tree(tmp_path, {name: 2 for name in "abcdefgh"})
    images = read(tmp_path, test_fraction=0.01)
    assert images.test_labels.tolist() == list(range(8))
    photo(tmp_path / "single" / "0.png")
    with pytest.raises(InputError, match=r"single/0\.png: is the only image"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda r: (r / "train" / "c").mkdir(), "class 'c' is in train and not in"),
        (lambda r: photo(r / "test" / "d" / "0.png"), "class 'd' is in test and not"),
        (lambda r: (r / "test").rename(r / "x"), "has a folder train and no folder"),
        (lambda r: (r / "train").rename(r / "x"), "has a folder test and no folder tr"),
        (lambda r: [f.unlink() for f in (r / "train" / "a").iterdir()], "has no im"),
    ],
)
def test_folders_that_do_not_fit_are_named(
    tmp_path: Path, break_it: Any, message: str
) -> None:
    tree(tmp_path, {"a": 2, "b": 2}, "train", "test")
    break_it(tmp_path)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    tree(tmp_path / "here", {"a": 2, "b": 2}, "train", "test")
    tree(tmp_path / "there", {"more": 3})
    (tmp_path / "here" / "train" / "a" / "link").symlink_to(tmp_path / "there" / "more")
    assert read(tmp_path / "here").train_labels.tolist() == [0] * 5 + [1] * 2
    loop = tmp_path / "here" / "train" / "a" / "loop"
    loop.symlink_to(tmp_path / "here" / "train")
    with pytest.raises(InputError, match=r"a/loop: is a link to a folder that it lies"):
        read(tmp_path / "here")


def test_names_in_another_encoding_are_named(tmp_path: Path) -> None:
    tree(tmp_path, {"ä": 2, "b": 2})
    latin = os.fsencode(tmp_path / "ä") + "/ö.png".encode("latin-1")
    try:
        os.rename(tmp_path / "ä" / "00.png", latin)
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(InputError, match=r"ä: the name b'\\xf6.png' is not UTF-8"):
        read(tmp_path)


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "a" / "locked").mkdir()
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=r"a/locked: cannot be listed: Permission"):
        read(tmp_path)


def test_a_damaged_file_ends_the_run_or_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tree(tmp_path, {"a": 4, "b": 4}, "train", "test")
    cut = tmp_path / "train" / "a" / "00.png"
    cut.write_bytes(cut.read_bytes()[:50])
    with pytest.raises(InputError, match=r"train/a/00\.png: .*on_error=skip"):
        read(tmp_path)
    with caplog.at_level(logging.WARNING):
        images = read(tmp_path, on_error="skip")
    assert "1 files cannot be read and are left out" in caplog.text
    assert len(images.train_paths) == 7


def test_only_decoding_finds_damage_in_the_middle(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "a.png").write_bytes(content)
    assert find_faults(tmp_path, ["a.png"], decode=False) == {}
    assert set(find_faults(tmp_path, ["a.png"], decode=True)) == {"a.png"}


def test_test_images_that_are_training_images_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tree(tmp_path, {"a": 3, "b": 3}, "train", "test")
    source = tmp_path / "train" / "a" / "01.png"
    (tmp_path / "test" / "a" / "copy.png").write_bytes(source.read_bytes())
    with caplog.at_level(logging.WARNING):
        read(tmp_path)
    # Each class's images are the other class's too.
    assert "1 test images are training images too" in caplog.text
    assert "test/a/copy.png" in caplog.text


def test_files_alike_in_size_and_end_are_no_duplicates(tmp_path: Path) -> None:
    contents = {
        "train/a": b"1" + bytes(600),
        "train/b": b"2" + bytes(600),
        "train/c": b"3" + bytes(600),
        "train/short": b"1",
        "test/twin": b"2" + bytes(600),
        "test/size": b"2" + bytes(599) + b"1",
        "test/end": b"4" + bytes(600),
        "test/again": b"2" + bytes(600),
    }
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    train = [name for name in contents if name.startswith("train")]
    test = [name for name in contents if name.startswith("test")]
    assert warn_of_duplicates(tmp_path, train, test) == 2


def test_a_stream_goes_by_arrival_and_keeps_its_rows(tmp_path: Path) -> None:
    tree(tmp_path / "may", {"z": 3, "y": 3})
    tree(tmp_path / "june", {"a": 3}, "train", "test")
    first = read(tmp_path, ("may",))
    both = read(tmp_path, ("may", "june"))
    assert both.class_names == ("y", "z", "a")
    assert both.task_sizes == (2, 1)
    part = both.first_classes(2)
    columns = ("paths", "labels", "bytes")
    for name in (f"{split}_{c}" for split in ("train", "test") for c in columns):
        assert getattr(part, name).tolist() == getattr(first, name).tolist()
    config = SourceConfig(name="image_folder", path=str(tmp_path))
    about = describe_source(config, image_size=8, stream=("may", "june"))
    assert (about.num_classes, about.task_sizes) == (3, (2, 1))


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (("may", "again"), "class 'y' is in may and in again"),
        (("may", "may"), "names 'may' twice"),
        (("../may",), "must be a folder below"),
        (("july",), "july: is not a folder"),
        ((), "at least one folder"),
    ],
)
def test_a_stream_that_does_not_fit_is_refused(
    tmp_path: Path, stream: tuple[str, ...], message: str
) -> None:
    tree(tmp_path / "may", {"y": 2})
    tree(tmp_path / "again", {"y": 2})
    with pytest.raises(InputError, match=message):
        read(tmp_path, stream)


def test_settings_that_do_not_fit_a_source_are_refused(tmp_path: Path) -> None:
    tree(tmp_path, {"a": 2, "b": 2})
    folder = SourceConfig(name="image_folder", path=str(tmp_path))
    with pytest.raises(InputError, match="image_size = null: source image_folder"):
        read_source(folder)
    with pytest.raises(InputError, match="image_size = 8: images of digits have"):
        read_source(SourceConfig(), image_size=8)
    with pytest.raises(InputError, match="only source image_folder has folders"):
        describe_source(SourceConfig(), stream=("a",))
    with pytest.raises(InputError, match="needs the folder of its images"):
        describe_source(SourceConfig(name="image_folder"), image_size=8)


@pytest.fixture
def two_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    from daformer_kedro.scenario import sources

    small = {"imagenet100": imagenet.ImageNet(2, ("n02", "n01"))}
    monkeypatch.setattr(sources, "FILE_SOURCES", {**sources.FILE_SOURCES, **small})


@pytest.mark.usefixtures("two_classes")
@pytest.mark.parametrize("table", [None, "val_labels.csv", "LOC_val_solution.csv"])
def test_imagenet_s_validation_set_may_lie_flat(
    tmp_path: Path, table: str | None
) -> None:
    tree(tmp_path / "train", {"n01": 2, "n02": 2, "n03": 2})
    if table is None:
        tree(tmp_path / "val", {"n01": 1, "n02": 1, "n03": 1})
    else:
        lines = ["ImageId,PredictionString"]
        for number, wnid in enumerate(("n01", "n02", "n03")):
            photo(tmp_path / "val" / f"ILSVRC_{number}.JPEG", size=(9, 9))
            box = " 1 2 3 4" if table.startswith("LOC") else ""
            lines.append(f"ILSVRC_{number},{wnid}{box}")
        (tmp_path / table).write_text("\n".join(lines) + "\n")
    config = SourceConfig(name="imagenet100", path=str(tmp_path))
    images = read_source(config, image_size=8)
    assert isinstance(images, ImageFiles)
    assert images.class_names == ("n02", "n01")  # the order of the list
    assert [p.split("/")[1] for p in images.train_paths] == ["n02"] * 2 + ["n01"] * 2
    assert images.test_labels.tolist() == [0, 1]


@pytest.mark.usefixtures("two_classes")
def test_imagenet_names_what_its_validation_set_lacks(tmp_path: Path) -> None:
    tree(tmp_path / "train", {"n01": 2, "n02": 2})
    config = SourceConfig(name="imagenet100", path=str(tmp_path))
    with pytest.raises(InputError, match="no folder val, whose images are the test"):
        read_source(config, image_size=8)
    photo(tmp_path / "val" / "a.JPEG")
    (tmp_path / "val_labels.csv").write_text("a.JPEG,n02\n")
    with pytest.raises(InputError, match=r"val: has no image of 1 classes, .*: n01"):
        read_source(config, image_size=8)
    photo(tmp_path / "val" / "b.JPEG")
    with pytest.raises(InputError, match=r"val_labels.csv: has no label for val/b.JPE"):
        read_source(config, image_size=8)


def test_imagenet_counts_its_classes(tmp_path: Path) -> None:
    tree(tmp_path / "train", {"n01": 1})
    config = SourceConfig(name="imagenet1000", path=str(tmp_path))
    with pytest.raises(InputError, match="holds 1 class folders; it must be 1000"):
        describe_source(config, image_size=224)
    config = SourceConfig(name="imagenet100", path=str(tmp_path))
    with pytest.raises(InputError, match="100 of the 100 WordNet ids are missing"):
        describe_source(config, image_size=224)
    assert len(set(imagenet.IMAGENET100.wnids or ())) == 100
