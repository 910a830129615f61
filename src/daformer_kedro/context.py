"""What Kedro needs beyond its defaults: keys in paths, pipelines by settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.project import PACKAGE_NAME, pipelines
from omegaconf import OmegaConf

from daformer_kedro import pipeline_registry
from daformer_kedro.config import (
    Config,
    apply_baseline,
    merge,
    run_key,
    run_name,
    source_key,
)
from daformer_kedro.errors import InputError
from daformer_kedro.usage import UsageError, run_command


class ProjectConfigLoader(OmegaConfigLoader):
    """Applies the baseline to the parameters and offers keys to the other files.

    Resolvers for the catalog and for ``mlflow.yml``: ``${run_key:}``,
    ``${joint_run_key:}``, ``${source_key:}``, ``${run_name:}``, ``${run_command:}``,
    ``${comparison_filter:}``, ``${comparison_experiment:}``, ``${tracking_uri:}`` and
    ``${artifact_location:}``.
    """

    def __getitem__(self, key: str) -> dict[str, Any]:
        if key == "parameters":
            return apply_baseline(super().__getitem__(key), self.runtime_params or {})
        if key in ("catalog", "mlflow"):
            self._register_keys()
        if key == "mlflow":
            return self._with_local_server(super().__getitem__(key))
        return super().__getitem__(key)

    @property
    def config(self) -> Config:
        """The validated parameters.

        Raises:
            InputError: see :meth:`daformer_kedro.config.Config.from_parameters`.
        """
        return Config.from_parameters(self["parameters"])

    def _joint_config(self) -> Config:
        """The same settings with the baseline ``joint``, the upper bound."""
        given = {**(self.runtime_params or {}), "baseline": "joint"}
        parameters = {**super().__getitem__("parameters"), "baseline": "joint"}
        return Config.from_parameters(apply_baseline(parameters, given))

    def _with_local_server(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Lay ``conf/local/mlflow.yml`` over the settings, whatever the environment.

        Kedro reads ``conf/local`` only where no environment is named, but the tracking
        server belongs to the machine and not to the protocol.
        """
        folder = Path(self.conf_source) / self.default_run_env
        if self.env not in (None, self.default_run_env) and folder.is_dir():
            local = self.load_and_merge_dir_config(
                folder.as_posix(), self.config_patterns["mlflow"], "mlflow", set()
            )
            settings = merge(settings, local)
        server = settings.get("server", {}).get("mlflow_tracking_uri") or ""
        if server.startswith(("http:", "https:", "databricks")):
            # A server decides for itself where its artifacts lie.
            creation = {"create_experiment_kwargs": {"artifact_location": None}}
            settings = merge(settings, {"tracking": {"experiment": creation}})
        return settings

    def _register_keys(self) -> None:
        # Resolvers are global to the process: set anew before each use, so that two
        # loaders in one process do not mix up their keys.
        config = self.config
        project = Path(self.conf_source).resolve().parent.as_posix()
        given = os.environ.get("MLFLOW_TRACKING_URI")
        values = {
            "run_key": run_key(config),
            "joint_run_key": run_key(self._joint_config()),
            "source_key": source_key(config),
            "run_name": run_name(config),
            "run_command": run_command(self.env, self.runtime_params or {}),
            "comparison_filter": config.comparison.filter,
            "comparison_experiment": config.comparison.experiment,
            "tracking_uri": given or f"sqlite:///{project}/mlflow.db",
            "artifact_location": f"{project}/mlartifacts",
        }
        for name, value in values.items():
            OmegaConf.register_resolver(name, lambda value=value: value, replace=True)


class ProjectContext(KedroContext):
    """Builds the pipelines for the environment and parameters of this session.

    Every setting is validated here, before anything is read or run.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        loader = arguments["config_loader"]
        try:
            pipeline_registry.use_settings(loader.config)
        except InputError as error:
            raise UsageError(str(error)) from error
        # Drop pipelines that were built for other settings in this process.
        pipelines.configure(
            f"{arguments['package_name'] or PACKAGE_NAME}.pipeline_registry"
        )
