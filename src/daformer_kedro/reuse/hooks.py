"""Reuse of results: locks them, plans the run, and records what is made of what."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from daformer_kedro.datasets import StoredDataset
from daformer_kedro.errors import InputError
from daformer_kedro.pipelines.naming import METRICS, USES_FINISHED_MODEL
from daformer_kedro.reuse.attempt_log import Attempt, AttemptLog
from daformer_kedro.reuse.costs import run_costs
from daformer_kedro.reuse.node_files import check_inputs, training_states
from daformer_kedro.reuse.planner import Mode, RunPlan
from daformer_kedro.run_state import StateHooks
from daformer_kedro.storage.atomic_files import remove_leftovers, write_text
from daformer_kedro.storage.lock import Lock
from daformer_kedro.storage.object_store import ObjectStore
from daformer_kedro.storage.scratch import open_scratch
from daformer_kedro.usage import UsageError

_FROM_SCRATCH = "; to begin from scratch: --params cache.resume=false"
_LOGGER = logging.getLogger(__name__)


class ReuseHooks(StateHooks):
    """One run at a time for the same results, and a record of how each was made.

    Attributes:
        plan: decisions of the run, or of the last one if it failed; ``None`` where only
            a finished model is used.
    """

    def __init__(self) -> None:
        self.plan: RunPlan | None = None
        self._store: ObjectStore | None = None
        self._credentials: dict[str, Any] = {}
        self._catalog: Any = None
        self._lock: Lock | None = None

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Take the state, and what the object store is opened with."""
        super().after_context_created(context)
        self._credentials = context.config_loader["credentials"].get("store", {})

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol
    ) -> None:
        """Lock, fetch what is in the store, tidy up after killed processes, and plan.

        Raises:
            UsageError: another process writes the same results, nothing can be
                written, or no earlier run has made what is read.
        """
        self._end()
        if all(USES_FINISHED_MODEL in node.tags for node in pipeline.nodes):
            return
        key = self.state.run_key
        self._lock = Lock(self.state.journal / f"{key}.lock", f"The folder {key}")
        try:
            self._lock.acquire()
            self._catalog = catalog
            if self.state.scratch is not None:
                open_scratch(self.state.scratch, self.state.journal)
            self._store = self._open_store()
            if self._store is not None:
                self._store.fetch(self._stored(pipeline.datasets()))
            check_inputs(pipeline, catalog)
            self.plan = self._make_plan(run_params, pipeline, catalog)
        except InputError as error:
            self._end()
            raise UsageError(str(error)) from error
        except OSError as error:
            self._end()
            raise UsageError(f"cannot begin: {error}") from error
        except BaseException:
            self._end()
            raise

    @hook_impl(trylast=True)
    def before_node_run(self) -> None:
        """Start to measure how long the node takes."""
        if self.plan is not None:
            self.plan.recorder.begin()

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        """Tie the state of a training to what the training depends on."""
        if self.plan is not None:
            self.plan.recorder.before_load(node, dataset_name)

    @hook_impl
    def before_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Record how an output is made."""
        if self.plan is not None:
            self.plan.recorder.before_save(node, dataset_name)

    @hook_impl(trylast=True)
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Copy an output to the store, and forget the state of a finished training.

        Raises:
            InputError: the store refuses.
        """
        if self.plan is not None:
            if self._store is not None:
                self._store.send(self._stored([dataset_name]), just_made=True)
            self.plan.recorder.after_save(node, dataset_name)

    @hook_impl(trylast=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Write down what the run has cost, and forget the attempt: it is finished.

        Raises:
            InputError: what was reused cannot be copied to the store.
        """
        if self.plan is not None:
            if self._store is not None:
                self._store.send(output.filepath for output in self.plan.outputs())
            self._write_costs(self.plan.pipeline, catalog)
            self._attempts.forget_all_within(node.name for node in pipeline.nodes)
        self._end()

    @hook_impl
    def on_pipeline_error(
        self, run_params: dict[str, Any], catalog: CatalogProtocol
    ) -> None:
        """Keep the attempt, if there is anything to resume."""
        if self.plan is not None and not _has_begun(self.plan, catalog):
            self._attempts.forget(run_params)
        self._release()

    def _write_costs(self, pipeline: Pipeline, catalog: Any) -> None:
        folder = getattr(catalog.get(METRICS), "filepath", None)
        if folder is None or METRICS not in pipeline.all_outputs():
            return
        costs = run_costs(pipeline, catalog, self.state.tasks, catalog.load(METRICS))
        if costs:
            text = json.dumps(costs, indent=1)
            write_text(Path(folder).with_name("costs.json"), f"{text}\n")

    @property
    def _attempts(self) -> AttemptLog:
        return AttemptLog(self.state.journal, self.state.run_key)

    def _make_plan(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol
    ) -> RunPlan:
        attempt = None
        if self.state.config.cache.resume:
            attempt = self._attempts.unfinished(run_params)
        is_resumed = attempt is not None
        mode: Mode = "resumed" if is_resumed else "all"
        if run_params.get("only_missing_outputs"):
            mode = "changed"
        if attempt is not None:
            _LOGGER.info(
                "Resuming the run that was begun %s and interrupted%s",
                attempt.holder.since,
                _FROM_SCRATCH if mode == "resumed" else "",
            )
        else:
            attempt = Attempt.begin(node.name for node in pipeline.nodes)
            self._attempts.note(run_params, attempt)
        plan = RunPlan(
            pipeline,
            catalog,
            self.state,
            mode=mode,
            attempt=attempt.name,
            is_resumed=is_resumed,
        )
        self._tidy(plan, catalog)
        plan.mark_up_to_date()
        return plan

    def _open_store(self) -> ObjectStore | None:
        url = self.state.config.cache.store
        if url is None:
            return None
        return ObjectStore(url, self.state.project / "data", self._credentials)

    def _stored(self, names: Iterable[str]) -> list[Path]:
        datasets = (self._catalog.get(name) for name in names)
        return [d.filepath for d in datasets if isinstance(d, StoredDataset)]

    def _tidy(self, plan: RunPlan, catalog: CatalogProtocol) -> None:
        remove_leftovers(self.state.journal, is_ours=False)
        for folder in {output.filepath.parent for output in plan.outputs()}:
            remove_leftovers(folder, is_ours=self.state.run_key in folder.parts)
        for node in plan.pipeline.nodes:
            for state in training_states(catalog, node):
                remove_leftovers(state.filepath.parent, is_ours=True)

    def _end(self) -> None:
        self.plan = None
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
        self._lock = None


def _has_begun(plan: RunPlan, catalog: CatalogProtocol) -> bool:
    """Return whether any result or state of the attempt is stored."""
    reused = any(decision.is_reused for decision in plan.decisions)
    nodes = plan.pipeline.nodes
    states = [state for node in nodes for state in training_states(catalog, node)]
    kept = any(state.filepath.exists() for state in states)
    return bool(plan.recorder.num_run or reused or kept)
