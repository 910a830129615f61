"""A Kedro session whose runs reuse results node by node."""

from __future__ import annotations

from contextvars import copy_context
from functools import partial
from typing import Any

from kedro.config import AbstractConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.runner import AbstractRunner, SequentialRunner

from daformer_kedro.errors import InputError
from daformer_kedro.framework.selection import check_runner, check_selection
from daformer_kedro.reuse.runner import CachingSequentialRunner
from daformer_kedro.terminal import print_any_character
from daformer_kedro.usage import UsageError


class ProjectSession(KedroSession):
    """Runs with :class:`CachingSequentialRunner` where Kedro would run sequentially."""

    _context: KedroContext | None = None
    _requested: tuple[str, ...] | None = None

    def load_context(self) -> KedroContext:
        """Make a context; within a run, the one that its options were checked with."""
        return self._context or super().load_context()

    def _get_config_loader(self) -> AbstractConfigLoader:
        """Make a loader that knows whether the images are needed."""
        loader: Any = super()._get_config_loader()
        loader.requested = self._requested
        return loader

    def run(  # type: ignore[override]
        self, pipeline_name: str | None = None, **options: Any
    ) -> dict[str, Any]:
        """Run pipelines; see :meth:`kedro.framework.session.KedroSession.run`.

        Raises:
            UsageError: a name that does not exist, or another kind of runner.
        """
        print_any_character()
        names = options.get("pipeline_names") or [pipeline_name or "__default__"]
        self._requested = tuple(names)
        runner: AbstractRunner | None = options.pop("runner", None)
        try:
            try:
                check_runner(runner)
                self._context = self.load_context()
                check_selection(pipelines, {**options, "pipeline_names": names})
            except InputError as error:
                raise UsageError(str(error)) from error
            if runner is None or type(runner) is SequentialRunner:
                runner = CachingSequentialRunner(
                    is_async=getattr(runner, "_is_async", False)
                )
            run = partial(super().run, pipeline_name, runner=runner, **options)
            return copy_context().run(run)  # observers of epochs end with the run
        finally:
            self._context = self._requested = None
