"""Project settings that Kedro reads: https://docs.kedro.org."""

# ruff: noqa: E402
from daformer_kedro.framework.logs import use_project_logging
from daformer_kedro.framework.telemetry import keep_telemetry_off

use_project_logging()  # before imports that have something to say
keep_telemetry_off()

from rich.console import Console

from daformer_kedro.framework.config_loader import ProjectConfigLoader
from daformer_kedro.framework.context import ProjectContext
from daformer_kedro.framework.decisions import DecisionHooks
from daformer_kedro.framework.guard import GuardHooks
from daformer_kedro.framework.progress import ProgressHooks
from daformer_kedro.framework.results import ResultHooks
from daformer_kedro.framework.session import (
    ProjectSession,
    list_pipelines_by_request,
)
from daformer_kedro.reuse.hooks import ReuseHooks
from daformer_kedro.reuse.runner import reuse_in_every_session
from daformer_kedro.tracking.client import TrackingClient
from daformer_kedro.tracking.continued_run import ContinuedRunHooks
from daformer_kedro.tracking.final_model import FinalModelHooks
from daformer_kedro.tracking.parent_run import ParentRunHooks
from daformer_kedro.tracking.run_page import RunPageHooks
from daformer_kedro.tracking.task_runs import TaskRunHooks

reuse_in_every_session()
list_pipelines_by_request()

CONTEXT_CLASS = ProjectContext
CONFIG_LOADER_CLASS = ProjectConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # Environments hold differences only, so parameters merge key by key.
    "merge_strategy": {"parameters": "soft", "mlflow": "soft"},
    "config_patterns": {"mlflow": ["mlflow*", "mlflow*/**", "**/mlflow*"]},
}
_console, _client, _reuse = Console(), TrackingClient(), ReuseHooks()
# Kedro calls the hooks registered last first. Before a run, the plan is made, which the
# others ask, then the parent run is opened, which the tasks' refer to. After it, the
# run is logged, then the results are printed, then the page that shows them.
# GuardHooks, which ends a run by raising, is told of an error after everybody else.
HOOKS = (
    GuardHooks(),
    RunPageHooks(_console, _client),
    ResultHooks(_console, _reuse),
    DecisionHooks(_console, _reuse),
    ProgressHooks(_console),
    TaskRunHooks(_client, _reuse),
    FinalModelHooks(_client),
    ContinuedRunHooks(_client),
    ParentRunHooks(_client, _reuse),
    _reuse,
)
# ParentRunHooks stands in for this plugin's hook.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro_mlflow", "kedro-mlflow")
SESSION_CLASS = ProjectSession
