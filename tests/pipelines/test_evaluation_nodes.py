"""Nodes of the evaluation pipeline."""

from __future__ import annotations

from typing import Any

import pytest

from daformer_kedro.pipelines.evaluation.nodes import draw_accuracy_node

METRICS = {
    "accuracy_matrix": [[0.9], [0.5, 0.7]],
    "accuracy_after_task": [0.9, 0.6],
    "num_classes_seen": [2, 4],
    "neighbourhood_preservation": [None, 0.4],
    "last_accuracy": 0.6,
}


JOINT = {"last_accuracy": 0.876, "accuracy_matrix": [[0.9], [0.8, 0.9]]}


@pytest.mark.parametrize("joint", [None, JOINT])
def test_the_upper_bound_is_drawn_where_it_is_known(joint: Any) -> None:
    _, figure, _, _ = draw_accuracy_node(
        METRICS, "digits", "S", "none", "published", "dual_attention", None, None, joint
    )
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert ("87.6  our joint training" in texts) == (joint is not None)


def test_an_upper_bound_of_fewer_folders_is_none() -> None:
    before = {"last_accuracy": 0.876, "accuracy_matrix": [[0.9]]}
    _, figure, _, _ = draw_accuracy_node(
        METRICS,
        "digits",
        "S",
        "none",
        "published",
        "dual_attention",
        None,
        None,
        before,
    )
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "87.6  our joint training" not in texts


def test_the_figure_says_which_images_it_is_measured_on() -> None:
    cases = ((None, None, "test"), (0.2, None, "validation"), (0.2, "test", "test"))
    for *settings, images in cases:
        _, figure, _, _ = draw_accuracy_node(
            METRICS, "digits", "S", "none", "published", "dual_attention", *settings
        )
        assert figure.axes[0].get_ylabel() == f"Accuracy on {images} images (%)"
