"""Code that a step's results depend on: of the method it is told, and of no other."""

from __future__ import annotations

from typing import Any

import pytest
from kedro.pipeline import Pipeline

from daformer_kedro.config.run import Config, apply_overlays
from daformer_kedro.datasets import CheckpointDataset
from daformer_kedro.pipelines.task import create_pipeline
from daformer_kedro.reuse.fingerprint import Fingerprinter

pytestmark = pytest.mark.filterwarnings("ignore:One or more dataset names")


class Catalog:
    """Every dataset is a checkpoint."""

    def get(self, name: str) -> Any:
        return CheckpointDataset.__new__(CheckpointDataset)


def code(baseline: str, step: str) -> set[str]:
    parameters = apply_overlays({"baseline": baseline, "memory": {"total": 99}}, {})
    if parameters.get("model", {}).get("embed_dim", 0) is None:
        parameters["model"]["embed_dim"] = 1280
    config = Config.from_parameters(parameters)
    pipeline: Pipeline = create_pipeline(1, config)
    (node,) = pipeline.only_nodes(f"task_01.{step}").nodes
    found = Fingerprinter(Catalog(), config)._code(node)  # type: ignore[arg-type]
    prefix = "daformer_kedro.methods."
    return {name.removeprefix(prefix) for name in found if name.startswith(prefix)}


@pytest.mark.parametrize(
    ("baseline", "step", "uses"),
    [
        ("none", "train_task", set()),
        ("weight_alignment", "train_task", set()),
        ("weight_alignment", "finish_task", {"weight_alignment", "method"}),
        (
            "nearest_mean",
            "finish_task",
            {"nearest_mean", "method", "classifiers"},
        ),
        ("nearest_mean", "evaluate_task", {"classifiers"}),
        ("replay", "evaluate_task", set()),
    ],
)
def test_a_step_depends_on_the_code_of_its_own_method(
    baseline: str, step: str, uses: set[str]
) -> None:
    assert code(baseline, step) == uses


def test_methods_in_closed_form_depend_on_their_form_and_classifier() -> None:
    learning = code("prototypes", "learn_task")
    assert {"prototypes", "closed_form", "classifiers"} <= learning
    assert "ridge" not in learning
    assert code("prototypes", "evaluate_task") == {"classifiers"}
