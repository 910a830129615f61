"""Refuses runs that cannot succeed, and reports mistakes in one message."""

from __future__ import annotations

from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol, DatasetError
from kedro.pipeline import Pipeline

from daformer_kedro.errors import InputError
from daformer_kedro.run_state import StateHooks
from daformer_kedro.usage import UsageError


class GuardHooks(StateHooks):
    """Checks before a run, plain messages after an error."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Refuse a pipeline whose inputs no earlier run has made.

        Raises:
            UsageError: names what is missing and the command that makes it; or another
                session than the project's runs the pipeline, as kedro server does.
        """
        if self.state.requested is None:
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
            UsageError: in place of the error, if a user can correct it.
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
