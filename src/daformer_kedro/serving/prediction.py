"""Classify many files: in batches, with a row for each, also for broken ones."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_decoding import decode_rgb
from daformer_kedro.serving.classifier import COLUMNS, Classifier, typed
from daformer_kedro.serving.image_paths import shown

TABLE_COLUMNS = ("image", *COLUMNS, "error")
EMBEDDING = "embedding"
"""Column of the embedding of an image, (E,) float16; empty where it has none."""
_MOST_THREADS = 4  # each may hold an image of hundreds of megapixels

_View = NDArray[np.uint8] | str
"""Pixels, or why there are none."""


def predict_files(
    classifier: Classifier,
    paths: Sequence[Path],
    batch_size: int = 64,
    on_batch: Callable[[int], None] | None = None,
    *,
    with_embeddings: bool = False,
) -> pd.DataFrame:
    """Classify files of any mode and size.

    Memory holds two batches as the network reads them, however many files there are.

    Args:
        classifier: the model.
        paths: the files.
        batch_size: images at a time, at most.
        on_batch: called after each batch with the number of its files.
        with_embeddings: whether to add the column :data:`EMBEDDING`.

    Returns:
        :data:`TABLE_COLUMNS`, one row per file, in order. Where a file cannot be read,
        ``error`` says why and the rest is empty.
    """
    tables = []
    # Pillow warns of odd files, each time. Around the threads and not within them,
    # since filters of warnings belong to the process.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        for batch, views in _views(classifier, paths, batch_size):
            tables.append(_rows(classifier, batch, views, with_embeddings))
            if on_batch is not None:
                on_batch(len(batch))
    return pd.concat(tables, ignore_index=True)


def _views(
    classifier: Classifier, paths: Sequence[Path], batch_size: int
) -> Iterator[tuple[Sequence[Path], list[_View]]]:
    """Batches of decoded files; one more is decoded while one is looked at."""

    def view(path: Path) -> _View:
        try:
            return classifier.view(decode_rgb(path, str(path)))
        except InputError as error:
            return str(error).removeprefix(f"{path}: ")

    batches = [paths[i : i + batch_size] for i in range(0, len(paths), batch_size)]
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        waiting: list[list[Future[_View]]] = []
        for number, batch in enumerate(batches):
            while len(waiting) < min(number + 2, len(batches)):
                ahead = batches[len(waiting)]
                waiting.append([pool.submit(view, path) for path in ahead])
            futures, waiting[number] = waiting[number], []
            yield batch, [future.result() for future in futures]


def _rows(
    classifier: Classifier,
    paths: Sequence[Path],
    views: list[_View],
    with_embeddings: bool,
) -> pd.DataFrame:
    readable = [row for row, view in enumerate(views) if not isinstance(view, str)]
    table = pd.DataFrame(
        {
            "image": pd.array([shown(path) for path in paths], dtype="string"),
            "error": pd.array(
                [view if isinstance(view, str) else None for view in views],
                dtype="string",
            ),
        }
    )
    if readable:
        pixels = np.stack([views[row] for row in readable])
        answers = classifier.answer(pixels, batch_size=len(readable))
        answered = classifier.table(answers)
        if with_embeddings:
            answered[EMBEDDING] = list(answers.embeddings.half().numpy())
        answered.index = pd.Index(readable)
        table = table.join(answered)
    if not with_embeddings:
        return typed(table)[list(TABLE_COLUMNS)]
    return typed(table).reindex(columns=[*TABLE_COLUMNS, EMBEDDING])
