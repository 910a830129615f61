"""Messages on what a run reuses, and on how to resume it."""

from __future__ import annotations

from kedro.framework.hooks import hook_impl
from rich.console import Console

from daformer_kedro.reuse.hooks import ReuseHooks
from daformer_kedro.reuse.planner import Decision
from daformer_kedro.reuse.runner import RunInterrupted


class DecisionHooks:
    """A line for each node that is reused or computed, unless all are computed.

    Args:
        console: where to print.
        reuse: the hooks that make the plan.
    """

    def __init__(self, console: Console, reuse: ReuseHooks) -> None:
        self._console = console
        self._reuse = reuse

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Listen to the decisions."""
        plan = self._reuse.plan
        if plan is not None and plan.mode != "all":
            plan.listen(self._print)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Say if there was nothing to do."""
        plan = self._reuse.plan
        if plan is not None and plan.is_all_reused:
            self._print(
                f"Nothing to do: all {len(plan.decisions)} steps are up to date."
            )

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Say how to resume what failed; an interruption says so itself."""
        plan = self._reuse.plan
        if plan is None or isinstance(error, RunInterrupted):
            return
        if plan.recorder.num_run:
            self._print("What was finished is kept; the same command resumes there.")

    def _print(self, line: str | Decision) -> None:
        self._console.print(str(line), highlight=False, markup=False, soft_wrap=True)
