"""Messages on what a run has made, and on what to type next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from rich.console import Console

from daformer_kedro.evaluation.summary import format_summary
from daformer_kedro.pipelines.naming import (
    EXPORTED_MODEL,
    INFERENCE_TABLE,
    METRICS,
    MONITOR_SUMMARY,
    REPORT,
    RESULTS,
    SUMMARISE,
)
from daformer_kedro.reuse.hooks import ReuseHooks
from daformer_kedro.run_state import StateHooks
from daformer_kedro.serving import ServedModel
from daformer_kedro.terminal import path_from_here


class ResultHooks(StateHooks):
    """The model that is used, and the results at the end.

    Args:
        console: where to print.
        reuse: the hooks that make the plan.
    """

    def __init__(self, console: Console, reuse: ReuseHooks) -> None:
        self._console = console
        self._reuse = reuse
        self._metrics: dict[str, Any] | None = None
        self._predictions: pd.DataFrame | None = None
        self._monitored: dict[str, Any] | None = None
        self._model = ""

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Forget an earlier run's results."""
        self._metrics = self._predictions = self._monitored = None
        self._model = ""

    @hook_impl
    def after_dataset_loaded(self, data: Any) -> None:
        """Name the model that is used."""
        if isinstance(data, ServedModel) and data.name != self._model:
            self._model = data.name
            self._print(f"Model: {data.name} ({data.origin})")

    @hook_impl
    def after_node_run(self, outputs: dict[str, Any]) -> None:
        """Keep the results for the end."""
        self._metrics = outputs.get(METRICS, self._metrics)
        self._predictions = outputs.get(INFERENCE_TABLE, self._predictions)
        self._monitored = outputs.get(MONITOR_SUMMARY, self._monitored)

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Print the results and what to type next."""
        plan = self._reuse.plan
        if self._metrics is None and plan is not None and plan.reuses(SUMMARISE):
            self._metrics = catalog.load(METRICS)
        if EXPORTED_MODEL in pipeline.all_outputs():
            exported = path_from_here(catalog.load(EXPORTED_MODEL))
            self._print(f"Exported to {exported}")
        if self._predictions is not None:
            self._print_predictions(self._predictions, catalog)
        if self._monitored is not None:
            self._print_monitored(self._monitored, catalog)
        if self._metrics is not None:
            self._print_results(self._metrics, catalog)

    def _print_predictions(self, table: pd.DataFrame, catalog: Any) -> None:
        bad = int(table["error"].notna().sum())
        why = f"; {bad} could not be read, see the column error" if bad else ""
        good = len(table) - bad
        noun = "image" if good == 1 else "images"
        place = _place_of(catalog[INFERENCE_TABLE])
        self._print(f"{good} {noun} classified{why}\nTable: {place}")

    def _print_monitored(self, summary: dict[str, Any], catalog: Any) -> None:
        left_out = [f"{n} {reason}" for reason, n in summary["left_out"].items()]
        if left_out:
            self._print(f"Left out: {', '.join(left_out)}")
        place = _place_of(catalog[MONITOR_SUMMARY])
        folder = place.parent if isinstance(place, Path) else place
        self._print(f"Report: {folder}\n{summary['sentence']}.")

    def _print_results(self, metrics: dict[str, Any], catalog: Any) -> None:
        on_validation = self.state.config.source.on_validation
        summary = format_summary(metrics, on_validation=on_validation)
        self._console.print()
        self._console.print(summary, highlight=False)
        self._print(f"\nResults and figures: {_folder(catalog)}{self._next_commands()}")

    def _next_commands(self) -> str:
        """Name what to type next; outside a project Kedro has no such commands."""
        if not self.state.is_in_project:
            return ""
        env = self.state.env
        command = f"kedro run --env {env}" if env else "kedro run"
        other = f"  {command} --params model.edition=M\n"
        if not self.state.config.method.has_editions:
            other = (
                "  python -m daformer_kedro demo       try the classifier on images\n"
            )
        return (
            "\n\nNext:\n"
            "  kedro mlflow ui                     compare runs in the browser\n"
            "  kedro viz run                       look at the pipelines\n"
            f"{other}"
            "  kedro run --env cifar100_mini --params source.path=DIR"
        )

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def _folder(catalog: Any) -> Path | str:
    """Return the folder of the run's results, of those that lie on this machine."""
    places = [_place_of(catalog[name]) for name in (METRICS, RESULTS, REPORT)]
    return next((p.parent for p in places if isinstance(p, Path)), places[0])


def _place_of(dataset: Any) -> Path | str:
    """Return where a dataset lies: a path on this machine, else what Kedro says."""
    path = getattr(dataset, "filepath", None)
    return str(dataset) if path is None else path_from_here(Path(path))
