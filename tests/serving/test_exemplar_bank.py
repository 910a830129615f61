"""Images that are kept beside a model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from daformer_kedro.serving import ExemplarBank, ServedModel
from daformer_kedro.serving.exemplar_bank import choose_examples


def rows(*counts: int) -> pd.DataFrame:
    """Test images of classes 0, 1, …, in an order of chance."""
    targets = np.repeat(np.arange(len(counts)), counts)
    shuffled = np.random.default_rng(0).permutation(targets)
    return pd.DataFrame({"target": shuffled, "index": np.arange(len(shuffled))})


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((20, 20), [0] * 8 + [1] * 8),
        ((20, 3), [0] * 8 + [1] * 3),
        ((5,) * 10, list(range(10))),
        # 16 of 31 classes, every second one from the first to the last
        ((2,) * 31, list(range(0, 31, 2))),
        ((1,), [0]),
    ],
)
def test_examples_are_of_all_classes_alike(
    counts: tuple[int, ...], expected: list[int]
) -> None:
    tests = rows(*counts)
    chosen = choose_examples(tests)
    assert chosen["target"].tolist() == expected
    assert chosen["index"].is_unique
    # The first of each class, as they lie in the table.
    assert chosen["index"][0] == tests.loc[tests["target"] == 0, "index"].iloc[0]


def test_files_of_earlier_versions_are_read_without_the_examples_classes(
    model: ServedModel,
) -> None:
    assert model.bank is not None
    tensors = model.bank.tensors()
    again = ExemplarBank.from_tensors(tensors)
    assert torch.equal(again.example_targets, torch.tensor([0, 0, 1, 1, 2]))
    del tensors["example_targets"]
    earlier = ExemplarBank.from_tensors(tensors)
    assert len(earlier.example_targets) == 0
    assert torch.equal(earlier.examples, model.bank.examples)
    del tensors["examples"]
    with pytest.raises(KeyError, match="examples"):
        ExemplarBank.from_tensors(tensors)
