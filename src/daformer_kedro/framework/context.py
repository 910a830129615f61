"""Context and configuration of Kedro: keys in paths, pipelines by settings."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException, OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.utils import find_kedro_project, is_kedro_project
from omegaconf import OmegaConf

from daformer_kedro.config import SourceConfig
from daformer_kedro.config.run import (
    Config,
    apply_overlays,
    embedding_key,
    lay_over,
    merge,
    run_key,
    run_name,
    source_key,
)
from daformer_kedro.datasets.local_path import local_path
from daformer_kedro.errors import InputError, did_you_mean
from daformer_kedro.model.encoders.defaults import fill_from_encoder
from daformer_kedro.objectives import terms_off_by_default
from daformer_kedro.run_state import RunState, set_state_of_pipelines
from daformer_kedro.runs.study import StudySearch
from daformer_kedro.scenario.image_files import COPIES
from daformer_kedro.scenario.sources import FILE_SOURCES, describe_source
from daformer_kedro.storage.sqlite_uri import sqlite_uri
from daformer_kedro.usage import UsageError
from daformer_kedro.validation import require_every_setting, validated

_PARENT = "extends"
"""The key by which an environment names the one whose parameters it starts from."""

_OWN_DATASETS = "daformer_kedro.datasets."

_RESOLVERS = threading.RLock()
"""Held while configuration is read: OmegaConf's resolvers, Kedro's ``runtime_params``
among them, belong to the process, and a server has many threads."""


class ProjectConfigLoader(OmegaConfigLoader):
    """Puts the parameters together and offers keys to the other files.

    Parameters lie in layers, each over those before: ``conf/base``, the environments
    that this one ``extends`` (the farthest first), the environment, the schedule, the
    baseline, ``--params``.

    Resolvers for the catalog and for ``mlflow.yml``: ``${run_key:}``,
    ``${joint_run_key:}``, ``${source_key:}``, ``${embedding_key:}``,
    ``${folder_of_copies:}``, ``${scratch:}``, ``${copies_in:}``,
    ``${run_name:}``, ``${run_command:}``, ``${comparison_filter:}``,
    ``${comparison_run_keys:}``, ``${comparison_experiment:}``, ``${inference_model:}``,
    ``${inference_output:}``, ``${export_model:}``, ``${monitor_model:}``,
    ``${monitor_output:}``, ``${study_name:}``, ``${study_search:}``,
    ``${tracking_uri:}`` and ``${artifact_location:}``.

    Attributes:
        project: root of the project, which the configuration may lie outside of;
            ``None`` where no context has set it.
        requested: names of the pipelines that the project's session will run; ``None``
            where there is no such session.
    """

    project: Path | None = None
    requested: tuple[str, ...] | None = None
    _state: RunState | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._check_environment()

    def _check_environment(self) -> None:
        """Make sure that the environment asked for is there.

        Raises:
            UsageError: it is not; names those that are.
        """
        if not self.env or self._fs.isdir(
            Path(self._get_conf_env_path(self.env)).as_posix()
        ):
            return
        folder = Path(self._get_conf_env_path(self.env)).parent.as_posix()
        found = (entry for entry in self._fs.ls(folder, detail=True))
        known = sorted(
            Path(entry["name"]).name for entry in found if entry["type"] == "directory"
        )
        hint = did_you_mean(self.env, known)
        raise UsageError(
            f"--env {self.env}: there is no {folder}/{self.env}.{hint} "
            f"Allowed: {', '.join(known)}"
        )

    def __getitem__(self, key: str) -> dict[str, Any]:
        with _RESOLVERS:
            return self._load(key)

    def _load(self, key: str) -> dict[str, Any]:
        if key == "parameters":
            return self._parameters(super().__getitem__(key))
        if key in ("catalog", "mlflow"):
            self._register_keys()
        if key == "mlflow":
            return self._server()
        if key == "credentials":
            return self._credentials()
        if key == "catalog":
            return self._catalog(super().__getitem__(key))
        return super().__getitem__(key)

    @property
    def state(self) -> RunState:
        """The parameters, validated once, with what follows from them.

        Raises:
            InputError: a setting is left out, or see
                :meth:`daformer_kedro.config.run.Config.from_parameters`.
        """
        with _RESOLVERS:
            if self._state is None:
                self._state = self._make_state()
            return self._state

    def _make_state(self) -> RunState:
        parameters = self["parameters"]
        config = Config.from_parameters(parameters)
        off = frozenset(f"losses.{name}" for name in terms_off_by_default())
        require_every_setting(Config, parameters, may_be_left_out=off)
        return RunState(
            config,
            self._find_project(),
            parameters=parameters,
            env=self.env,
            overrides=self.runtime_params or {},
            requested=self.requested,
        )

    def _catalog(self, entries: dict[str, Any]) -> dict[str, Any]:
        """Refuse places that no dataset of this project can write to.

        Where no context has built pipelines for these settings (Kedro's inspection
        reads the catalog, then the pipelines), they are built for them from now on.
        """
        for name, entry in entries.items():
            if not str(entry.get("type", "")).startswith(_OWN_DATASETS):
                continue
            try:
                local_path(entry.get("filepath", entry.get("path", "")))
            except InputError as error:
                raise UsageError(f"{name} in the catalog: {error}") from error
        if self.project is None:
            _build_pipelines_for(self)
        return entries

    @cached_property
    def _joint_run_key(self) -> str:
        """Run key of the same settings with the baseline ``joint``, the upper bound.

        Methods in closed form are joint training already.
        """
        if not self.state.config.trains:
            return self.state.run_key
        merged = super().__getitem__("parameters")
        joint = self._parameters(merged, baseline="joint", baseline_settings={})
        return run_key(Config.from_parameters(joint))

    def _parameters(self, merged: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Lay everything over ``merged``, Kedro's own merge of base and environment.

        ``more`` is laid over ``--params``.
        """
        overrides = {**(self.runtime_params or {}), **more}
        if _PARENT in overrides:
            raise InputError(
                f"{_PARENT} = {overrides[_PARENT]!r}: allowed in "
                "conf/<environment>/parameters.yml only, not in --params"
            )
        # The user's choice of schedule and baseline goes before an environment's.
        for layer in (*self._environment_layers(), self._of_machine(), overrides):
            merged = lay_over(merged, layer)
        merged.pop(_PARENT, None)
        laid_over = apply_overlays(merged, overrides)
        source = laid_over.get("source")
        name = source.get("name") if isinstance(source, Mapping) else None
        of_files = name in FILE_SOURCES
        return fill_from_encoder(
            laid_over,
            of_files=of_files,
            is_grey=lambda: not of_files and _is_grey(source),
        )

    def _environment_layers(self) -> list[dict[str, Any]]:
        """Parameters of the environment, after those of its ancestors."""
        if "parameters" in self.data:  # set by hand, for this loader alone
            return []
        layers: list[dict[str, Any]] = []
        names: list[str] = []
        name = self.env or self.default_run_env
        while name:
            if name in names:
                circle = " → ".join([*names, name])
                raise InputError(f"{_PARENT} = {name!r} leads in a circle: {circle}")
            try:
                layer = self.load_and_merge_dir_config(
                    self._get_conf_env_path(name),
                    self.config_patterns["parameters"],
                    "parameters",
                    set(),
                )
            except MissingConfigException as error:
                raise InputError(
                    f"{_PARENT} = {name!r} in conf/{names[-1]} must be the name of "
                    f"another environment; there is no conf/{name}"
                ) from error
            names.append(name)
            layers.insert(0, layer)
            name = layer.get(_PARENT)
        return layers

    def _with_local(self, key: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Lay what ``conf/local`` says over settings, whatever the environment.

        Kedro reads ``conf/local`` only where no environment is named, but tracking
        server, credentials and disk belong to the machine and not to the protocol.
        """
        folder = self._get_conf_env_path(self.default_run_env)
        if self.env in (None, self.default_run_env) or not self._fs.isdir(folder):
            return settings
        local = self.load_and_merge_dir_config(
            folder, self.config_patterns[key], key, set()
        )
        return merge(settings, local)

    def _of_machine(self) -> dict[str, Any]:
        """Parameters of ``conf/local`` that hold for every environment."""
        cache = self._with_local("parameters", {}).get("cache")
        if not isinstance(cache, Mapping) or "scratch" not in cache:
            return {}
        return {"cache": {"scratch": cache["scratch"]}}

    def _credentials(self) -> dict[str, Any]:
        try:
            settings = super().__getitem__("credentials")
        except MissingConfigException:
            settings = {}
        return self._with_local("credentials", settings)

    def _server(self) -> dict[str, Any]:
        settings = self._with_local("mlflow", super().__getitem__("mlflow"))
        server = settings.get("server", {}).get("mlflow_tracking_uri") or ""
        if server.startswith(("http:", "https:", "databricks")):
            # A server decides for itself where its artifacts lie.
            creation = {"create_experiment_kwargs": {"artifact_location": None}}
            settings = merge(settings, {"tracking": {"experiment": creation}})
        return settings

    def _register_keys(self) -> None:
        # Resolvers are global to the process: set again before each use, under
        # _RESOLVERS, so that two loaders in one process do not mix up their keys.
        state, config = self.state, self.state.config
        project, scratch = state.project.as_posix(), state.scratch
        given = os.environ.get("MLFLOW_TRACKING_URI")
        values = {
            "run_key": state.run_key,
            "joint_run_key": self._joint_run_key,
            "source_key": source_key(config),
            "embedding_key": embedding_key(config),
            "folder_of_copies": (
                f"{project}/data/02_intermediate/{source_key(config)}/{COPIES}"
            ),
            "scratch": (scratch or Path("data")).as_posix(),
            "copies_in": scratch and scratch.as_posix(),
            "run_name": run_name(config),
            "run_command": state.command,
            "comparison_filter": config.comparison.filter,
            "comparison_run_keys": config.comparison.run_keys,
            "comparison_experiment": config.comparison.experiment,
            "inference_model": config.inference.model,
            "inference_output": config.inference.output,
            "export_model": config.export.model,
            "monitor_model": config.monitor.model,
            "monitor_output": config.monitor.output,
            "study_name": config.study.name,
            "study_search": StudySearch(state),
            "tracking_uri": given or sqlite_uri(f"{project}/mlflow.db"),
            "artifact_location": f"{project}/mlartifacts",
        }
        for name, value in values.items():
            OmegaConf.register_resolver(name, lambda value=value: value, replace=True)

    def _find_project(self) -> Path:
        """Root of the project: of the context, around ``conf``, of where we are."""
        beside = Path(self.conf_source).resolve().parent
        if self.project is None and is_kedro_project(beside):
            return beside
        here = Path.cwd()
        return (self.project or find_kedro_project(here) or here).resolve()


class ProjectContext(KedroContext):
    """Makes the state of the session, and builds the pipelines for it.

    Every setting is validated here, before anything is read or run.

    Attributes:
        state: handed to the hooks.
    """

    state: RunState

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        loader = arguments["config_loader"]
        loader.project = Path(arguments["project_path"])
        self.state = _build_pipelines_for(loader)


def _build_pipelines_for(loader: ProjectConfigLoader) -> RunState:
    """Check settings, and have this thread or request find their pipelines."""
    try:
        state = loader.state
        state.check()
    except InputError as error:
        raise UsageError(str(error)) from error
    set_state_of_pipelines(state)
    return state


def _is_grey(source: Any) -> bool:
    """Return whether a source of arrays has one channel; it may not be valid yet."""
    try:
        config = validated(SourceConfig, source, "source")
        return describe_source(config).num_channels == 1
    except InputError:  # which is reported where the source is needed
        return False
