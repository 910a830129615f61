"""Smaller copies of large images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from daformer_kedro.config import SourceConfig
from daformer_kedro.config.run import Config
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_files import ImageFiles
from daformer_kedro.scenario.plan import make_plan
from daformer_kedro.scenario.sources import describe_source, index_source, read_source
from daformer_kedro.scenario.sources.resizing import copy_name, make_copies

COLOUR = (200, 30, 60)


def photo(path: Path, size: tuple[int, int], colour: Any = COLOUR) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def copied(folder: Path, name: str) -> Image.Image:
    with Image.open(folder / copy_name(name)) as image:
        image.load()
        return image


def test_the_short_side_is_reduced_and_small_images_stay(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a" / "wide.png", (100, 50))
    photo(tmp_path / "in" / "a" / "wide.bmp", (50, 101))
    photo(tmp_path / "in" / "ü" / "small.png", (9, 12))
    names = ["a/wide.png", "a/wide.bmp", "ü/small.png"]
    assert make_copies(tmp_path / "in", names, tmp_path / "out", 20) == {}
    sizes = [copied(tmp_path / "out", name).size for name in names]
    assert sizes == [(40, 20), (20, 40), (9, 12)]
    for name in names:
        pixel = np.array(copied(tmp_path / "out", name).getpixel((0, 0)))
        assert np.abs(pixel - COLOUR).max() <= 2  # JPEG at 95
    left = {p.name for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert left == {"wide.png.jpg", "wide.bmp.jpg", "small.png.jpg"}


def test_a_copy_is_made_again_only_where_its_image_changed(tmp_path: Path) -> None:
    file = photo(tmp_path / "in" / "a.bmp", (30, 30))
    photo(tmp_path / "in" / "b.bmp", (30, 30))
    folder, names = tmp_path / "out", ["a.bmp", "b.bmp"]
    make_copies(tmp_path / "in", names, folder, 10)
    before = [(folder / copy_name(n)).stat().st_ino for n in names]
    make_copies(tmp_path / "in", names, folder, 10)
    assert [(folder / copy_name(n)).stat().st_ino for n in names] == before
    photo(file, (30, 30), (0, 0, 255))  # as many bytes as before, at another time
    os.utime(file, ns=(10**18, 10**18))
    (folder / copy_name("b.bmp")).write_bytes(b"cut off")
    make_copies(tmp_path / "in", names, folder, 10)
    assert copied(folder, "a.bmp").getpixel((0, 0))[2] > 250
    assert copied(folder, "b.bmp").getpixel((0, 0))[0] > 190


@pytest.mark.parametrize("count", [3, 150])  # alone, and with other processes
def test_what_cannot_be_read_has_a_reason_and_no_copy(
    tmp_path: Path, count: int
) -> None:
    names = [f"{number}.png" for number in range(count)]
    for name in names:
        photo(tmp_path / name, (4, 4))
    (tmp_path / "1.png").write_bytes(b"no image")
    faults = make_copies(tmp_path, [*names, "gone.png"], tmp_path / "out", 2)
    assert set(faults) == {"1.png", "gone.png"}
    assert faults["1.png"].startswith("cannot be read as an image")
    assert not (tmp_path / "out" / copy_name("1.png")).exists()
    assert copied(tmp_path / "out", names[-1]).size == (2, 2)


def test_a_copy_that_cannot_be_written_ends_it(tmp_path: Path) -> None:
    photo(tmp_path / "a" / "1.png", (4, 4))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("a file where a folder must be")
    with pytest.raises(InputError, match=r"out/a/1\.png\.jpg: cannot be written"):
        make_copies(tmp_path, ["a/1.png"], tmp_path / "out", 2)


def test_copies_stand_in_for_the_images(tmp_path: Path) -> None:
    root, copies = tmp_path / "images", tmp_path / "resized"
    for split in ("train", "test"):
        for label, name in enumerate(("a", "b")):
            photo(root / split / name / "0.png", (60, 40), (100 * label, len(split), 0))
    (root / "train" / "b" / "bad.png").write_bytes(b"")
    config = SourceConfig(
        name="image_folder", path=str(root), cache_size=16, on_error="skip"
    )
    images, left_out = index_source(config, image_size=8, resize=8, copies=copies)
    assert isinstance(images, ImageFiles)
    assert images.root == copies
    assert images.cache_size == 16
    assert images.train_paths.tolist() == ["train/a/0.png.jpg", "train/b/0.png.jpg"]
    sizes = [(root / "train" / name / "0.png").stat().st_size for name in "ab"]
    assert images.train_bytes.tolist() == sizes  # of the images, not of the copies
    assert len(left_out.skipped) == 1
    view = images.view("test", [1])
    assert view.shape == (1, 8, 8, 3)
    assert abs(int(view[0, 4, 4, 0]) - 100) <= 2
    with pytest.raises(InputError, match="cache_size = 16 needs a folder for the cop"):
        read_source(config, image_size=8)


def test_the_longest_names_have_copies_of_their_own(tmp_path: Path) -> None:
    names = ["a/" + "x" * 249 + end for end in ("1.png", "2.png")]  # 254 bytes
    names += ["a/" + "ü" * 125 + ".png", "a/" + "x" * 247 + ".png"]  # 254 and 251
    for number, name in enumerate(names):
        photo(tmp_path / "in" / name, (4, 4), (60 * number, 0, 0))
    assert make_copies(tmp_path / "in", names, tmp_path / "out", 2) == {}
    reds = [copied(tmp_path / "out", name).getpixel((0, 0))[0] for name in names]
    assert np.abs(np.array(reds) - [0, 60, 120, 180]).max() <= 2
    assert copy_name(names[3]) == names[3] + ".jpg"


def test_sizes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cache_size = 9: images of digits are small"):
        describe_source(SourceConfig(cache_size=9))
    for split in ("train", "test"):
        for name in ("a", "b"):
            photo(tmp_path / split / name / "0.png", (60, 40))
    parameters = {
        "source": {"name": "image_folder", "path": str(tmp_path), "cache_size": 15},
        "scenario": {"increment": 1},
        "preprocessing": {"image_size": 8, "resize": 16},
    }
    message = r"cache_size = 15 is smaller than preprocessing\.resize = 16"
    with pytest.raises(InputError, match=message):
        make_plan(Config.from_parameters(parameters))


def test_normalisation_has_a_number_for_each_channel() -> None:
    """One number for three channels would fail once images are read."""
    parameters = {
        "source": {"name": "cifar10", "path": "anywhere"},
        "preprocessing": {"mean": [0.5], "std": [0.5]},
    }
    message = r"mean = \[0\.5\] has 1 channels; images of cifar10 have 3"
    with pytest.raises(InputError, match=message):
        make_plan(Config.from_parameters(parameters))
