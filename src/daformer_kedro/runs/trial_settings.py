"""Runs that a study makes: the session's own settings, and a trial's over them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from daformer_kedro.config.run import result_overrides
from daformer_kedro.errors import InputError
from daformer_kedro.run_state import RunState
from daformer_kedro.runs.project_run import ProjectRun, RunSpec
from daformer_kedro.runs.search_space import search_space
from daformer_kedro.runs.tuned_environment import as_reported
from daformer_kedro.usage import dotted


class TrialSettings:
    """Settings that the trials of a study are run with.

    Args:
        state: of the study's session.
    """

    def __init__(self, state: RunState) -> None:
        self._state = state

    def run(self, settings: Mapping[str, Any]) -> ProjectRun:
        """Return the run of a trial, measured on validation images.

        Args:
            settings: of the trial, by dotted name.
        """
        given = self._given | self._measured
        given |= {name: _text(value) for name, value in settings.items()}
        return ProjectRun(self._state.project, RunSpec(self._state.env, given))

    def check_space(self) -> None:
        """Validate every end and every choice as a run's settings would be.

        Raises:
            InputError: there is nothing to search, or a value is not allowed.
        """
        config = self._state.config
        study = config.study
        dimensions = search_space(config)
        if not dimensions or not (config.trains or study.space):
            raise InputError(
                f"study.space = {study.space}: name the settings to search, "
                "such as {training.learning_rate: {log_range: [0.01, 0.1]}}; with "
                f"baseline = {config.baseline}"
                + (
                    ""
                    if config.trains
                    else ", which trains nothing, there is no default"
                )
            )
        self._check_run("study: ", {})
        for dimension in dimensions:
            for value in dimension.extremes:
                self._check_run("study.space: ", {dimension.name: value})

    def _check_run(self, prefix: str, settings: Mapping[str, Any]) -> None:
        """Check the run of a trial, and that of the environment it would become."""
        source = self._state.config.source
        try:
            state = self.run(settings).state
            state.check()
        except InputError as error:
            raise InputError(f"{prefix}{error}") from error
        try:
            config = as_reported(state.config, source)
            _ = RunState(config, state.project).tasks  # raises
        except InputError as error:
            raise InputError(
                f"{prefix}{error}. The environment that the study writes has no share "
                "of validation images unless source.validation_fraction is given with "
                "source.evaluate_on=validation"
            ) from error

    @property
    def environments(self) -> list[str]:
        """Names of the environments that the study's own settings come from."""
        return self.run({}).environments

    @cached_property
    def _measured(self) -> dict[str, str]:
        """Settings by which trials are measured on validation images."""
        source = self._state.config.source
        has_own = ProjectRun(
            self._state.project, RunSpec(self._state.env, self._given)
        ).state.tasks.source.has_validation
        if source.validation_fraction is not None or has_own:
            return {"source.evaluate_on": "validation"}
        share = str(self._state.config.study.validation_fraction)
        return {
            "source.evaluate_on": "validation",
            "source.validation_fraction": share,
        }

    @property
    def _given(self) -> dict[str, str]:
        pairs = dotted(result_overrides(self._state.overrides))
        return {name: value for name, _, value in (p.partition("=") for p in pairs)}


def _text(value: Any) -> str:
    """Write a value as ``--params`` takes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
