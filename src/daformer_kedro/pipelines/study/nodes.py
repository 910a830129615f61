"""Nodes of the study pipeline."""

from __future__ import annotations

from typing import Any, Protocol

import pandas as pd

from daformer_kedro.config.study_section import StudyConfig
from daformer_kedro.pipelines.figure import Figure


class Search(Protocol):
    """Makes the trials; what it returns has ``trials``, ``best`` and so on."""

    def search(self) -> Any:
        """Make the trials that are missing, and write the best settings."""


def search_settings_node(
    search: Any, study: StudyConfig
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Search for settings; the best ones become an environment."""
    found = search.search()
    result = {
        "objective": study.objective,
        "value": found.value,
        "trial": found.best,
        "num_trials": len(found.trials),
        "settings": found.settings,
        "environment": str(found.environment),
    }
    return pd.DataFrame(found.trials), result


def draw_study_node(trials: pd.DataFrame, result: dict[str, Any]) -> Figure:
    """Draw the objective of every trial and the best so far."""
    from daformer_kedro.evaluation import figures

    return figures.study_figure(trials, result["objective"])
