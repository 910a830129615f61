"""A Kedro session whose runs reuse results node by node."""

from __future__ import annotations

from typing import Any

from kedro.framework.session import KedroSession
from kedro.runner import AbstractRunner, SequentialRunner

from daformer_kedro import pipeline_registry
from daformer_kedro.cache.runner import CachingSequentialRunner
from daformer_kedro.hooks.guard import runs_of_the_project
from daformer_kedro.learning.progress import observers_of_block


class ProjectSession(KedroSession):
    """Runs with :class:`CachingSequentialRunner` where Kedro would run sequentially."""

    def run(  # type: ignore[override]
        self, pipeline_name: str | None = None, **options: Any
    ) -> dict[str, Any]:
        """Run pipelines; see :meth:`kedro.framework.session.KedroSession.run`."""
        names = options.get("pipeline_names") or [pipeline_name or "__default__"]
        pipeline_registry.expect(names)
        runner: AbstractRunner | None = options.pop("runner", None)
        if runner is None or type(runner) is SequentialRunner:
            runner = CachingSequentialRunner(
                is_async=getattr(runner, "_is_async", False)
            )
        try:
            with observers_of_block(), runs_of_the_project():
                return super().run(pipeline_name, runner=runner, **options)
        finally:
            pipeline_registry.expect(["__default__"])
