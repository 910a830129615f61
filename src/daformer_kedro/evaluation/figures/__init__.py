"""Figures of a run, as matplotlib ``Figure`` objects that share no global state.

Accuracies come in as fractions of 1 and are drawn in percent; tasks count from 0, as
in the names of the pipelines (``task_00``).
"""

from daformer_kedro.evaluation.figures.accuracy_matrix import accuracy_matrix_figure
from daformer_kedro.evaluation.figures.attention import attention_map_figure
from daformer_kedro.evaluation.figures.comparison import comparison_figure
from daformer_kedro.evaluation.figures.confusion import confusion_matrix_figure
from daformer_kedro.evaluation.figures.costs import costs_figure
from daformer_kedro.evaluation.figures.differences import differences_figure
from daformer_kedro.evaluation.figures.exemplars import exemplar_sheet_figure
from daformer_kedro.evaluation.figures.forgetting import forgetting_figure
from daformer_kedro.evaluation.figures.incremental_accuracy import (
    incremental_accuracy_figure,
)
from daformer_kedro.evaluation.figures.monitoring import monitoring_figure
from daformer_kedro.evaluation.figures.neighbourhood import (
    neighbourhood_preservation_figure,
)
from daformer_kedro.evaluation.figures.study import study_figure
from daformer_kedro.evaluation.figures.style import figure_to_png
from daformer_kedro.evaluation.figures.training_curves import training_curves_figure

__all__ = [
    "accuracy_matrix_figure",
    "attention_map_figure",
    "comparison_figure",
    "confusion_matrix_figure",
    "costs_figure",
    "differences_figure",
    "exemplar_sheet_figure",
    "figure_to_png",
    "forgetting_figure",
    "incremental_accuracy_figure",
    "monitoring_figure",
    "neighbourhood_preservation_figure",
    "study_figure",
    "training_curves_figure",
]
