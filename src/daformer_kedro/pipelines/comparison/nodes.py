"""Nodes of the comparison pipeline.

Figures are imported where they are drawn: matplotlib takes half a second, and every
command that lists or builds pipelines would wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from daformer_kedro.evaluation.comparison import as_compared, compare, mean_curves
from daformer_kedro.evaluation.comparison_tables import to_latex, to_markdown
from daformer_kedro.evaluation.costs import cost_table, costs_to_markdown
from daformer_kedro.evaluation.difference_sentences import difference_sentences
from daformer_kedro.evaluation.paired_differences import paired_differences
from daformer_kedro.pipelines.figure import Figure


def compare_runs_node(runs: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Compare means over repeats with published results, also as LaTeX."""
    table = compare(runs)
    return table, to_latex(table)


def compare_pairs_node(
    runs: pd.DataFrame, predictions: Mapping[str, list[pd.DataFrame]]
) -> pd.DataFrame:
    """Compare methods over the same class orders and seeds, with intervals."""
    return paired_differences(runs, predictions)


def tabulate_costs_node(runs: pd.DataFrame) -> pd.DataFrame:
    """Tabulate accuracy with time to learn, parameters and stored bytes."""
    return cost_table(runs)


def write_comparison_node(
    table: pd.DataFrame, differences: pd.DataFrame, costs: pd.DataFrame
) -> str:
    """Write the tables and a sentence per difference as Markdown."""
    sentences = difference_sentences(differences)
    return to_markdown(as_compared(table)) + sentences + costs_to_markdown(costs)


def average_runs_node(runs: pd.DataFrame) -> pd.DataFrame:
    """Average the accuracy after each task over repeats."""
    return mean_curves(runs)


def draw_comparison_node(curves: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Draw mean accuracy after each task with its interval, and published results."""
    from daformer_kedro.evaluation import figures

    table = as_compared(table)
    return figures.comparison_figure(curves, table[table["num_runs"].isna()])


def draw_differences_node(differences: pd.DataFrame) -> Figure:
    """Draw differences between methods with their intervals."""
    from daformer_kedro.evaluation import figures

    return figures.differences_figure(differences)


def draw_costs_node(costs: pd.DataFrame) -> Figure:
    """Draw accuracy against time, parameters and stored bytes."""
    from daformer_kedro.evaluation import figures

    return figures.costs_figure(costs)
