"""The node that draws a task's exemplars.

In a module of its own, so that a change of figures evaluates nothing again.
"""

from __future__ import annotations

import pandas as pd

from daformer_kedro.pipelines.figure import Figure
from daformer_kedro.scenario.images import Images
from daformer_kedro.scenario.samples import class_names, sample_index


def draw_exemplars_node(
    images: Images, samples: pd.DataFrame, exemplars: pd.DataFrame
) -> Figure:
    """Draw the images that the rehearsal memory holds after the task, best first."""
    from daformer_kedro.evaluation.figures import exemplar_sheet_figure

    groups = exemplars.sort_values(["target", "rank"]).groupby("target")
    chosen = [images.view("train", sample_index(rows)) for _, rows in groups]
    return exemplar_sheet_figure(chosen, class_names(samples))
