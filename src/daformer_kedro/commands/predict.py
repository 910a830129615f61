"""Classify images at a terminal: ``python -m daformer_kedro predict IMAGE…``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from daformer_kedro.datasets.served_model import find_model, is_in_mlflow
from daformer_kedro.errors import InputError
from daformer_kedro.learning.devices import resolve_device
from daformer_kedro.serving import Classifier, ServedModel
from daformer_kedro.serving.classifier import NUM_RANKED
from daformer_kedro.serving.image_paths import find_images
from daformer_kedro.serving.prediction import predict_files
from daformer_kedro.terminal import print_any_character


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what a model says of images; 1 if none of them could be read."""
    print_any_character()
    options = _parser().parse_args(arguments)
    try:
        model = load_model(options.model, options.project)
        _say(f"Model: {model.name} ({model.origin})")
        table = predict_files(
            Classifier(model, resolve_device(options.device, "--device")),
            [path for given in options.images for path in _files(given)],
        )
    except InputError as error:
        _say(str(error))
        return 1
    console = Console()
    console.print(_shown(table, options.top))
    if not model.is_calibrated:
        _say("The probabilities are not calibrated.")
    return int(table["error"].notna().all())


def load_model(reference: str | None, project: Path) -> ServedModel:
    """Find a model by what a person calls it.

    Args:
        reference: a run key, the id of a run in MLflow, ``models:/NAME/VERSION``, the
            folder of a model downloaded from MLflow, or ``None`` for the newest
            finished run.
        project: root of the Kedro project, or another folder in which runs have left
            ``data``.

    Raises:
        InputError: there is no such model.
    """
    if is_in_mlflow(reference) and (project / "pyproject.toml").is_file():
        # Where MLflow's server is, the project's settings say; without a project
        # MLflow's own do. All take seconds to import, and a model of this folder needs
        # none of them.
        import mlflow
        from kedro.framework.project import settings
        from kedro.framework.startup import bootstrap_project

        bootstrap_project(project)
        loader = settings.CONFIG_LOADER_CLASS(
            conf_source=str(project / settings.CONF_SOURCE),
            **settings.CONFIG_LOADER_ARGS,
        )
        mlflow.set_tracking_uri(loader["mlflow"]["server"]["mlflow_tracking_uri"])
    return find_model(reference, project / "data")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _files(given: Path) -> list[Path]:
    # What is not there gets its row, as a broken file does.
    return find_images(given) if os.path.exists(given) else [given]


def _shown(answers: pd.DataFrame, top: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("image", overflow="fold")
    for rank in range(1, top + 1):
        table.add_column("class" if rank == 1 else f"{rank}.", overflow="fold")
    table.add_column("task", justify="right")
    table.add_column("unknown", justify="right")
    for _, row in answers.iterrows():
        if pd.notna(row["error"]):
            table.add_row(Text(row["image"]), Text(row["error"], style="red"))
            continue
        cells = [
            Text(f"{row[f'class_{rank}']} {row[f'probability_{rank}']:.1%}")
            if pd.notna(row[f"class_{rank}"])
            else Text()
            for rank in range(1, top + 1)
        ]
        mark = "  ?" if pd.notna(row["is_unknown"]) and row["is_unknown"] else ""
        score = f"{row['unknown_score']:.3f}{mark}"
        table.add_row(Text(row["image"]), *cells, str(row["task_1"]), score)
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m daformer_kedro predict",
        description="Classify images with a trained model. A ? marks what resembles "
        "nothing that was learnt.",
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument(
        "--model",
        help="run key, id of a run in MLflow, models:/NAME/VERSION, or the folder of "
        "a model downloaded from MLflow; the newest finished run if unset",
    )
    parser.add_argument(
        "--top",
        type=int,
        default=3,
        choices=range(1, NUM_RANKED + 1),
        help="classes to show",
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--project", type=Path, default=Path.cwd())
    return parser


if __name__ == "__main__":
    sys.exit(main())
