"""Files of a node: results that it stores, states that its training keeps."""

from __future__ import annotations

from typing import Any

from kedro.pipeline.node import Node

from daformer_kedro.datasets import StoredDataset, TrainingStateDataset


def stored_outputs(catalog: Any, node: Node) -> list[StoredDataset]:
    """Return the outputs of a node that are kept in files with a record."""
    datasets = [catalog.get(name) for name in node.outputs]
    return [d for d in datasets if isinstance(d, StoredDataset)]


def training_states(catalog: Any, node: Node) -> list[TrainingStateDataset]:
    """Return the files in which a node keeps the state of an unfinished training."""
    datasets = [catalog.get(name) for name in node.inputs]
    return [d for d in datasets if isinstance(d, TrainingStateDataset)]
