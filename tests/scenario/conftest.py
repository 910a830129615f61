"""Tiny data sets in the layouts that the sources read."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

CIFAR10_NAMES = (
    "airplane", "automobile", "bird", "cat", "deer",
    "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


@pytest.fixture(scope="session")
def png() -> Callable[..., bytes]:
    """Encode an array as PNG."""

    def encode(pixels: np.ndarray, mode: str | None = None) -> bytes:
        buffer = io.BytesIO()
        image = Image.fromarray(pixels)
        (image.convert(mode) if mode else image).save(buffer, format="PNG")
        return buffer.getvalue()

    return encode


@pytest.fixture(scope="session")
def ten_classes() -> dict[str, np.ndarray]:
    """Two training images and one test image a class of noise; labels interleaved."""
    generator = np.random.default_rng(0)
    return {
        "train_images": generator.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8),
        "train_labels": np.array([*range(10), *reversed(range(10))]),
        "test_images": generator.integers(0, 256, (10, 32, 32, 3), dtype=np.uint8),
        "test_labels": np.array([3, 1, 4, 0, 5, 9, 2, 6, 8, 7]),
    }


@pytest.fixture(scope="session")
def flat_rows() -> Callable[[np.ndarray], np.ndarray]:
    """Lay images out as CIFAR's pickles do: 1024 red, 1024 green, 1024 blue values."""

    def flatten(images: np.ndarray) -> np.ndarray:
        channels = [images[..., c].reshape(len(images), 1024) for c in range(3)]
        return np.concatenate(channels, axis=1)

    return flatten


@pytest.fixture
def write_pickle() -> Callable[..., None]:
    """Write a pickle, by default in the protocol that the original files have."""

    def write(path: Path, content: Any, protocol: int = 2) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(content, protocol=protocol))

    return write


@pytest.fixture
def cifar10_pickles(
    tmp_path: Path,
    ten_classes: dict[str, np.ndarray],
    flat_rows: Callable[[np.ndarray], np.ndarray],
    write_pickle: Callable[..., None],
) -> Path:
    """Return the parent of a ``cifar-10-batches-py``, four images per batch."""
    folder = tmp_path / "pickles" / "cifar-10-batches-py"
    for batch in range(5):
        rows = slice(4 * batch, 4 * batch + 4)
        content = {
            b"data": flat_rows(ten_classes["train_images"][rows]),
            b"labels": ten_classes["train_labels"][rows].tolist(),
        }
        write_pickle(folder / f"data_batch_{batch + 1}", content)
    content = {
        b"data": flat_rows(ten_classes["test_images"]),
        b"labels": ten_classes["test_labels"].tolist(),
    }
    write_pickle(folder / "test_batch", content)
    return folder.parent


@pytest.fixture
def write_parquet() -> Callable[..., None]:
    """Write a parquet file in the layout of the Hugging Face hub."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def write(
        path: Path,
        encoded: list[bytes | None],
        labels: list[int | None],
        image_column: str = "img",
        label_column: str = "label",
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        images = [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(encoded)]
        table = pa.table(
            {
                image_column: pa.array(images, struct),
                label_column: pa.array(labels, pa.int64()),
            }
        )
        pq.write_table(table, path)

    return write


@pytest.fixture
def cifar10_parquet(
    tmp_path: Path,
    ten_classes: dict[str, np.ndarray],
    png: Callable[..., bytes],
    write_parquet: Callable[..., None],
) -> Path:
    """Return a folder with the training set in two shards and one test file."""
    folder = tmp_path / "parquet"
    train = [png(image) for image in ten_classes["train_images"]]
    labels = ten_classes["train_labels"].tolist()
    write_parquet(folder / "train-00000-of-00002.parquet", train[:13], labels[:13])
    write_parquet(folder / "train-00001-of-00002.parquet", train[13:], labels[13:])
    write_parquet(
        folder / "test-00000-of-00001.parquet",
        [png(image) for image in ten_classes["test_images"]],
        ten_classes["test_labels"].tolist(),
    )
    return folder


@pytest.fixture
def cifar10_folders(
    tmp_path: Path, ten_classes: dict[str, np.ndarray], png: Callable[..., bytes]
) -> Path:
    """Return a folder with ``train/<class>`` and ``test/<class>``."""
    folder = tmp_path / "folders"
    for split in ("train", "test"):
        images = ten_classes[f"{split}_images"]
        for row, label in enumerate(ten_classes[f"{split}_labels"]):
            file = folder / split / CIFAR10_NAMES[label] / f"{row:04}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(images[row]))
    return folder
