"""Locks the results of a run, plans it, and notes what was made of what."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from daformer_kedro.config.run import Config, run_key
from daformer_kedro.datasets import TrainingStateDataset
from daformer_kedro.errors import InputError
from daformer_kedro.pipelines.naming import STANDS_APART
from daformer_kedro.reuse.attempt_log import Attempt, Journal
from daformer_kedro.reuse.planner import Mode, Plan, current_plan, set_plan
from daformer_kedro.storage.lock import Lock
from daformer_kedro.storage.whole_files import remove_leftovers
from daformer_kedro.usage import UsageError

_LOGGER = logging.getLogger(__name__)
JOURNAL = Path("data") / "journal"
"""Where locks and unfinished attempts are, in the project."""


class CacheHooks:
    """One run at a time for the same results, and a record of how each was made."""

    def __init__(self) -> None:
        self._config: Config | None = None
        self._folder = JOURNAL
        self._journal: Journal | None = None
        self._lock: Lock | None = None
        self._run_params: dict[str, Any] = {}
        self._catalog: Any = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep the settings."""
        self._config = Config.from_parameters(context.config_loader["parameters"])
        self._folder = Path(context.project_path) / JOURNAL

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
        if self._config is None or _stands_apart(pipeline):
            return
        self._run_params, self._catalog = run_params, catalog
        key = run_key(self._config)
        self._journal = Journal(self._folder, key)
        self._lock = Lock(self._folder / f"{key}.lock", f"The folder {key}")
        try:
            self._lock.acquire()
            self._plan(self._config, pipeline, catalog)
        except InputError as error:
            self._end()
            raise UsageError(str(error)) from error
        except OSError as error:
            self._end()
            raise UsageError(f"cannot begin: {error}") from error
        except BaseException:
            self._end()
            raise

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        """Tie the state of a training to what the training depends on."""
        plan = current_plan()
        if plan is None or self._catalog is None:
            return
        dataset = self._catalog.get(dataset_name)
        if isinstance(dataset, TrainingStateDataset):
            plan.prepare_state(node, dataset)

    @hook_impl
    def before_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Say how an output was made."""
        plan = current_plan()
        if plan is not None:
            plan.prepare_output(node, dataset_name)

    @hook_impl(trylast=True)
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Forget the state of a training whose results are stored."""
        plan = current_plan()
        if plan is not None:
            plan.note_saved(node, dataset_name)

    @hook_impl(trylast=True)
    def after_pipeline_run(self, pipeline: Pipeline) -> None:
        """The attempt has come to its end."""
        if self._journal is not None and current_plan() is not None:
            self._journal.forget_all_within(node.name for node in pipeline.nodes)
        self._end()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Keep the attempt, if there is anything to go on from."""
        plan = current_plan()
        if plan is not None and self._journal is not None and not _has_begun(plan):
            self._journal.forget(self._run_params)
        self._end()

    def _plan(
        self, config: Config, pipeline: Pipeline, catalog: CatalogProtocol
    ) -> None:
        if self._journal is None:
            return
        attempt = self._journal.unfinished(self._run_params)
        mode: Mode = "anew"
        if self._run_params.get("only_missing_outputs"):
            mode = "changed"
        elif attempt is not None and config.cache.resume:
            mode = "resumed"
            _LOGGER.info(
                "Going on with the run that was begun %s and interrupted; to begin "
                "anew: --params cache.resume=false",
                attempt.holder.since,
            )
        if attempt is None or mode == "anew":
            attempt = Attempt.begin(node.name for node in pipeline.nodes)
            self._journal.note(self._run_params, attempt)
        plan = Plan(pipeline, catalog, config, mode=mode, attempt=attempt.name)
        self._tidy(plan, config)
        plan.foresee()
        set_plan(plan)

    def _tidy(self, plan: Plan, config: Config) -> None:
        key = run_key(config)
        remove_leftovers(self._folder, is_ours=False)
        for folder in {output.filepath.parent for output in plan.outputs()}:
            remove_leftovers(folder, is_ours=key in folder.parts)
        for node in plan.pipeline.nodes:
            for state in plan.states(node):
                remove_leftovers(state.filepath.parent, is_ours=True)

    def _end(self) -> None:
        set_plan(None)
        if self._lock is not None:
            self._lock.release()
        self._lock = None


def _stands_apart(pipeline: Pipeline) -> bool:
    """Whether finished models are used and no run's results are written."""
    return all(STANDS_APART in node.tags for node in pipeline.nodes)


def _has_begun(plan: Plan) -> bool:
    """Whether any result or state of the attempt is stored."""
    reused = any(decision.is_reused for decision in plan.decisions)
    states = [state for node in plan.pipeline.nodes for state in plan.states(node)]
    return bool(plan.num_run or reused or any(s.filepath.exists() for s in states))
