"""Environment that a study writes its best settings to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from daformer_kedro.config import SourceConfig
from daformer_kedro.config.run import Config, merge, result_overrides
from daformer_kedro.errors import InputError
from daformer_kedro.run_state import RunState
from daformer_kedro.storage.atomic_files import write_text

_OF_KEDRO = ("base", "local")
"""Environments whose settings hold wherever no other is named."""
_MARK = "# Written by kedro run --pipelines study"


def check_environment(project: Path, name: str, used: Sequence[str]) -> None:
    """Make sure that nothing but a study's result is replaced.

    Args:
        project: root of the project.
        name: of the environment to write.
        used: environments that the study's own settings come from.

    Raises:
        InputError: the environment exists and no study has written it, or the study's
            settings come from it.
    """
    if name in (*used, *_OF_KEDRO):
        raise InputError(
            f"study.name = {name!r}: the study's own settings come from conf/{name}, "
            "which it would replace; choose another name"
        )
    folder = project / "conf" / name
    path = folder / "parameters.yml"
    is_ours = path.is_file() and path.read_text(encoding="utf-8").startswith(_MARK)
    if folder.exists() and not is_ours:
        raise InputError(
            f"study.name = {name!r}: {folder} exists, and no study has written it; "
            "choose another name"
        )


def as_reported(config: Config, session: SourceConfig) -> Config:
    """Return a trial's settings as the environment would have them.

    Args:
        config: of a trial.
        session: images of the study's session.
    """
    is_kept = session.evaluate_on is not None or not session.on_validation
    share = session.validation_fraction if is_kept else None
    source = replace(config.source, evaluate_on="test", validation_fraction=share)
    return replace(config, source=source)


def write_environment(
    state: RunState,
    settings: Mapping[str, Any],
    value: float,
    trial: int,
    num_trials: int,
) -> Path:
    """Write the best settings as an environment, with those that the study was given.

    The share of validation images is left out: a run with this environment is measured
    on the test images, see :func:`as_reported`.

    Args:
        state: of the study's session.
        settings: of the best trial, by dotted name.
        value: its objective, a fraction of 1.
        trial: its number.
        num_trials: of the study.

    Returns:
        Path of the file.
    """
    study = state.config.study
    given = result_overrides(state.overrides)
    given.pop("seed", None)  # the study's; results are reported with others
    source = state.config.source
    if source.on_validation:  # of the study alone
        given = merge(given, {"source": {"evaluate_on": "test"}})
        if source.evaluate_on is None:
            given = merge(given, {"source": {"validation_fraction": None}})
    for name, chosen in settings.items():
        *sections, last = name.split(".")
        layer: Any = {last: chosen}
        for section in reversed(sections):
            layer = {section: layer}
        given = merge(given, layer)
    if state.env:
        given = {"extends": state.env, **given}
    text = (
        f"{_MARK}: trial {trial} of {num_trials}, with\n"
        f"# {study.objective} {100 * value:.2f} % on validation images.\n"
        "# No test image took part; these are measured by\n"
        f"#   kedro run --env {study.name}\n\n"
        f"{yaml.safe_dump(given, sort_keys=False)}"
    )
    path = state.project / "conf" / study.name / "parameters.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return path
