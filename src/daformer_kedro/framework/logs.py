"""Logging, wherever a command is typed."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

_FILE = Path("conf") / "logging.yml"
_VARIABLE = "KEDRO_LOGGING_CONFIG"
_PACKAGED = Path(__file__).with_name(_FILE.name)


def use_project_logging() -> None:
    """Take ``conf/logging.yml`` also where Kedro does not find it.

    Kedro looks for it in the working directory alone. Below the project's root it is
    found from here; outside a project, as where the wheel is used alone, the same file
    is in the package. One that the environment variable ``KEDRO_LOGGING_CONFIG`` names
    goes first, as it does for Kedro.
    """
    path = _not_found_by_kedro()
    if path is not None:
        # This import logs, as Kedro's own settings have it.
        from kedro.framework.project import configure_logging

        configure_logging(yaml.safe_load(path.read_text(encoding="utf-8")))


def name_logging_file() -> None:
    """Have Kedro itself take the file, where it is not imported yet."""
    path = _not_found_by_kedro()
    if path is not None:
        os.environ[_VARIABLE] = str(path)


def _not_found_by_kedro() -> Path | None:
    if os.environ.get(_VARIABLE) or _FILE.is_file():
        return None
    # Kedro's own function that finds a project imports what sets logging up.
    projects = (p for p in Path.cwd().parents if (p / "pyproject.toml").is_file())
    return next((p / _FILE for p in projects if (p / _FILE).is_file()), _PACKAGED)
