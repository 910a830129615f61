"""Refuses runs that cannot succeed, and reports mistakes in one message."""

from __future__ import annotations

import re
import threading
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DatasetError

from daformer_kedro.errors import InputError
from daformer_kedro.framework.selection import check_runner, check_versions
from daformer_kedro.storage.lock import Holder
from daformer_kedro.usage import UsageError

_own_context: ContextVar[Any] = ContextVar("own_context", default=None)


class GuardHooks:
    """One run at a time in a process, checks before it, plain messages after an error.

    The hooks of a process keep what belongs to its run, and so does PyTorch. Kedro's
    server calls them from several threads.
    """

    def __init__(self) -> None:
        self._changing = threading.RLock()
        self._newest: Any = None
        self._running: tuple[threading.Thread, Holder] | None = None

    @hook_impl(wrapper=True)
    def after_context_created(self, context: Any) -> Generator[None]:
        """Hand a context over to all hooks, unless another thread's run has them.

        Raises:
            UsageError: it has.
        """
        with self._changing:
            self._refuse_while_another_runs()
            self._newest = context
            _own_context.set(context)
            yield

    @hook_impl(wrapper=True, tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any]) -> Generator[None]:
        """Check what a session of Kedro's own has not, and begin.

        Raises:
            UsageError: the run cannot be made so, or another thread has begun.
        """
        with self._changing:
            self._refuse_while_another_runs()
            self._running = (threading.current_thread(), Holder.this_process())
        try:
            self._take_hooks()
            _check(run_params)
            yield
        except BaseException:
            self._running = None
            raise

    @hook_impl(wrapper=True)
    def after_pipeline_run(self) -> Generator[None]:
        """Let others run."""
        try:
            yield
        finally:
            self._running = None

    @hook_impl(wrapper=True)
    def on_pipeline_error(self, error: Exception) -> Generator[None]:
        """Let others run, and show a user's mistake without a traceback.

        Raises:
            UsageError: in place of the error, if a user can correct it.
        """
        try:
            yield
        finally:
            self._running = None
        _raise_plainly(error)

    def _take_hooks(self) -> None:
        """Hand this thread's context over again, if another was made meanwhile."""
        own = _own_context.get()
        if own is not None and own is not self._newest:
            own._hook_manager.hook.after_context_created(context=own)

    def _refuse_while_another_runs(self) -> None:
        if self._running is None:
            return
        thread, holder = self._running
        # A run that was interrupted outside of its nodes ends with its thread.
        if thread is threading.current_thread() or not thread.is_alive():
            return
        raise UsageError(
            f"The folder {self._newest.state.run_key} is being written by this process "
            f"({holder.pid} on {holder.host}), since {holder.since}: {holder.command}\n"
            "It has one run at a time: wait for it, or use kedro run for other settings"
        )


def _check(run_params: dict[str, Any]) -> None:
    # Kedro names a runner as Python shows objects: <module.Class object at …>.
    runner = re.search(r"([\w.]+) object", str(run_params.get("runner")))
    name = runner[1].rpartition(".")[2] if runner else None
    try:
        check_runner(None if name and name.endswith("SequentialRunner") else name)
        check_versions(run_params.get("load_versions"))
    except InputError as error:
        raise UsageError(str(error)) from error


def _raise_plainly(error: Exception) -> None:
    if isinstance(error, UsageError):
        return
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            raise UsageError(str(cause)) from error
        cause = cause.__cause__
    if isinstance(error, DatasetError):
        raise UsageError(str(error)) from error
