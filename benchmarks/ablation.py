"""Editions, KNN distillation and baselines side by side, over several seeds.

    python benchmarks/ablation.py digits cifar100_mini=DIR --seeds 0,1,2

Every cell is an ordinary ``kedro run``; one that has finished before is not run again.
Prints a Markdown table an environment: mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

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
_BASELINES = {
    name: {"baseline": name} for name in ("finetune", "replay", "dytox", "joint")
}
VARIANTS: dict[str, dict[str, str]] = {**_EDITIONS, **_BASELINES}


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environments", nargs="+", metavar="ENV[=SOURCE_PATH]")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--only", help="variants whose name contains this text")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    names = [name for name in VARIANTS if (arguments.only or "") in name]
    bootstrap_project(ROOT)
    for environment in arguments.environments:
        env, _, path = environment.partition("=")
        cells = [(name, seed) for name in names for seed in seeds]
        with ThreadPoolExecutor(arguments.jobs) as pool:
            folders = list(
                pool.map(lambda cell: _finished(env, path, *cell), cells)  # noqa: B023
            )
        results = dict(zip(cells, folders, strict=True))
        print(f"\n## {env}, seeds {arguments.seeds}\n")
        print(_table({n: [results[n, s] for s in seeds] for n in names}))


def _parameters(path: str, name: str, seed: int) -> dict[str, str]:
    given = {**VARIANTS[name], "seed": str(seed)}
    return {**given, "source.path": path} if path else given


def _finished(env: str, path: str, name: str, seed: int) -> Path:
    """Folder of the results; runs what has not been run."""
    parameters = _parameters(path, name, seed)
    folder = _result_folder(env, parameters)
    if not (folder / "metrics.json").exists():
        pairs = ",".join(f"{key}={value}" for key, value in parameters.items())
        command = ["run", "--params", pairs]
        if env != "digits":
            command += ["--env", env]
        kedro = Path(sys.executable).with_name("kedro")
        print(f"{env} {name} seed {seed}", file=sys.stderr, flush=True)
        done = subprocess.run(
            [str(kedro), *command], cwd=ROOT, env=os.environ, capture_output=True
        )
        if done.returncode:
            sys.exit(f"kedro {' '.join(command)} failed:\n{done.stdout.decode()}")
    return folder


def _result_folder(env: str, parameters: dict[str, str]) -> Path:
    nested: dict[str, Any] = {}
    for key, value in parameters.items():
        *sections, last = key.split(".")
        inner = nested
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[last] = _number_or_text(value)
    session = KedroSession.create(
        ROOT, env=None if env == "digits" else env, runtime_params=nested
    )
    catalog = session.load_context().catalog
    return Path(catalog["metrics"].filepath).parent


def _number_or_text(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _table(results: dict[str, Sequence[Path]]) -> str:
    header = (
        "| variant | average incremental | last | forgetting | "
        "neighbourhoods kept | parameters | seconds |"
    )
    lines = [header, "| --- " * 7 + "|"]
    for name, folders in results.items():
        metrics = [json.loads((f / "metrics.json").read_text()) for f in folders]
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
