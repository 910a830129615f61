"""Plan of a run: which nodes run and which results are reused, node by node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from daformer_kedro.config.run import source_key
from daformer_kedro.datasets import StoredDataset
from daformer_kedro.reuse.fingerprint import Fingerprinter, key_of
from daformer_kedro.reuse.freshness import Freshness
from daformer_kedro.reuse.node_files import stored_outputs
from daformer_kedro.reuse.recorder import Recorder
from daformer_kedro.reuse.result_index import ResultIndex
from daformer_kedro.run_state import RunState
from daformer_kedro.storage.record import read_record

Mode = Literal["all", "changed", "resumed"]
"""Run everything, what something changed for, or what this attempt has not done."""


@dataclass(frozen=True)
class Decision:
    """Decision whether a node's results are reused, and why.

    Attributes:
        node: name of the node.
        is_reused: whether it is skipped.
        reason: in a few words.
        mlflow_run: run in MLflow that shows how a reused result was made.
    """

    node: str
    is_reused: bool
    reason: str
    mlflow_run: str | None = None

    def __str__(self) -> str:
        return f"{self.node}: {self.reason}"


class RunPlan:
    """Decisions of one run.

    Args:
        pipeline: the nodes asked for.
        catalog: with everything that they read and write.
        state: the settings.
        mode: see :data:`Mode`.
        attempt: name of the attempt that this run begins or resumes.
        is_resumed: whether it resumes it.

    Attributes:
        decisions: those made so far.
        is_all_reused: whether there is nothing to run.
        is_resumed: whether an interrupted attempt is resumed.
        recorder: notes how what runs was made.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol,
        state: RunState,
        *,
        mode: Mode,
        attempt: str,
        is_resumed: bool,
    ) -> None:
        self.pipeline = pipeline
        self.mode = mode
        self.is_resumed = is_resumed
        self.decisions: list[Decision] = []
        self.is_all_reused = False
        self._listeners: list[Callable[[Decision], None]] = []
        self._fetched: dict[str, str] = {}
        self._catalog: Any = catalog
        self._fingerprinter = Fingerprinter(catalog, state.config)
        self._index = ResultIndex([state.run_key, source_key(state.config)])
        self._freshness = Freshness(
            self._fingerprinter,
            self._index,
            attempt=attempt if mode == "resumed" else None,
            is_strict=state.config.cache.strict,
        )
        self.recorder = Recorder(
            catalog,
            self._fingerprinter,
            attempt=attempt,
            may_resume=mode != "all" and state.config.cache.resume,
        )

    def listen(self, listener: Callable[[Decision], None]) -> None:
        """Tell ``listener`` of every decision, at the node's turn."""
        self._listeners.append(listener)

    def mark_up_to_date(self) -> None:
        """Mark which outputs are up to date, and find out whether everything is.

        A node behind one that runs is not known to be up to date before that one has
        run: it counts as not.
        """
        if self.mode == "all":
            return
        open_datasets: set[str] = set()
        for node in self.pipeline.nodes:
            is_open = not open_datasets.isdisjoint(node.inputs)
            is_reused = not is_open and self._decide(node).is_reused
            if not is_reused:
                open_datasets.update(node.outputs)
            for output in stored_outputs(self._catalog, node):
                output.is_current = is_reused
        self.is_all_reused = not open_datasets and bool(self.pipeline.nodes)

    def decide(self, node: Node) -> Decision:
        """Decide on a node once everything before it is done, and tell of it."""
        decision = self._decide(node)
        self.decisions.append(decision)
        for listener in self._listeners:
            listener(decision)
        return decision

    def reuses(self, node: str) -> bool:
        """Return whether a node of this name was skipped."""
        return any(d.is_reused for d in self.decisions if d.node == node)

    def outputs(self) -> Iterator[StoredDataset]:
        """Iterate over all files that the pipeline writes."""
        for node in self.pipeline.nodes:
            yield from stored_outputs(self._catalog, node)

    def _decide(self, node: Node) -> Decision:
        if self.mode == "all":
            return Decision(node.name, False, "computed again")
        outputs = stored_outputs(self._catalog, node)
        self._fingerprinter.read(node)
        if len(outputs) < len(node.outputs) or not outputs:
            return Decision(node.name, False, "its outputs are not kept in files")
        fault = self._freshness.fault(node, outputs)
        if fault is None:
            return self._reused(node, outputs[0])
        if self.mode != "changed" or not self._fetch(node, outputs):
            return Decision(node.name, False, fault)
        fault = self._freshness.fault(node, outputs)
        if fault is not None:
            return Decision(node.name, False, fault)
        return self._reused(node, outputs[0])

    def _fetch(self, node: Node, outputs: list[StoredDataset]) -> bool:
        """Take results over from another settings' folder, if it has them."""
        key = key_of(self._fingerprinter.last(node))
        found = self._index.find(node.name, key, outputs)
        if found is None:
            return False
        for number, (path, output) in enumerate(zip(found, outputs, strict=True)):
            self._index.fetch(path, output, self.recorder.provenance(node, number))
        self._fetched[node.name] = self._index.folder_of(found[0], outputs[0])
        return True

    def _reused(self, node: Node, output: StoredDataset) -> Decision:
        record = read_record(output.filepath)
        made = record.provenance if record else None
        warning = made and self._freshness.environment_changes(node, made)
        note = f", although {warning}" if warning else ""
        run = made.mlflow_run if made else None
        folder = self._fetched.get(node.name)
        where = f" from {folder}" if folder else ""
        return Decision(node.name, True, f"reused{where}{note}", run)
