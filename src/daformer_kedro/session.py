"""A Kedro session whose runs reuse results node by node."""

from __future__ import annotations

from typing import Any

from kedro.framework.session import KedroSession
from kedro.runner import AbstractRunner, SequentialRunner

from daformer_kedro.cache.runner import CachingSequentialRunner


class ProjectSession(KedroSession):
    """Runs with :class:`CachingSequentialRunner` where Kedro would run sequentially."""

    def run(  # type: ignore[override]
        self, pipeline_name: str | None = None, **options: Any
    ) -> dict[str, Any]:
        """Run pipelines; see :meth:`kedro.framework.session.KedroSession.run`."""
        runner: AbstractRunner | None = options.pop("runner", None)
        if runner is None or type(runner) is SequentialRunner:
            runner = CachingSequentialRunner(
                is_async=getattr(runner, "_is_async", False)
            )
        return super().run(pipeline_name, runner=runner, **options)
