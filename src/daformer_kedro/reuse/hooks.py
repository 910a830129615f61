"""Reuse of results: locks them, plans the run, and records what is made of what."""

from __future__ import annotations

import logging
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from daformer_kedro.errors import InputError
from daformer_kedro.pipelines.naming import USES_FINISHED_MODEL
from daformer_kedro.reuse.attempt_log import Attempt, AttemptLog
from daformer_kedro.reuse.node_files import training_states
from daformer_kedro.reuse.planner import Mode, RunPlan
from daformer_kedro.run_state import StateHooks
from daformer_kedro.storage.atomic_files import remove_leftovers
from daformer_kedro.storage.lock import Lock
from daformer_kedro.usage import UsageError

_LOGGER = logging.getLogger(__name__)


class ReuseHooks(StateHooks):
    """One run at a time for the same results, and a record of how each was made.

    Attributes:
        plan: decisions of the run, or of the last one if it failed; ``None`` where only
            a finished model is used.
    """

    def __init__(self) -> None:
        self.plan: RunPlan | None = None
        self._lock: Lock | None = None

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol
    ) -> None:
        """Lock, tidy up after killed processes, and plan.

        Raises:
            UsageError: another process writes the same results, or nothing can be
                written.
        """
        self._end()
        if all(USES_FINISHED_MODEL in node.tags for node in pipeline.nodes):
            return
        key = self.state.run_key
        self._lock = Lock(self.state.journal / f"{key}.lock", f"The folder {key}")
        try:
            self._lock.acquire()
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
        """Forget the state of a training whose results are stored."""
        if self.plan is not None:
            self.plan.recorder.after_save(node, dataset_name)

    @hook_impl(trylast=True)
    def after_pipeline_run(self, pipeline: Pipeline) -> None:
        """Forget the attempt: it is finished."""
        if self.plan is not None:
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

    @property
    def _attempts(self) -> AttemptLog:
        return AttemptLog(self.state.journal, self.state.run_key)

    def _make_plan(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol
    ) -> RunPlan:
        attempt = self._attempts.unfinished(run_params)
        mode: Mode = "all"
        if run_params.get("only_missing_outputs"):
            mode = "changed"
        elif attempt is not None and self.state.config.cache.resume:
            mode = "resumed"
            _LOGGER.info(
                "Resuming the run that was begun %s and interrupted; to begin from "
                "scratch: --params cache.resume=false",
                attempt.holder.since,
            )
        if attempt is None or mode == "all":
            attempt = Attempt.begin(node.name for node in pipeline.nodes)
            self._attempts.note(run_params, attempt)
        plan = RunPlan(pipeline, catalog, self.state, mode=mode, attempt=attempt.name)
        self._tidy(plan, catalog)
        plan.mark_up_to_date()
        return plan

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
