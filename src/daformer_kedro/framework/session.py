"""A Kedro session that checks what a command asks for."""

from __future__ import annotations

from contextvars import copy_context
from functools import partial
from typing import Any

from kedro.config import AbstractConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines
from kedro.framework.session import KedroServiceSession, KedroSession

from daformer_kedro.errors import InputError
from daformer_kedro.framework.selection import check_runner, check_selection
from daformer_kedro.terminal import print_any_character
from daformer_kedro.usage import UsageError


class ProjectSession(KedroSession):
    """Says at once what does not exist or is not needed.

    Kedro's own sessions run the pipelines as well, with Kedro's messages.
    """

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
        try:
            try:
                check_runner(options.get("runner"))
                self._context = self.load_context()
                check_selection(pipelines, {**options, "pipeline_names": names})
            except InputError as error:
                raise UsageError(str(error)) from error
            run = partial(super().run, pipeline_name, **options)
            return copy_context().run(run)  # observers of epochs end with the run
        finally:
            self._context = self._requested = None


def list_pipelines_by_request() -> None:
    """Have Kedro's server list pipelines when one is asked for, not when it begins.

    Before it knows the parameters of the first request it would list all of them, which
    cannot be done before it is known where the images are, and its answer would be an
    internal error. Nothing is shared between requests that would have to be there
    before: the project's registry builds the pipelines of each one's settings.
    """
    KedroServiceSession._preload_pipelines = _preload_nothing  # type: ignore[method-assign]


def _preload_nothing(self: KedroServiceSession) -> None:
    pipelines.set_requested(None)
