"""Folders of training and test images, by their names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources import describe_source, read_source
from daformer_kedro.scenario.sources.split_folders import Splits, pair_splits

CLASSES = ("cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png")


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("Train", "Test"),
        ("TRAIN", "VAL"),
        ("training", "testing"),
        ("training_set", "test_set"),
        ("Training Set", "Test Set"),
        ("trainset", "testset"),
        ("TrainingImages", "TestImages"),
        ("train2017", "val2017"),
        ("train", "valid"),
        ("train", "Validation"),
        ("train", "dev"),
        ("train-images", "eval"),
        ("train_data", "hold-out"),
        ("seg_train", "seg_test"),
        ("ILSVRC2012_img_train", "ILSVRC2012_img_val"),
    ],
)
def test_common_spellings_are_recognised(train: str, test: str) -> None:
    assert pair_splits([train, test]) == Splits(train, test)


@pytest.mark.parametrize(
    "folders",
    [("cat", "dog"), ("train", "bus"), ("train station", "tube"), ("trainer", "test")],
)
def test_classes_are_no_splits(folders: tuple[str, ...]) -> None:
    assert pair_splits(folders) is None


@pytest.mark.parametrize("validation", ["val", "Validation", "valid", "dev"])
def test_validation_images_lie_beside_those_to_train_and_to_test(
    validation: str,
) -> None:
    found = pair_splits(["train", validation, "test", "notes"])
    assert found == Splits("train", "test", ("notes",), validation)


def test_several_of_one_kind_are_refused() -> None:
    message = r"may both hold (training|test|validation) images"
    for folders in (
        ("train", "Train", "test"),
        ("train", "test", "eval"),
        ("train", "test", "val", "dev"),
        ("train", "val", "dev"),
    ):
        with pytest.raises(InputError, match=message):
            pair_splits(folders)
    with pytest.raises(InputError, match="2024_train and test_new may hold training"):
        pair_splits(["2024_train", "test_new"])
    with pytest.raises(InputError, match="cat_train and dog_train may both hold"):
        pair_splits([f"{a}_{b}" for a in ("cat", "dog") for b in ("train", "test")])


def lay(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (number, 7 * number, 0)).save(root / name)
    return root


def read(root: Path, stream: tuple[str, ...] | None = None) -> Any:
    config = SourceConfig(name="image_folder", path=str(root))
    return read_source(config, image_size=8, stream=stream)


def test_they_are_read_whatever_their_spelling(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for split in ("Training_Set", "VALID", "unlabelled"):
        lay(tmp_path / split, *CLASSES)
    images = read(tmp_path)
    assert images.class_names == ("cat", "dog")
    assert images.train_paths[0] == "Training_Set/cat/0.png"
    assert images.test_paths[0] == "VALID/cat/0.png"
    expected = "trains on Training_Set, tests on VALID; not read: unlabelled"
    assert expected in caplog.text


def test_three_folders_train_validate_and_test(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lay(tmp_path, *(f"{split}/{c}" for split in ("train", "test") for c in CLASSES))
    lay(tmp_path / "val", "dog/7.png", "dog/8.png")
    with caplog.at_level("INFO"):
        images = read(tmp_path)
    assert "trains on train, tests on test, validates on val" in caplog.text
    chosen = images.train_paths[images.is_validation]
    assert chosen.tolist() == ["val/dog/7.png", "val/dog/8.png"]
    assert images.train_labels.tolist() == [0, 0, 1, 1, 1, 1]  # in label order
    assert all(path.startswith("test/") for path in images.test_paths)
    lay(tmp_path / "val", "bird/0.png")
    with pytest.raises(InputError, match=r"class 'bird' is in val and not in train"):
        read(tmp_path)


def test_validation_images_may_take_the_place_of_the_test_images(
    tmp_path: Path,
) -> None:
    splits = ("train", "test", "val")
    lay(tmp_path, *(f"{split}/{c}" for split in splits for c in CLASSES))
    config = SourceConfig(
        name="image_folder", path=str(tmp_path), evaluate_on="validation"
    )
    images: Any = read_source(config, image_size=8)
    assert images.test_paths.tolist() == [f"val/{c}" for c in CLASSES]
    both = replace(config, validation_fraction=0.5)
    with pytest.raises(InputError, match=r"fraction = 0\.5: source\.path has a folder"):
        read_source(both, image_size=8)


def test_all_folders_of_a_stream_have_validation_images_or_none_has(
    tmp_path: Path,
) -> None:
    for month, first, second in (("may", "cat", "dog"), ("june", "fox", "owl")):
        names = [f"{c}/{n}.png" for c in (first, second) for n in (0, 1)]
        lay(tmp_path / month, *(f"{s}/{n}" for s in ("train", "test") for n in names))
    lay(tmp_path, "may/val/dog/5.png")
    with pytest.raises(InputError, match=r"may has a folder of .*, and june has none"):
        read(tmp_path, ("may", "june"))
    lay(tmp_path, "june/val/owl/5.png")
    images = read(tmp_path, ("may", "june"))
    rows = images.is_validation
    assert images.train_paths[rows].tolist() == [
        "may/val/dog/5.png",
        "june/val/owl/5.png",
    ]
    assert images.train_labels[rows].tolist() == [1, 3]
    first = images.first_classes(2)
    assert first.is_validation.tolist() == rows[: len(first.train_paths)].tolist()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([f"set/{s}/{c}" for s in ("train", "test") for c in CLASSES], "set: holds tr"),
        (
            [f"{c}/{s}/0.png" for s in ("Train", "VAL") for c in ("cat", "dog")],
            r"cat: holds Train and VAL, so it is not a class; give .*, or lay out all",
        ),
        ([f"photos/{c}" for c in CLASSES], "one class, 'photos'; .* are cat, dog in"),
        (["cat/0.png", "cat/1.png"], r"one class, 'cat'; at least two are needed"),
        ([f"train/{c}" for c in CLASSES], "has a folder train and no folder test"),
        ([f"Eval/{c}" for c in CLASSES], "has a folder Eval and no folder train"),
        (["train/0.png", "test/0.png"], r"train: has no class folder"),
    ],
)
def test_a_folder_that_would_mislead_is_refused_before_anything_is_read(
    tmp_path: Path, files: list[str], message: str
) -> None:
    lay(tmp_path, *files)
    config = SourceConfig(name="image_folder", path=str(tmp_path))
    with pytest.raises(InputError, match=message):
        describe_source(config, image_size=8)


def test_a_single_class_may_arrive_later(tmp_path: Path) -> None:
    lay(tmp_path / "may", *CLASSES)
    lay(tmp_path / "june", "bird/0.png", "bird/1.png")
    assert read(tmp_path, ("may", "june")).class_names == ("cat", "dog", "bird")
    with pytest.raises(InputError, match="june: holds one class, 'bird'"):
        read(tmp_path, ("june",))


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    lay(tmp_path, *CLASSES, "train/0.png", "train/1.png")
    assert read(tmp_path).class_names == ("cat", "dog", "train")


def test_parts_that_hold_the_same_folders_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lay(tmp_path, *(f"part {n}/{c}" for n in (1, 2) for c in CLASSES))
    assert read(tmp_path).class_names == ("part 1", "part 2")
    assert (
        "the classes are part 1, part 2; each of them holds the folders cat, dog"
        in (caplog.text)
    )
