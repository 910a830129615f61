"""Kedro's usage data, which stays off unless a project says otherwise."""

from __future__ import annotations

import os
from pathlib import Path

from kedro.utils import find_kedro_project


def keep_telemetry_off() -> None:
    """Turn it off where no ``.telemetry`` file says what is wanted.

    A wheel of the project comes without that file, and Kedro's plugin takes its absence
    for consent.
    """
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    if not (project / ".telemetry").is_file():
        os.environ.setdefault("KEDRO_DISABLE_TELEMETRY", "1")
