"""Published results to compare with, each with its source."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd

_NUMBERS = (
    "average_incremental_top1",
    "last_top1",
    "average_incremental_top5",
    "last_top5",
)

_PRETRAINED = "_pretrained"
"""End of the names of protocols that begin with a pretrained network."""


def load_published() -> pd.DataFrame:
    """Load all published results that the package carries.

    Returns:
        One row per result: ``benchmark`` and ``protocol`` (such as ``cifar100`` and
        ``10-10``), ``method``, ``memory`` (exemplars in all, as the source words it),
        the four accuracies ``average_incremental_top1``, ``last_top1``,
        ``average_incremental_top5`` and ``last_top5`` **in percent** (missing where
        the source gives none), ``backbone``, ``pretraining`` (the data that it was
        pretrained on, or ``none``), ``class_orders`` (how many were averaged),
        ``source`` and ``note``. Text is empty where the source says nothing.
    """
    table = files("daformer_kedro.evaluation").joinpath("published.csv")
    with table.open(encoding="utf-8") as stream:
        frame = pd.read_csv(stream, dtype=str, keep_default_na=False)
    for column in _NUMBERS:
        frame[column] = pd.to_numeric(frame[column])
    return frame


def published_for(benchmark: str, protocol: str) -> pd.DataFrame:
    """Select the published results of one protocol, best last accuracy first.

    Args:
        benchmark: ``cifar100``, ``imagenet100`` or ``imagenet1000``.
        protocol: classes of the first task and of each later one, such as ``10-10``;
            ``10-10_pretrained`` stands for the same tasks with a pretrained network,
            whose results are not comparable with those from scratch.

    Returns:
        The rows of :func:`load_published`; none for a protocol without any.
    """
    frame = load_published()
    tasks = protocol.removesuffix(_PRETRAINED)
    is_pretrained = frame["pretraining"] != "none"
    rows = frame[
        (frame["benchmark"] == benchmark)
        & (frame["protocol"] == tasks)
        & (is_pretrained == (tasks != protocol))
    ]
    return rows.sort_values(
        "last_top1", ascending=False, kind="stable", ignore_index=True
    )
