"""The comparison as Markdown and as LaTeX."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import pandas as pd

from daformer_kedro.evaluation.comparison import MEASURES

_HEADS = ("Average incremental", "Last", "Forgetting", "Backward transfer")
_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "–": "--",
}


def to_markdown(table: pd.DataFrame) -> str:
    """Return a Markdown table; accuracies in percent, the rest in points.

    Args:
        table: see :func:`daformer_kedro.evaluation.comparison.compare`.
    """
    heads = ["Method", *_HEADS, "Runs", "Memory", "Differs in", "Source"]
    rows = [_cells(row, " ± ") for row in table.to_dict("records")]
    lines = [heads, ["---", *["---:"] * 5, "---", "---", "---"], *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n"
        for line in lines
    )


def to_latex(table: pd.DataFrame) -> str:
    """Return a LaTeX ``tabular`` in the style of booktabs.

    Args:
        table: see :func:`daformer_kedro.evaluation.comparison.compare`.
    """
    heads = ["Method", *_HEADS, "Runs", "Memory", "Differs in"]
    lines = [
        r"% needs \usepackage{booktabs}; mean and sample deviation, in percent",
        r"\begin{tabular}{lrrrrrll}",
        r"\toprule",
        _latex_line(heads),
        r"\midrule",
    ]
    own = True
    for row in table.to_dict("records"):
        if own and pd.isna(row["num_runs"]):
            lines.append(r"\midrule")
            own = False
        cells = [_escape(cell) for cell in _cells(row, " ± ")[:-1]]
        lines.append(_latex_line([cell.replace("±", r"$\pm$") for cell in cells]))
    lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _cells(row: dict[Hashable, Any], join: str) -> list[str]:
    measures = [
        _number(row[measure], row[f"{measure}_deviation"], join) for measure in MEASURES
    ]
    runs = row["num_runs"]
    return [
        str(row["method"]),
        *measures,
        "published" if pd.isna(runs) else str(runs),
        str(row["memory"]),
        str(row["differs"]) or "–",
        str(row["source"]),
    ]


def _number(mean: Any, deviation: Any, join: str) -> str:
    if pd.isna(mean):
        return "–"
    text = f"{mean:.2f}"
    return text if pd.isna(deviation) else f"{text}{join}{deviation:.2f}"


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _escape(text: str) -> str:
    return "".join(_LATEX_SPECIAL.get(sign, sign) for sign in text)
