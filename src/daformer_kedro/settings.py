"""Project settings that Kedro reads: https://docs.kedro.org."""

from daformer_kedro.context import ProjectConfigLoader, ProjectContext
from daformer_kedro.hooks import (
    ConsoleHooks,
    FinalModelHooks,
    GuardHooks,
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
# Kedro calls the hooks registered last first, plugins' before these: GuardHooks, which
# ends a run by raising, is told of an error after everybody else.
HOOKS = (
    GuardHooks(),
    ConsoleHooks(),
    TrackingHooks(),
    FinalModelHooks(),
    ServerHooks(),
)
