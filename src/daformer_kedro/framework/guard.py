"""Refuses runs that cannot succeed, and says mistakes in one message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol, DatasetError
from kedro.pipeline import Pipeline

from daformer_kedro.errors import InputError
from daformer_kedro.usage import UsageError

_of_project: ContextVar[bool] = ContextVar("of_project", default=False)


@contextmanager
def runs_of_the_project() -> Iterator[None]:
    """Mark what runs within the block as begun by the project's own session."""
    token = _of_project.set(True)
    try:
        yield
    finally:
        _of_project.reset(token)


class GuardHooks:
    """Checks before a run, plain messages after an error."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Refuse a pipeline whose inputs no earlier run has made.

        Raises:
            UsageError: names what is missing and the command that makes it; or another
                session than the project's runs the pipeline, as kedro server does.
        """
        if not _of_project.get():
            raise UsageError(
                "this project's pipelines run with its own session alone, which "
                "decides what is reused: kedro run, or in Python "
                "settings.SESSION_CLASS.create(...).run(...). kedro server shows them "
                "(/snapshot) and cannot run them"
            )
        for name in sorted(pipeline.inputs()):
            if name.startswith("params:") or name == "parameters":
                continue
            if name in catalog and not catalog.exists(name):
                raise UsageError(_missing(name, catalog))

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Show a user's mistake without a traceback.

        Raises:
            UsageError: in place of the error, if a user can mend it.
        """
        if isinstance(error, UsageError):
            return
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, InputError):
                raise UsageError(str(cause)) from error
            cause = cause.__cause__
        if isinstance(error, DatasetError):
            raise UsageError(str(error)) from error


def _missing(name: str, catalog: Any) -> str:
    namespace, _, _ = name.rpartition(".")
    maker = namespace or "ingestion"
    return (
        f"{name} is needed and not there: {catalog[name]}\n"
        "It is made by an earlier step with the same --env and --params. Run that "
        f"first: kedro run --pipelines {maker}, or kedro run for all steps in order."
    )
