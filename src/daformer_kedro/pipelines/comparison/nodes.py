"""Nodes of the comparison pipeline.

Figures are imported where they are drawn: matplotlib takes half a second, and every
command that lists or builds pipelines would wait for it.
"""

from __future__ import annotations

import pandas as pd

from daformer_kedro.evaluation.comparison import compare, mean_curves
from daformer_kedro.evaluation.comparison_tables import to_latex, to_markdown
from daformer_kedro.pipelines.figure import Figure


def compare_runs_node(runs: pd.DataFrame) -> tuple[pd.DataFrame, str, str]:
    """Compare means over repeats with published results, in three formats."""
    table = compare(runs)
    return table, to_markdown(table), to_latex(table)


def average_runs_node(runs: pd.DataFrame) -> pd.DataFrame:
    """Average the accuracy after each task over repeats."""
    return mean_curves(runs)


def draw_comparison_node(curves: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Draw mean accuracy after each task with its deviation, and published results."""
    from daformer_kedro.evaluation import figures

    return figures.comparison_figure(curves, table[table["num_runs"].isna()])
