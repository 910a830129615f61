"""Refuses runs that cannot succeed, and reports mistakes in one message."""

from __future__ import annotations

from kedro.framework.hooks import hook_impl
from kedro.io import DatasetError

from daformer_kedro.errors import InputError
from daformer_kedro.run_state import StateHooks
from daformer_kedro.usage import UsageError


class GuardHooks(StateHooks):
    """Checks before a run, plain messages after an error."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self) -> None:
        """Refuse another session than the project's, as kedro server has.

        Raises:
            UsageError: it is another.
        """
        if self.state.requested is None:
            raise UsageError(
                "this project's pipelines run with its own session alone, which "
                "decides what is reused: kedro run, or in Python "
                "settings.SESSION_CLASS.create(...).run(...). kedro server shows them "
                "(/snapshot) and cannot run them"
            )

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
