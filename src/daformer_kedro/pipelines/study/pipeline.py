"""Pipeline that searches for settings."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from daformer_kedro.pipelines.naming import (
    EVALUATION,
    STUDY_RESULT,
    USES_FINISHED_MODEL,
)
from daformer_kedro.pipelines.study.nodes import draw_study_node, search_settings_node


def create_pipeline() -> Pipeline:
    """Search, and draw how the search went."""
    return Pipeline(
        [
            node(
                search_settings_node,
                inputs=["study_search", "params:study"],
                outputs=["study_trials", STUDY_RESULT],
                name="search_settings",
            ),
            node(
                draw_study_node,
                inputs=["study_trials", STUDY_RESULT],
                outputs="study_chart",
                name="draw_study",
                tags="figures",
            ),
        ],
        # Of the study itself no result is locked: its trials lock theirs.
        tags=["study", EVALUATION, USES_FINISHED_MODEL],
    )
