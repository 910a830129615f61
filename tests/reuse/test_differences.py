"""What changed, in words."""

from __future__ import annotations

from typing import Any

import pytest

from daformer_kedro.reuse.differences import differences, in_one_line


def parts(**changes: Any) -> dict[str, Any]:
    return {
        "function": "nodes.train",
        "code": {"losses": "1"},
        "parameters": {"training": {"learning_rate": 5e-4, "epochs": 3}},
        "inputs": {"images": {"dataset": "images", "content": "a"}},
        "stored_as": [{"type": "json"}],
        "source_files": None,
    } | changes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        (
            {"parameters": {"training": {"learning_rate": 1e-3, "epochs": 3}}},
            ["training.learning_rate changed 5e-4 → 1e-3"],
        ),
        (
            {"parameters": {"training": {"learning_rate": 0.0125, "epochs": None}}},
            [
                "training.epochs changed 3 → null",
                "training.learning_rate changed 5e-4 → 0.0125",
            ],
        ),
        (
            {"parameters": {"training": {"learning_rate": 1.25e-5}}},
            [
                "training.epochs changed 3 → (not set)",
                "training.learning_rate changed 5e-4 → 1.25e-5",
            ],
        ),
        ({"code": {"losses": "2"}}, ["code changed: losses"]),
        (
            {"inputs": {"images": {"dataset": "images", "content": "b"}}},
            ["input images changed"],
        ),
        ({"inputs": {}}, ["input images is no longer read"]),
        ({"source_files": "x"}, ["the files at source.path changed"]),
        (
            {"stored_as": [{"type": "csv"}]},
            ["the outputs' entries in the catalog changed"],
        ),
    ],
)
def test_each_change_has_its_phrase(changes: dict[str, Any], said: list[str]) -> None:
    assert differences(parts(), parts(**changes)) == said


def test_many_changes_stay_on_one_line() -> None:
    assert in_one_line(["a", "b"]) == "a; b"
    assert in_one_line(list("abcdef")) == "a; b; c; d; and 2 more"
