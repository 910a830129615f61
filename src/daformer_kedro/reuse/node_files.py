"""Files of a node: results that it stores, states that its training keeps."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from daformer_kedro.datasets import StoredDataset, TrainingStateDataset
from daformer_kedro.errors import InputError


def stored_outputs(catalog: Any, node: Node) -> list[StoredDataset]:
    """Return the outputs of a node that are kept in files with a record."""
    datasets = [catalog.get(name) for name in node.outputs]
    return [d for d in datasets if isinstance(d, StoredDataset)]


def training_states(catalog: Any, node: Node) -> list[TrainingStateDataset]:
    """Return the files in which a node keeps the state of an unfinished training."""
    datasets = [catalog.get(name) for name in node.inputs]
    return [d for d in datasets if isinstance(d, TrainingStateDataset)]


def check_inputs(pipeline: Pipeline, catalog: Any) -> None:
    """Make sure that earlier runs have made what a pipeline reads.

    Raises:
        InputError: names what is missing and the command that makes it.
    """
    for name in sorted(pipeline.inputs()):
        if name.startswith("params:") or name == "parameters":
            continue
        if name in catalog and not catalog.exists(name):
            maker = name.rpartition(".")[0] or "ingestion"
            raise InputError(
                f"{name} is needed and not there: {catalog[name]}\n"
                "It is made by an earlier step with the same --env and --params. Run "
                f"that first: kedro run --pipelines {maker}, or kedro run for all "
                "steps in order."
            )
