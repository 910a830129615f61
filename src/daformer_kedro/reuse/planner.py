"""Decisions on which nodes run and which results are reused, node by node, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from daformer_kedro.config.run import Config, run_key, source_key
from daformer_kedro.datasets import StoredDataset, TrainingStateDataset
from daformer_kedro.pipelines.naming import READS_SOURCE_FILES
from daformer_kedro.reuse.differences import differences, in_one_line
from daformer_kedro.reuse.fingerprint import PartsReader, key_of
from daformer_kedro.reuse.result_index import Library
from daformer_kedro.storage.record import Origin, Record, is_whole, read_record

Mode = Literal["anew", "changed", "resumed"]
"""Run everything, what something changed for, or what this attempt has not done."""


@dataclass(frozen=True)
class Decision:
    """Whether a node's results are reused, and why.

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


class Plan:
    """The decisions of one run.

    Args:
        pipeline: the nodes asked for.
        catalog: with everything that they read and write.
        config: the settings.
        mode: see :data:`Mode`.
        attempt: name of the attempt that this run begins or goes on with.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol,
        config: Config,
        *,
        mode: Mode,
        attempt: str,
    ) -> None:
        self.pipeline = pipeline
        self.mode = mode
        self.attempt = attempt
        self.decisions: list[Decision] = []
        self.num_run = 0
        self.is_all_reused = False
        self.mlflow_runs: dict[str | None, str] = {}
        self._listeners: list[Callable[[Decision], None]] = []
        self._catalog: Any = catalog
        self._config = config
        self._reader = PartsReader(catalog, config)
        self._library = Library([run_key(config), source_key(config)])
        self._parts: dict[str, dict[str, Any]] = {}
        self._fetched: dict[str, str] = {}
        self._unsaved: dict[str, set[str]] = {}

    def listen(self, listener: Callable[[Decision], None]) -> None:
        """Tell ``listener`` of every decision, at the node's turn."""
        self._listeners.append(listener)

    def foresee(self) -> None:
        """Mark which outputs are up to date, and find out whether everything is.

        A node behind one that runs is not known to be up to date before that one has
        run: it counts as not.
        """
        if self.mode == "anew":
            return
        open_datasets: set[str] = set()
        for node in self.pipeline.nodes:
            is_open = not open_datasets.isdisjoint(node.inputs)
            is_reused = not is_open and self._decide(node).is_reused
            if not is_reused:
                open_datasets.update(node.outputs)
            for name in node.outputs:
                dataset = self._catalog.get(name)
                if isinstance(dataset, StoredDataset):
                    dataset.is_current = is_reused
        self.is_all_reused = not open_datasets and bool(self.pipeline.nodes)

    def take_turn(self, node: Node) -> Decision:
        """Decide on a node once everything before it is done, and say so."""
        decision = self._decide(node)
        self.decisions.append(decision)
        for listener in self._listeners:
            listener(decision)
        return decision

    def begin(self, node: Node) -> None:
        """Take note of what a node will have been made of, before it is."""
        if node.name not in self._parts:
            self._parts[node.name] = self._read_parts(node)

    def prepare_state(self, node: Node, dataset: TrainingStateDataset) -> None:
        """Tie the state of an unfinished training to what the node depends on."""
        self.begin(node)
        dataset.key = key_of(self._parts[node.name])
        dataset.may_resume = self.mode != "anew"

    def prepare_output(self, node: Node, name: str) -> None:
        """Tell an output how it was made, for its record."""
        dataset = self._catalog.get(name)
        if isinstance(dataset, StoredDataset):
            self.begin(node)
            self._note_fetched_source(node)
            dataset.origin = self._origin(node, node.outputs.index(name))

    def note_saved(self, node: Node, name: str) -> None:
        """Once a node's last output is stored, forget the state of its training."""
        left = self._unsaved.setdefault(node.name, set(node.outputs))
        left.discard(name)
        if left:
            return
        self.num_run += 1
        del self._unsaved[node.name]
        for state in self.states(node):
            state.remove()

    def states(self, node: Node) -> list[TrainingStateDataset]:
        """Files in which a node keeps the state of an unfinished training."""
        inputs = [self._catalog.get(name) for name in node.inputs]
        return [d for d in inputs if isinstance(d, TrainingStateDataset)]

    def outputs(self) -> Iterator[StoredDataset]:
        """All files that the pipeline writes."""
        for node in self.pipeline.nodes:
            yield from self._stored(node)

    def _decide(self, node: Node) -> Decision:
        if self.mode == "anew":
            return Decision(node.name, False, "computed anew")
        outputs = self._stored(node)
        self._parts[node.name] = parts = self._read_parts(node)
        if len(outputs) < len(node.outputs) or not outputs:
            return Decision(node.name, False, "its outputs are not kept in files")
        key = key_of(parts)
        fault = self._fault(node, key, outputs)
        if fault is None:
            return self._reused(node, outputs[0])
        found = None
        if self.mode == "changed":
            found = self._library.find(node.name, key, outputs)
        if found is None:
            return Decision(node.name, False, fault)
        for number, (path, output) in enumerate(zip(found, outputs, strict=True)):
            self._library.fetch(path, output, self._origin(node, number))
        fault = self._fault(node, key, outputs)
        if fault is not None:
            return Decision(node.name, False, fault)
        self._fetched[node.name] = self._library.folder_of(found[0], outputs[0])
        return self._reused(node, outputs[0])

    def _fault(self, node: Node, key: str, outputs: list[StoredDataset]) -> str | None:
        """Return why the stored results cannot be reused; ``None`` if they can."""
        records = [read_record(output.filepath) for output in outputs]
        pairs = list(zip(outputs, records, strict=True))
        missing = [o for o in outputs if not o.filepath.exists()]
        for output, record in pairs:
            if record is None or output in missing:
                continue
            if not is_whole(output.filepath, record):
                return f"damaged: {_shown(output.filepath)}"
        origins = [record.origin if record else None for record in records]
        known = [o for o in origins if o is not None and o.node == node.name]
        if missing and self.mode == "resumed":
            return "not yet done"
        if missing and all(o.key == key for o in known) and known:
            return f"missing: {_shown(missing[0].filepath)}"
        if len(known) < len(outputs) or any(o.key != key for o in known):
            return self._what_changed(node, outputs, known)
        if missing:
            return f"missing: {_shown(missing[0].filepath)}"
        return self._not_this_attempt(known) or self._other_environment(node, known)

    def _what_changed(
        self, node: Node, outputs: list[StoredDataset], known: list[Origin]
    ) -> str:
        parts = self._parts[node.name]
        stale = [origin for origin in known if origin.key != key_of(parts)]
        nearest = (
            stale[0] if stale else self._library.nearest(node.name, parts, outputs)
        )
        changes = [] if nearest is None else differences(nearest.parts, parts)
        if changes:
            return in_one_line(changes)
        unrecorded = [o for o in outputs if o.filepath.exists()]
        return "no record of how it was made" if unrecorded else "missing"

    def _not_this_attempt(self, known: list[Origin]) -> str | None:
        if self.mode != "resumed":
            return None
        same = all(origin.attempt == self.attempt for origin in known)
        return None if same else "not yet done"

    def _other_environment(self, node: Node, known: list[Origin]) -> str | None:
        if not self._config.cache.strict:
            return None
        return self._environment_changes(node, known[0])

    def _environment_changes(self, node: Node, origin: Origin) -> str | None:
        now = self._reader.environment(node)
        changed = [
            f"{name} changed {origin.environment[name]} → {value}"
            for name, value in now.items()
            if origin.environment.get(name, value) != value
        ]
        return "; ".join(changed) or None

    def _reused(self, node: Node, output: StoredDataset) -> Decision:
        record: Record | None = read_record(output.filepath)
        origin = record.origin if record else None
        warning = origin and self._environment_changes(node, origin)
        note = f", although {warning}" if warning else ""
        run = origin.mlflow_run if origin else None
        folder = self._fetched.get(node.name)
        where = f" from {folder}" if folder else ""
        return Decision(node.name, True, f"reused{where}{note}", run)

    def _read_parts(self, node: Node) -> dict[str, Any]:
        parts = self._reader.parts(node)
        stored = self._stored(node)
        if READS_SOURCE_FILES in node.tags and parts["source_files"] is None and stored:
            # Source files that are away at the moment prove nothing against what was
            # read from them.
            record = read_record(stored[0].filepath)
            if record is not None and record.origin is not None:
                parts["source_files"] = record.origin.parts.get("source_files")
        return parts

    def _note_fetched_source(self, node: Node) -> None:
        # A source that was downloaded by the node itself.
        parts = self._parts[node.name]
        if READS_SOURCE_FILES in node.tags and parts["source_files"] is None:
            parts["source_files"] = self._reader.parts(node)["source_files"]

    def _origin(self, node: Node, output: int) -> Origin:
        parts = self._parts[node.name]
        return Origin(
            node=node.name,
            dataset=node.outputs[output],
            output=output,
            key=key_of(parts),
            parts=parts,
            environment=self._reader.environment(node),
            attempt=self.attempt,
            mlflow_run=self.mlflow_runs.get(node.namespace),
            made=datetime.now().astimezone().isoformat(timespec="seconds"),
        )

    def _stored(self, node: Node) -> list[StoredDataset]:
        datasets = [self._catalog.get(name) for name in node.outputs]
        return [d for d in datasets if isinstance(d, StoredDataset)]


def _shown(path: Path) -> Path:
    """The path from the working directory, where it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


_active: Plan | None = None


def current_plan() -> Plan | None:
    """The plan of the run that is going on in this process."""
    return _active


def set_plan(plan: Plan | None) -> None:
    """Begin or end a run's plan."""
    global _active
    _active = plan
