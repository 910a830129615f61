"""The run in MLflow that a user names to continue: only one of the same settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlflow
from kedro.framework.hooks import hook_impl
from mlflow.environment_variables import MLFLOW_RUN_ID
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from daformer_kedro.config.run import study_key
from daformer_kedro.pipelines.naming import MONITOR, STUDY
from daformer_kedro.run_state import StateHooks
from daformer_kedro.tracking.client import TrackingClient
from daformer_kedro.tracking.run_metadata import PROJECT_TAG, RUN_KEY_TAG, STUDY_TAG
from daformer_kedro.usage import UsageError

_VARIABLE = MLFLOW_RUN_ID.name


class ContinuedRunHooks(StateHooks):
    """Refuses to continue a run that has been begun with other settings.

    It would get the name and tags of this one, and keep the parameters of that one.
    """

    def __init__(self, client: TrackingClient) -> None:
        self._client = client
        self._context: Any = None

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Take the state, and where the settings of MLflow will be."""
        super().after_context_created(context)
        self._context = context

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Compare the run that is named with this one, before anything is locked.

        Raises:
            UsageError: it was begun with other settings, or MLflow has no such run.
        """
        names = run_params.get("pipeline_names") or ["__default__"]
        tracking = self._context.mlflow.tracking
        if not self._client.experiment or (
            names != [MONITOR] and {*names} <= {*tracking.disable_tracking.pipelines}
        ):
            return
        source, run, remedy = _named(tracking.run.id)
        if run is None:
            return
        found: list[Mapping[str, str] | None] = []
        self._client.queue.attempt(lambda: found.append(_tags(run)))
        if not found:  # MLflow does not answer, and gets no log
            return
        said = f"{source} = {run!r}:"
        tags = found[0]
        if tags is None:
            raise UsageError(
                f"{said} MLflow at {mlflow.get_tracking_uri()} has no run of that id "
                f"that could be continued. For a run of its own: {remedy}"
            )
        is_ours = PROJECT_TAG in tags or RUN_KEY_TAG in tags
        own = self._kind(names)
        there = _kind_of(tags)
        if is_ours and there != own:
            raise UsageError(
                f"{said} that run in MLflow is {there}, and this one is {own}. A run "
                "is continued with the settings that it was begun with. For a run of "
                f"its own: {remedy}"
            )

    def _kind(self, names: list[str]) -> str:
        if names == [MONITOR]:
            return _kind_of({})
        if names == [STUDY]:
            return _kind_of({STUDY_TAG: study_key(self.state.config)})
        return _kind_of({RUN_KEY_TAG: self.state.run_key})


def _named(configured: str | None) -> tuple[str, str | None, str]:
    """Return where a run is named, its id, and what to do for another one."""
    active = mlflow.active_run()
    if active is not None:
        return "MLflow's active run", str(active.info.run_id), "mlflow.end_run() before"
    if configured is not None:
        return "mlflow.yml: tracking.run.id", configured, "set it to null"
    return _VARIABLE, MLFLOW_RUN_ID.get() or None, f"unset {_VARIABLE}"


def _tags(run: str) -> Mapping[str, str] | None:
    """Return the tags of a run; ``None`` if there is none of that id."""
    try:
        found = MlflowClient().get_run(run)
    except MlflowException as error:
        if error.get_http_status_code() in (400, 404):
            return None
        raise
    tags: Mapping[str, str] = found.data.tags
    return tags if found.info.lifecycle_stage == "active" else None


def _kind_of(tags: Mapping[str, str]) -> str:
    if STUDY_TAG in tags:
        return f"of the study {tags[STUDY_TAG]}"
    if RUN_KEY_TAG in tags:
        return f"of {tags[RUN_KEY_TAG]}"
    return "of the pipeline monitor"
