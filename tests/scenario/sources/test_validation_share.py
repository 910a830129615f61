"""Training images that no task trains on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daformer_kedro.config import SourceConfig
from daformer_kedro.config.run import Config
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_files import ImageFiles
from daformer_kedro.scenario.images import ImageArrays
from daformer_kedro.scenario.plan import make_plan
from daformer_kedro.scenario.samples import of_split, samples_of_task
from daformer_kedro.scenario.sources import read_source
from daformer_kedro.scenario.tasks import split_tasks


def _digits(fraction: float | None = None, seed: int = 0) -> ImageArrays:
    images = read_source(SourceConfig(validation_fraction=fraction, split_seed=seed))
    assert isinstance(images, ImageArrays)
    return images


def _contents(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_a_stratified_share_of_the_training_images_is_evaluated_on() -> None:
    usual, held_out = _digits(), _digits(0.25)
    assert held_out.is_validation is not None
    train = held_out.train_images[~held_out.is_validation]
    validation = held_out.test_images
    assert _contents(held_out.train_images[held_out.is_validation]) == _contents(
        validation
    )
    assert len(train) + len(validation) == len(usual.train_images)
    assert _contents(train) | _contents(validation) == _contents(usual.train_images)
    assert not _contents(validation) & _contents(usual.test_images)
    counts = np.bincount(held_out.test_labels)
    totals = np.bincount(usual.train_labels)
    assert (np.abs(counts - 0.25 * totals) <= 0.5).all()


def test_the_same_seed_holds_out_the_same_images() -> None:
    held_out = _contents(_digits(0.25).test_images)
    assert _contents(_digits(0.25).test_images) == held_out
    # Another seed also divides training and test images differently.
    assert _contents(_digits(0.25, seed=1).test_images) != held_out


def _folder(root: Path, counts: dict[str, int]) -> SourceConfig:
    for number, (name, count) in enumerate(counts.items()):
        for split, num in (("train", count), ("test", 1)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(num):
                colour = (40 * number, i, 255 if split == "test" else 0)
                Image.new("RGB", (8, 8), colour).save(folder / f"{i}.png")
    return SourceConfig(name="image_folder", path=str(root), validation_fraction=0.4)


def test_files_are_held_out_with_their_labels_and_sizes(tmp_path: Path) -> None:
    config = _folder(tmp_path, {"cat": 5, "dog": 2})
    images = read_source(config, image_size=8)
    assert isinstance(images, ImageFiles)
    assert images.is_validation is not None
    trained = ~images.is_validation
    # 2 of 5, 1 of 2 held out
    assert images.train_labels[trained].tolist() == [0, 0, 0, 1]
    assert images.test_labels.tolist() == [0, 0, 1]
    paths = [*images.train_paths[trained], *images.test_paths]
    assert len(set(paths)) == 7
    assert all(path.startswith("train/") for path in paths)
    num_bytes = [*images.train_bytes[trained], *images.test_bytes]
    sizes = dict(zip(paths, num_bytes, strict=True))
    assert all((tmp_path / path).stat().st_size == size for path, size in sizes.items())


def test_the_test_images_may_stay_beside_a_validation_share() -> None:
    usual = _digits()
    config = SourceConfig(validation_fraction=0.25, evaluate_on="test")
    images = read_source(config)
    assert isinstance(images, ImageArrays)
    assert np.array_equal(images.test_images, usual.test_images)
    assert np.array_equal(images.train_images, usual.train_images)
    assert images.is_validation is not None
    scenario = split_tasks(images, range(10), (5, 5))
    first, last = (samples_of_task(scenario, task) for task in (0, 1))
    rows = np.flatnonzero(images.is_validation)
    assert of_split(last, "validation")["sample_index"].tolist() == rows.tolist()
    assert of_split(first, "validation")["target"].max() == 4
    trained = of_split(last, "train")["sample_index"]
    assert not images.is_validation[trained].any()
    counts = scenario["split"].value_counts()
    assert counts["train"] + counts["validation"] == len(usual.train_images)


def test_there_must_be_images_to_evaluate_on_or_to_stop_by() -> None:
    on_none = replace(Config().source, evaluate_on="validation")
    with pytest.raises(InputError, match=r"evaluate_on = validation: there are no"):
        make_plan(replace(Config(), source=on_none))
    patient = replace(Config(), training=replace(Config().training, patience=3))
    with pytest.raises(InputError, match=r"training\.patience = 3 needs validation"):
        make_plan(patient)
    shared = replace(Config().source, validation_fraction=0.1)
    assert make_plan(replace(patient, source=shared)).source.has_validation


def test_a_class_of_one_training_image_is_refused(tmp_path: Path) -> None:
    config = _folder(tmp_path, {"cat": 5, "dog": 1})
    with pytest.raises(
        InputError, match=r"validation_fraction = 0\.4: class 'dog' has"
    ):
        read_source(config, image_size=8)
