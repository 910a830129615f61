"""Differences between methods in plain sentences."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from daformer_kedro.evaluation.paired_differences import COMPARED

_TITLES = {
    "average_incremental_accuracy": "average incremental accuracy",
    "last_accuracy": "last accuracy",
}
_NOTE = (
    "Intervals are of a bootstrap over the runs and the test images of each class; "
    "t intervals, of the runs alone, are the safer ones below about ten pairs. Power: "
    "four chances out of five to find one point with a paired t-test at 5 %.\n"
)


def difference_sentences(differences: pd.DataFrame) -> str:
    """Write a sentence per difference as Markdown; empty with a single method.

    Args:
        differences: see
            :func:`~daformer_kedro.evaluation.paired_differences.paired_differences`.
    """
    if differences.empty:
        return ""
    parts = []
    for measure in COMPARED:
        rows = differences[differences["measure"] == measure]
        lines = [f"- {sentence(row)}\n" for row in rows.to_dict("records")]
        parts.append(f"Differences in {_TITLES[measure]}:\n\n{''.join(lines)}")
    return "\n" + "\n".join([*parts, _NOTE])


def sentence(row: Mapping[Hashable, Any]) -> str:
    """Say one difference, its interval and what they rest on."""
    methods = f"{row['method']} − {row['other']}"
    num_pairs = int(row["num_pairs"])
    if not num_pairs:
        return (
            f"{methods}: no two runs with the same class order and seed, tested on "
            "the same images"
        )
    rests_on = [f"{num_pairs} {'pair' if num_pairs == 1 else 'pairs'}"]
    if pd.notna(row["num_images"]):
        rests_on.append(f"{int(row['num_images'])} test images")
    parts = [f"{methods}: {_signed(row['difference'])} points"]
    if pd.notna(row["low"]):
        parts.append(f"95 % interval {_number(row['low'])} to {_number(row['high'])}")
    parts += rests_on
    if pd.isna(row["num_images"]):
        parts.append("runs alone resampled, since predictions are not stored")
    text = ", ".join(parts)
    if num_pairs == 1:
        return f"{text}; one pair says nothing about other seeds and class orders"
    t_text = f"{_number(row['t_low'])} to {_number(row['t_high'])}"
    needed = int(row["pairs_for_one_point"])
    return (
        f"{text}; t interval {t_text}; a difference of one point would need about "
        f"{needed} pairs, estimated from {num_pairs}"
    )


def _signed(value: float) -> str:
    return ("+" if round(value, 1) >= 0 else "") + _number(value)


def _number(value: float) -> str:
    text = f"{value:.1f}"
    return "0.0" if text == "-0.0" else text.replace("-", "−")
