"""Editions, KNN distillation and baselines side by side, over several seeds.

    python benchmarks/ablation.py digits cifar100_mini=DIR --seeds 0,1,2

Every cell is an ordinary ``kedro run``; one that has finished before is not run again.
Prints a Markdown table an environment: mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from daformer_kedro.errors import InputError
from daformer_kedro.methods import METHODS
from daformer_kedro.runs.grid import Grid, RunSpec, UnfinishedRunError

ROOT = Path(__file__).parents[1]
_EDITIONS = {
    f"DAFormer-{edition}, KNN {name}": {
        "model.edition": edition,
        **(
            {"losses.knn_distillation.weight": "0.0"}
            if name == "off"
            else {"losses.knn_distillation.scope": name}
        ),
    }
    for edition in ("S", "M")
    for name in ("off", "batch", "dataset")
}
_BASELINES = {name: {"baseline": name} for name in METHODS if name != "none"}
_DECODER = {
    "DyTox's decoder with DAFormer's recipe": {
        "model.decoder": "task_attention",
        "losses.knn_distillation.weight": "0.0",
    }
}
VARIANTS: dict[str, dict[str, str]] = {**_EDITIONS, **_DECODER, **_BASELINES}


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environments", nargs="+", metavar="ENV[=SOURCE_PATH]")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--only", help="variants whose name contains this text")
    arguments = parser.parse_args()
    names = [name for name in VARIANTS if (arguments.only or "") in name]
    for environment in arguments.environments:
        env, _, path = environment.partition("=")
        results = _results(env, path, names, arguments.seeds.split(","), arguments.jobs)
        print(f"\n## {env}, seeds {arguments.seeds}\n")
        print(_table(results))


def _results(
    env: str, path: str, names: Sequence[str], seeds: Sequence[str], jobs: int
) -> dict[str, list[Path]]:
    """Folders of the results of each variant, one a seed."""
    source = {"source.path": path} if path else {}
    cells = [
        RunSpec(
            None if env == "digits" else env,
            {**VARIANTS[name], "seed": seed, **source},
        )
        for name in names
        for seed in seeds
    ]
    try:
        folders = iter(Grid(ROOT, cells).finish(jobs))
    except (InputError, UnfinishedRunError) as error:
        sys.exit(str(error))
    return {name: [next(folders) for _ in seeds] for name in names}


def _table(results: dict[str, Sequence[Path]]) -> str:
    header = (
        "| variant | average incremental | last | forgetting | "
        "neighbourhoods kept | parameters | seconds |"
    )
    lines = [header, "| --- " * 7 + "|"]
    for name, folders in results.items():
        metrics = [
            json.loads((f / "metrics.json").read_text(encoding="utf-8"))
            for f in folders
        ]
        seconds = [pd.read_csv(f / "history.csv")["seconds"].sum() for f in folders]
        kept = [_mean_of_known(m["neighbourhood_preservation"]) for m in metrics]
        cells = [
            name,
            _spread([100 * m["average_incremental_accuracy"] for m in metrics]),
            _spread([100 * m["last_accuracy"] for m in metrics]),
            _spread([100 * m["forgetting"] for m in metrics]),
            _spread([100 * value for value in kept]),
            f"{metrics[0]['num_parameters'][-1]:,}",
            f"{statistics.mean(seconds):.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean_of_known(values: Sequence[float | None]) -> float:
    return statistics.mean(value for value in values if value is not None)


def _spread(values: Sequence[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1f} ± {deviation:.1f}"


if __name__ == "__main__":
    main()
