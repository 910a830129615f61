"""The rehearsal memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from daformer_kedro.config import MemoryConfig
from daformer_kedro.errors import InputError
from daformer_kedro.learning.memory import (
    closest_order,
    herding_order,
    keep_everything,
    proportional_quotas,
    random_order,
    update_memory,
    with_class_sizes,
)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def candidates(targets: list[int], first_index: int = 0) -> pd.DataFrame:
    index = range(first_index, first_index + len(targets))
    return pd.DataFrame({"sample_index": index, "target": targets})


def test_a_total_budget_is_shared_and_a_quota_a_class_is_not() -> None:
    assert MemoryConfig(total=2000).exemplars_per_class(100) == 20
    assert MemoryConfig(total=2000).exemplars_per_class(30) == 66
    assert MemoryConfig(per_class=5).exemplars_per_class(30) == 5
    with pytest.raises(
        InputError, match=r"memory\.total = 9 is smaller than the 10 classes"
    ):
        MemoryConfig(total=9).exemplars_per_class(10)


def test_herding_matches_the_mean_as_worked_out_by_hand() -> None:
    # Unit vectors at 0, 90 and 60 degrees: mean (0.5, 0.622). Products with it are
    # 0.5, 0.622 and 0.789, so 60 degrees comes first; then w = 2 mean - f =
    # (0.5, 0.378), products 0.5, 0.378 and 0.577 meet 60 degrees again; then w =
    # (0.5, 0.134), products 0.5, 0.134, 0.366 take 0 degrees, and 90 is left.
    angles = torch.tensor([0.0, 90.0, 60.0]).deg2rad()
    features = torch.stack([angles.cos(), angles.sin()], dim=1)
    assert herding_order(features, 3).tolist() == [2, 0, 1]


def test_herding_ignores_length_and_a_shorter_list_is_a_prefix() -> None:
    features = torch.randn(40, 6, generator=generator())
    order = herding_order(features, 40)
    assert sorted(order.tolist()) == list(range(40))
    assert herding_order(features, 7).tolist() == order[:7].tolist()
    scale = torch.rand(40, 1, generator=generator()) + 0.5
    assert herding_order(features * scale, 40).tolist() == order.tolist()


def test_herding_takes_all_of_a_class_of_equal_samples() -> None:
    assert sorted(herding_order(torch.ones(5, 3), 9).tolist()) == [0, 1, 2, 3, 4]


def test_closest_sorts_by_similarity_to_the_mean() -> None:
    angles = torch.tensor([0.0, 90.0, 60.0]).deg2rad()
    features = torch.stack([angles.cos(), angles.sin()], dim=1)
    assert closest_order(features, 3).tolist() == [2, 1, 0]


def test_random_selection_draws_without_replacement() -> None:
    assert sorted(random_order(10, 10, generator()).tolist()) == list(range(10))


def test_old_classes_shrink_to_their_best_and_new_ones_are_added() -> None:
    features = torch.randn(8, 4, generator=generator())
    first = update_memory(
        None, candidates([0] * 8), features, 4, "herding", generator()
    )
    assert first["rank"].tolist() == [0, 1, 2, 3]
    second = update_memory(
        first, candidates([1] * 8, 100), features, 2, "herding", generator()
    )
    assert second["target"].tolist() == [0, 0, 1, 1]
    assert second["sample_index"].tolist()[:2] == first["sample_index"].tolist()[:2]
    assert second["sample_index"].min() >= 0
    assert (second.loc[second["target"] == 1, "sample_index"] >= 100).all()


@pytest.mark.parametrize("selection", ["herding", "closest", "random"])
def test_the_budget_is_kept_with_uneven_classes(selection: str) -> None:
    targets = [3] * 2 + [4] * 30
    features = torch.randn(32, 4, generator=generator())
    memory = update_memory(
        None, candidates(targets), features, 5, selection, generator()
    )
    assert memory.groupby("target").size().to_dict() == {3: 2, 4: 5}
    assert not memory["sample_index"].duplicated().any()


def test_an_image_kept_twice_is_an_error() -> None:
    features = torch.randn(4, 3, generator=generator())
    first = update_memory(None, candidates([0] * 4), features, 2, "random", generator())
    with pytest.raises(AssertionError, match="one image twice"):
        update_memory(first, candidates([1] * 4), features, 4, "closest", generator())


def test_an_unknown_selection_is_refused() -> None:
    with pytest.raises(InputError, match=r"memory\.selection = 'best' is unknown"):
        update_memory(None, candidates([0]), torch.ones(1, 2), 1, "best", generator())


def test_joint_training_keeps_everything() -> None:
    first = keep_everything(None, candidates([0, 1, 0]))
    assert first["rank"].tolist() == [0, 0, 1]
    both = keep_everything(first, candidates([2], 3))
    assert both["sample_index"].tolist() == [0, 1, 2, 3]
    assert np.array_equal(both["target"], [0, 1, 0, 2])


def test_a_proportional_memory_is_full_and_only_drops_exemplars() -> None:
    sizes = [60, 7, 33, 21, 50, 2, 40, 19]
    memory = None
    for task in range(4):
        new = [task * 2, task * 2 + 1]
        rows = candidates([c for c in new for _ in range(sizes[c])], task * 100)
        features = torch.randn(len(rows), 4, generator=generator())
        quotas = proportional_quotas(31, memory, rows)
        chosen = update_memory(memory, rows, features, quotas, "herding", generator())
        chosen = with_class_sizes(chosen, memory, rows)
        counts = chosen.groupby("target").size()
        assert len(chosen) == 31
        assert counts.min() >= 1
        exact = 31 * np.array(sizes[: len(counts)]) / sum(sizes[: len(counts)])
        assert np.abs(counts.to_numpy() - np.maximum(exact, 1)).max() < 1.5
        if memory is not None:
            kept = set(chosen["sample_index"][chosen["target"] < new[0]])
            assert kept <= set(memory["sample_index"])
            ranks = chosen.groupby("target")["rank"].max() + 1
            assert ranks.to_dict() == counts.to_dict()  # the best of each class
        memory = chosen


def test_a_proportional_memory_needs_a_total() -> None:
    with pytest.raises(ValueError, match=r"allocation = proportional .* give total"):
        MemoryConfig(per_class=5, allocation="proportional")
