"""Images in parquet files, as the Hugging Face hub stores data sets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_decoding import decode_square
from daformer_kedro.scenario.sources.source import LabelledImages

if TYPE_CHECKING:
    import pyarrow as pa

_SHARD = re.compile(r"-(\d+)-of-(\d+)\.parquet$")


@dataclass(frozen=True)
class ParquetLayout:
    """Layout of the files.

    Attributes:
        image_columns: accepted names of the image column, a struct with ``bytes``.
        label_column: name of the column of integer labels.
        num_classes: labels are 0..num_classes - 1.
        image_size: side of the square images, in pixels.
    """

    image_columns: tuple[str, ...]
    label_column: str
    num_classes: int
    image_size: int


def find_parquet_files(folders: Sequence[Path]) -> list[Path]:
    """Return the parquet files of the first folder that has any, sorted by name."""
    for folder in folders:
        # File managers and archivers leave hidden files such as ._train.parquet.
        files = sorted(
            file
            for file in folder.glob("*.parquet")
            if not file.name.startswith(".") and file.is_file()
        )
        if files:
            return files
    return []


def read_parquet(
    files: Sequence[Path], layout: ParquetLayout, *, with_test: bool = True
) -> tuple[LabelledImages, LabelledImages]:
    """Read training and test set; rows stand as in the files, these in order of name.

    Without the test set, whose files are not opened then, training images stand in.

    Raises:
        InputError: a split or a shard is missing, or a file is damaged, empty, lacks
            a column or holds an unusable image or label.
    """
    found = [_files_of(split, files) for split in ("train", "test")]
    train, *rest = (
        LabelledImages.concatenated([_read_file(file, layout) for file in of_split])
        for of_split in (found if with_test else found[:1])
    )
    return train, rest[0] if rest else train


def _files_of(split: str, files: Sequence[Path]) -> list[Path]:
    other = "test" if split == "train" else "train"
    found = [f for f in files if split in f.name.lower()]
    if not found:
        raise InputError(
            f"{files[0].parent}: no {split} file; a name must contain {split!r}. "
            f"Found: {', '.join(f.name for f in files)}"
        )
    unclear = [f.name for f in found if other in f.name.lower()]
    if unclear:
        raise InputError(
            f"{files[0].parent}: {unclear[0]} names both train and test; a name must "
            "contain one of the two"
        )
    _check_shards(found)
    return found


def _check_shards(files: Sequence[Path]) -> None:
    """Refuse a set of shards that its own names call incomplete."""
    present: dict[tuple[str, int], set[int]] = {}
    for file in files:
        match = _SHARD.search(file.name)
        if match:
            key = (file.name[: match.start()], int(match[2]))
            present.setdefault(key, set()).add(int(match[1]))
    for (stem, num_shards), numbers in present.items():
        missing = sorted(set(range(num_shards)) - numbers)
        if missing:
            raise InputError(
                f"{files[0].parent}: of {num_shards} files {stem}-…, number "
                f"{', '.join(map(str, missing))} is missing (they count from 0)"
            )


def _read_file(path: Path, layout: ParquetLayout) -> LabelledImages:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            num_rows = file.metadata.num_rows
            image_column = _check_columns(path, file.schema_arrow, layout)
            if not num_rows:
                raise InputError(f"{path}: has no rows")
            batches = file.iter_batches(
                batch_size=1024, columns=[image_column, layout.label_column]
            )
            return _decode_rows(
                path, _rows(batches, image_column, layout), num_rows, layout
            )
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path}: not a readable parquet file (damaged or cut off?): {error}"
        ) from error


def _check_columns(path: Path, schema: pa.Schema, layout: ParquetLayout) -> str:
    """Return the name of the image column, after a check of names and types."""
    import pyarrow as pa

    names = ", ".join(schema.names) or "none"
    image_column = next((n for n in layout.image_columns if n in schema.names), None)
    if image_column is None:
        raise InputError(
            f"{path}: no column {' or '.join(layout.image_columns)}; columns found: "
            f"{names}"
        )
    if layout.label_column not in schema.names:
        raise InputError(
            f"{path}: no column {layout.label_column}; columns found: {names}"
        )
    kind = schema.field(image_column).type
    if (
        not pa.types.is_struct(kind)
        or kind.get_field_index("bytes") < 0
        or not (
            pa.types.is_binary(kind.field("bytes").type)
            or pa.types.is_large_binary(kind.field("bytes").type)
        )
    ):
        raise InputError(
            f"{path}: column {image_column} is {kind}; it must be a struct with "
            "binary bytes"
        )
    label_kind = schema.field(layout.label_column).type
    if not pa.types.is_integer(label_kind):
        raise InputError(
            f"{path}: column {layout.label_column} is {label_kind}; it must hold "
            "integers"
        )
    return image_column


def _rows(
    batches: Iterator[pa.RecordBatch], image_column: str, layout: ParquetLayout
) -> Iterator[tuple[bytes | None, int | None]]:
    import pyarrow.compute as pc

    for batch in batches:
        encoded = pc.struct_field(batch.column(image_column), "bytes")
        labels = batch.column(layout.label_column)
        yield from zip(encoded.to_pylist(), labels.to_pylist(), strict=True)


def _decode_rows(
    path: Path,
    rows: Iterator[tuple[bytes | None, int | None]],
    num_rows: int,
    layout: ParquetLayout,
) -> LabelledImages:
    images = np.empty((num_rows, layout.image_size, layout.image_size, 3), np.uint8)
    labels = np.empty(num_rows, np.int64)
    for row, (encoded, label) in enumerate(rows):
        if encoded is None:
            raise InputError(f"{path}: row {row} (from 0): has no image")
        if label is None or not 0 <= label < layout.num_classes:
            raise InputError(
                f"{path}: row {row} (from 0): {layout.label_column} is {label}; it "
                f"must be 0..{layout.num_classes - 1}"
            )
        name = f"{path}: row {row} (from 0)"
        images[row] = decode_square(encoded, name, layout.image_size)
        labels[row] = label
    return LabelledImages(images, labels)
