"""Results on validation images: no file of test images is opened before them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.images import Images
from daformer_kedro.scenario.sources import read_source


def ruin_test_files(root: Path) -> int:
    files = [
        f for f in root.rglob("*") if f.is_file() and "test" in str(f.relative_to(root))
    ]
    for file in files:
        file.write_bytes(b"no image and no label")
    return len(files)


def read(name: str, root: Path, *, validation: bool, **options: object) -> Images:
    size = 8 if name in ("image_folder", "imagenet") else None
    copies = root / "copies" if options.get("cache_size") else None
    source = SourceConfig(
        name=name,
        path=str(root),
        validation_fraction=0.5,
        evaluate_on="validation" if validation else "test",
        **options,
    )
    return read_source(source, image_size=size, copies=copies)


@pytest.mark.parametrize("layout", ["pickles", "parquet", "folders"])
def test_cifar(layout: str, request: pytest.FixtureRequest) -> None:
    root: Path = request.getfixturevalue(f"cifar10_{layout}")
    before = read("cifar10", root, validation=True)
    held = before.test_images.tobytes()
    assert held != read("cifar10", root, validation=False).test_images.tobytes()
    assert ruin_test_files(root)
    again = read("cifar10", root, validation=True)
    assert again.test_images.tobytes() == held
    with pytest.raises(InputError):
        read("cifar10", root, validation=False)


@pytest.mark.parametrize("options", [{}, {"on_error": "skip"}, {"cache_size": 8}])
def test_image_folder(tmp_path: Path, options: dict[str, object]) -> None:
    for split in ("train", "test"):
        for number, label in enumerate(("cat", "dog")):
            folder = tmp_path / "images" / split / label
            folder.mkdir(parents=True)
            for i in range(4):
                pixels = np.full((12, 12, 3), 60 * number + i, np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    root = tmp_path / "images"
    assert ruin_test_files(root) == 8
    images = read("image_folder", root, validation=True, **options)
    assert len(images.test_paths) == 4
    assert all("train" in path for path in images.test_paths.tolist())


def test_a_source_that_raises_on_its_test_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from daformer_kedro.scenario.sources import fashion_mnist

    def read_split(folder: Path, split: str) -> object:
        assert split == "train"
        images = np.zeros((40, 28, 28, 1), np.uint8)
        labels = np.repeat(np.arange(10), 4)
        return fashion_mnist.LabelledImages(images, labels)

    monkeypatch.setattr(fashion_mnist, "_read_split", read_split)
    (tmp_path / "train-images-idx3-ubyte").touch()
    images = read("fashion_mnist", tmp_path, validation=True)
    assert len(images.test_labels) == 20
