"""Project settings that Kedro reads: https://docs.kedro.org."""

# ruff: noqa: E402
from daformer_kedro.framework.logs import use_project_logging
from daformer_kedro.framework.telemetry import keep_telemetry_off

use_project_logging()  # before imports that have something to say
keep_telemetry_off()

from daformer_kedro.framework.console import ConsoleHooks
from daformer_kedro.framework.context import ProjectConfigLoader, ProjectContext
from daformer_kedro.framework.guard import GuardHooks
from daformer_kedro.framework.session import ProjectSession
from daformer_kedro.reuse.hooks import CacheHooks
from daformer_kedro.tracking import (
    FinalModelHooks,
    ParentRunHooks,
    RunPageHooks,
    ServerHooks,
    TrackingHooks,
)

CONTEXT_CLASS = ProjectContext
CONFIG_LOADER_CLASS = ProjectConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # Environments hold differences only, so parameters merge key by key.
    "merge_strategy": {"parameters": "soft", "mlflow": "soft"},
    "config_patterns": {"mlflow": ["mlflow*", "mlflow*/**", "**/mlflow*"]},
}
# Kedro calls the hooks registered last first. GuardHooks, which ends a run by raising,
# is told of an error after everybody else. Before a run CacheHooks comes first, since
# the others ask its plan, then the parent run is opened, since the tasks' refer to it.
HOOKS = (
    GuardHooks(),
    RunPageHooks(),
    ConsoleHooks(),
    TrackingHooks(),
    FinalModelHooks(),
    ParentRunHooks(),
    ServerHooks(),
    CacheHooks(),
)
# ParentRunHooks stands in for this plugin's hook.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro_mlflow", "kedro-mlflow")
SESSION_CLASS = ProjectSession
