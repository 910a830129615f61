"""Recorder of how the results of a run were made."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import datetime
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node

from daformer_kedro.datasets import StoredDataset, TrainingStateDataset
from daformer_kedro.reuse.fingerprint import Fingerprinter, key_of
from daformer_kedro.reuse.node_files import training_states
from daformer_kedro.storage.record import Provenance


class Recorder:
    """Ties what nodes store to what it was made of.

    Args:
        catalog: with everything that the nodes read and write.
        fingerprinter: knows what each node's result depends on.
        attempt: name of the attempt that the run belongs to.
        may_resume: whether unfinished trainings are continued.

    Attributes:
        mlflow_runs: run in MLflow of each task's namespace; of ``None``, the parent.
        num_run: nodes whose outputs are all stored.
    """

    def __init__(
        self,
        catalog: CatalogProtocol,
        fingerprinter: Fingerprinter,
        *,
        attempt: str,
        may_resume: bool,
    ) -> None:
        self.mlflow_runs: dict[str | None, str] = {}
        self.num_run = 0
        self._catalog: Any = catalog
        self._fingerprinter = fingerprinter
        self._attempt = attempt
        self._may_resume = may_resume
        self._unsaved: dict[str, set[str]] = {}
        self._started: tuple[float, float] | None = None

    def begin(self) -> None:
        """Start to measure how long a node takes."""
        self._started = (time.monotonic(), processor_time())

    def provenance(self, node: Node, output: int) -> Provenance:
        """Describe how one of a node's outputs is made in this run."""
        fingerprint = self._fingerprinter.last(node)
        return Provenance(
            node=node.name,
            dataset=node.outputs[output],
            output=output,
            key=key_of(fingerprint),
            fingerprint=fingerprint,
            environment=self._fingerprinter.environment(node),
            attempt=self._attempt,
            mlflow_run=self.mlflow_runs.get(node.namespace),
            made=datetime.now().astimezone().isoformat(timespec="seconds"),
        )

    def before_load(self, node: Node, name: str) -> None:
        """Tie the state of an unfinished training to what the node depends on."""
        dataset = self._catalog.get(name)
        if isinstance(dataset, TrainingStateDataset):
            dataset.key = key_of(self._fingerprinter.last(node))
            dataset.may_resume = self._may_resume

    def before_save(self, node: Node, name: str) -> None:
        """Tell an output how it was made, for its record."""
        dataset = self._catalog.get(name)
        if isinstance(dataset, StoredDataset):
            self._fingerprinter.note_fetched_source(node)
            made = self.provenance(node, node.outputs.index(name))
            dataset.provenance = self._timed(made)

    def _timed(self, made: Provenance) -> Provenance:
        if self._started is None:
            return made
        began, processor = self._started
        return replace(
            made,
            seconds=round(time.monotonic() - began, 3),
            processor_seconds=round(processor_time() - processor, 3),
        )

    def after_save(self, node: Node, name: str) -> None:
        """Once a node's last output is stored, forget the state of its training."""
        left = self._unsaved.setdefault(node.name, set(node.outputs))
        left.discard(name)
        if left:
            return
        self.num_run += 1
        del self._unsaved[node.name]
        for state in training_states(self._catalog, node):
            state.remove()


def processor_time() -> float:
    """Return the processor time of this process and of those it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system
