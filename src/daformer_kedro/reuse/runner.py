"""Runs node by node and decides at each one's turn whether its results are reused."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.runner import AbstractRunner, SequentialRunner
from kedro.runner.task import Task
from pluggy import PluginManager

from daformer_kedro.reuse.hooks import ReuseHooks
from daformer_kedro.reuse.planner import RunPlan
from daformer_kedro.reuse.termination import termination_interrupts
from daformer_kedro.usage import UsageError


class RunInterrupted(UsageError):  # noqa: N818
    """Interruption of a run by Ctrl+C or a termination signal."""

    exit_code = 130


class CachingSequentialRunner(SequentialRunner):
    """Kedro's sequential runner, which asks the plan of the run at each node.

    Kedro decides beforehand what ``--only-missing-outputs`` leaves out. What depends on
    a node that runs must be decided after it: where the same came out as before, there
    is nothing more to do.
    """

    def __str__(self) -> str:
        # Kedro-Viz follows runs of sequential runners, which it knows by this text.
        return "caching kedro.runner.sequential_runner.SequentialRunner object"

    @property
    def _logger(self) -> logging.Logger:
        return logging.getLogger("kedro.runner")

    def run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol,
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
        only_missing_outputs: bool = False,
    ) -> dict[str, Any]:
        """Run a pipeline; see :meth:`kedro.runner.AbstractRunner.run`.

        What need not run is decided by the plan, where there is one.
        """
        decides = only_missing_outputs and _plan_of(hook_manager) is None
        return super().run(pipeline, catalog, hook_manager, run_id, decides)

    def _run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol,
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
    ) -> None:
        plan = _plan_of(hook_manager)
        if plan is None:
            super()._run(pipeline, catalog, hook_manager, run_id)
            return
        load_counts = Counter(chain.from_iterable(n.inputs for n in pipeline.nodes))
        name = "planning"
        try:
            with termination_interrupts():
                for node in pipeline.nodes:
                    name = node.name
                    if not plan.decide(node).is_reused:
                        Task(
                            node=node,
                            catalog=catalog,
                            hook_manager=hook_manager,
                            is_async=self._is_async,
                            run_id=run_id,
                        ).execute()
                    self._release_datasets(node, catalog, load_counts, pipeline)
        except KeyboardInterrupt as error:
            raise RunInterrupted(
                f"Stopped in {name}. What was finished is kept. To resume from here: "
                f"{this_command()}"
            ) from error


def reuse_in_every_session() -> None:
    """Have Kedro's sequential runner reuse results where a plan has been made.

    Kedro has a setting for the class of sessions and none for the runner, and its
    server and many scripts make sessions of Kedro's own classes: this one method is
    added to Kedro's class so that they reuse and resume as ``kedro run`` does.
    """
    SequentialRunner.run = _run_sequentially  # type: ignore[assignment]


def _run_sequentially(
    self: SequentialRunner,
    pipeline: Pipeline,
    catalog: CatalogProtocol,
    hook_manager: PluginManager | None = None,
    *rest: Any,
    **options: Any,
) -> dict[str, Any]:
    if type(self) is SequentialRunner and _plan_of(hook_manager) is not None:
        reusing = CachingSequentialRunner(is_async=self._is_async)
        return reusing.run(pipeline, catalog, hook_manager, *rest, **options)
    return AbstractRunner.run(self, pipeline, catalog, hook_manager, *rest, **options)


def _plan_of(hook_manager: PluginManager | None) -> RunPlan | None:
    """Return the plan that the hooks of this run have made."""
    # Kedro's stand-in for no hook manager returns no set.
    hooks = hook_manager.get_plugins() if hook_manager is not None else None
    return next((h.plan for h in hooks or () if isinstance(h, ReuseHooks)), None)


def this_command() -> str:
    """Return what to type for the same run again."""
    return " ".join([Path(sys.argv[0]).name or "kedro run", *sys.argv[1:]])
