"""Two ranks with half a batch each train as one process with the whole batch."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from daformer_kedro.parallel.process_group import SINGLE_PROCESS

NAMES = ["with_bank", "with_batch", "undivided", "finetuning", "stopping"]


@pytest.fixture(scope="module")
def ranks(
    tmp_path_factory: pytest.TempPathFactory, cases: ModuleType, started: Any
) -> list[dict[str, Any]]:
    """What each of two ranks made of every case."""
    folder = tmp_path_factory.mktemp("ranks")
    script = str(cases.__file__)
    words = [sys.executable, "-W", "error", script, folder]
    with (
        started([*words, 0, 2], cwd=folder) as first,
        started([*words, 1, 2], cwd=folder) as second,
    ):
        for rank in (first, second):
            assert rank.process.wait(300) == 0, rank.log.read_text()
    files = [Path(folder) / f"rank{rank}.pt" for rank in range(2)]
    return [torch.load(file, weights_only=True) for file in files]


@pytest.fixture(scope="module")
def alone(cases: ModuleType) -> dict[str, Any]:
    """The same in one process."""
    return {name: case(SINGLE_PROCESS) for name, case in cases.CASES.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_curve_is_that_of_one_process(
    ranks: list[dict[str, Any]], alone: dict[str, Any], name: str
) -> None:
    together, single = ranks[0][name], alone[name]
    assert together["num_images"] == single["num_images"]
    assert together["accuracies"] == single["accuracies"]
    for mine, theirs in zip(together["losses"], single["losses"], strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-6)
    for key, weight in single["weights"].items():
        torch.testing.assert_close(
            together["weights"][key], weight, rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize("name", NAMES)
def test_ranks_hold_the_same_weights_to_the_bit(
    ranks: list[dict[str, Any]], name: str
) -> None:
    first, second = (rank[name]["weights"] for rank in ranks)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert ranks[0][name]["losses"] == ranks[1][name]["losses"]


def test_each_rank_computes_its_share_alone(
    ranks: list[dict[str, Any]], alone: dict[str, Any]
) -> None:
    for name in ("with_bank", "with_batch", "finetuning"):
        assert set(alone[name]["batches_seen"]) == {8}
        assert [set(rank[name]["batches_seen"]) for rank in ranks] == [{4}, {4}]
    # A batch that cannot be divided is computed by both.
    assert [set(rank["undivided"]["batches_seen"]) for rank in ranks] == [{7}, {7}]


def test_ranks_that_differ_are_found_out(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert "the ranks' weights differ" in rank["disagreement"]["error"]
