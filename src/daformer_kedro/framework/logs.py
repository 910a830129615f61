"""Logging, wherever in the project a command is typed."""

from __future__ import annotations

import os
from pathlib import Path

import yaml
from kedro.framework.project import configure_logging
from kedro.utils import find_kedro_project

_FILE = Path("conf") / "logging.yml"


def use_project_logging() -> None:
    """Take ``conf/logging.yml`` also where a command is typed below the project's root.

    Kedro looks for it in the working directory alone. A file that the environment
    variable ``KEDRO_LOGGING_CONFIG`` names goes first, as it does for Kedro.
    """
    if os.environ.get("KEDRO_LOGGING_CONFIG") or _FILE.is_file():
        return
    project = find_kedro_project(Path.cwd())
    if project is not None and (project / _FILE).is_file():
        text = (project / _FILE).read_text(encoding="utf-8")
        configure_logging(yaml.safe_load(text))
