"""A Kedro session whose runs reuse results node by node."""

from __future__ import annotations

from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.runner import AbstractRunner, SequentialRunner

from daformer_kedro import pipeline_registry
from daformer_kedro.errors import InputError
from daformer_kedro.framework.guard import runs_of_the_project
from daformer_kedro.framework.selection import check_runner, check_selection
from daformer_kedro.learning.progress import observers_of_block
from daformer_kedro.reuse.runner import CachingSequentialRunner
from daformer_kedro.usage import UsageError


class ProjectSession(KedroSession):
    """Runs with :class:`CachingSequentialRunner` where Kedro would run sequentially."""

    _context: KedroContext | None = None

    def load_context(self) -> KedroContext:
        """The context; within a run the one that its options were checked with."""
        return self._context or super().load_context()

    def run(  # type: ignore[override]
        self, pipeline_name: str | None = None, **options: Any
    ) -> dict[str, Any]:
        """Run pipelines; see :meth:`kedro.framework.session.KedroSession.run`.

        Raises:
            UsageError: a name that does not exist, or another kind of runner.
        """
        names = options.get("pipeline_names") or [pipeline_name or "__default__"]
        pipeline_registry.expect(names)
        runner: AbstractRunner | None = options.pop("runner", None)
        try:
            check_runner(runner)
            self._context = self.load_context()
            check_selection(pipelines, {**options, "pipeline_names": names})
        except InputError as error:
            pipeline_registry.expect(["__default__"])
            raise UsageError(str(error)) from error
        if runner is None or type(runner) is SequentialRunner:
            runner = CachingSequentialRunner(
                is_async=getattr(runner, "_is_async", False)
            )
        try:
            with observers_of_block(), runs_of_the_project():
                return super().run(pipeline_name, runner=runner, **options)
        finally:
            self._context = None
            pipeline_registry.expect(["__default__"])
