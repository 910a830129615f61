"""Cost of Kedro, MLflow and stored results, compared with the bare computation.

    python benchmarks/overhead.py                      # the default run, the digits
    python benchmarks/overhead.py --env test

Twice the same nodes in one process: first by ``kedro run``'s session, with catalog,
hooks, run log and whole-file storage; then bare, each node's function called on values
kept in a dictionary. Processor time of the process (all threads) is compared, since
wall time on a busy machine says little; both are printed. What Python imports is not
counted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bare_run import inputs_of
from kedro.framework.project import pipelines, settings
from kedro.framework.startup import bootstrap_project
from matplotlib.figure import Figure

import daformer_kedro.settings  # noqa: F401  # imports are not what is measured
from daformer_kedro.evaluation.figures import figure_to_png

ROOT = Path(__file__).parents[1]


def measure(action: Callable[[], Any]) -> tuple[float, float]:
    """Processor and wall seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return time.process_time() - cpu, time.perf_counter() - wall


def run_bare(parameters: dict[str, Any]) -> None:
    """Call every node's function in order, with what it needs and nothing around it."""
    values: dict[str, Any] = {"parameters": parameters, "run_command": ""}
    for node in pipelines["__default__"].nodes:
        inputs = inputs_of(node, values, parameters)
        # The catalog hands figures on as pictures.
        pngs = {n: figure_to_png(v) for n, v in inputs.items() if isinstance(v, Figure)}
        values |= node.run(inputs | pngs)


def main() -> None:
    """Print a row for each way, and the ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--env", help="Kedro environment; the digits without it")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "conf", Path(folder) / "conf")
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(ROOT / name, folder)
        (Path(folder) / "src").mkdir()
        os.chdir(folder)
        bootstrap_project(Path(folder))
        session = settings.SESSION_CLASS.create(Path(folder), env=options.env)
        parameters = session.load_context().config_loader["parameters"]
        whole = measure(session.run)
        bare = measure(lambda: run_bare(parameters))
        os.chdir(ROOT)
    print("| | processor seconds | wall seconds |\n| --- | --- | --- |")
    print(f"| kedro run | {whole[0]:.1f} | {whole[1]:.1f} |")
    print(f"| bare | {bare[0]:.1f} | {bare[1]:.1f} |")
    print(f"| overhead | {whole[0] / bare[0] - 1:.1%} | {whole[1] / bare[1] - 1:.1%} |")


if __name__ == "__main__":
    main()
