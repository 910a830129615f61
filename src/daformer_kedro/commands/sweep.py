"""A protocol's runs and their table: ``python -m daformer_kedro sweep``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from kedro.framework.project import settings

from daformer_kedro.errors import InputError
from daformer_kedro.methods import METHODS
from daformer_kedro.runs.grid import (
    Grid,
    RunSpec,
    UnfinishedRunError,
    parse_parameters,
)
from daformer_kedro.runs.ray_tasks import check_ray
from daformer_kedro.runs.slurm import array_script
from daformer_kedro.terminal import print_any_character

_DEFAULT = "digits"


def make_specs(
    protocol: str,
    *,
    orders: Sequence[str] = (),
    seeds: Sequence[str] = (),
    editions: Sequence[str] = (),
    baselines: Sequence[str] = (),
    parameters: str = "",
) -> list[RunSpec]:
    """Combine all values, with all methods of one order and seed before the next.

    Args:
        protocol: the Kedro environment; ``digits`` is the default one.
        orders: values of ``scenario.class_order``; none for the environment's own.
        seeds: values of ``seed``; none for the environment's own.
        editions: values of ``model.edition``; none for the environment's own.
        baselines: values of ``baseline``; none for the environment's own.
        parameters: further ``--params`` of every run.
    """
    specs = []
    unset: list[str | None] = [None]
    for order, seed, edition, baseline in product(
        *(list(values) or unset for values in (orders, seeds, editions, baselines))
    ):
        if editions and edition != editions[0] and not _has_editions(baseline):
            continue
        chosen = {
            "scenario.class_order": order,
            "seed": seed,
            "model.edition": edition,
            "baseline": baseline,
        }
        given = {name: value for name, value in chosen.items() if value is not None}
        env = None if protocol == _DEFAULT else protocol
        specs.append(RunSpec(env, parse_parameters(parameters) | given))
    return specs


def compare(project: Path, protocol: str, run_keys: Sequence[str]) -> str:
    """Run the comparison pipeline over these runs; returns its Markdown table.

    Raises:
        InputError: MLflow knows none of them.
    """
    session = settings.SESSION_CLASS.create(
        project,
        env=None if protocol == _DEFAULT else protocol,
        runtime_params={"comparison": {"run_keys": list(run_keys)}},
    )
    with session:
        session.run(pipeline_names=["comparison"])
        catalog = session.load_context().catalog
        folder = Path(catalog["comparison_markdown"].filepath)
    return folder.read_text(encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make what is missing of the grid, then print its comparison table."""
    print_any_character()
    options = _parser().parse_args(arguments)
    specs = make_specs(
        options.protocol,
        orders=options.orders,
        seeds=options.seeds,
        editions=options.editions,
        baselines=options.baselines,
        parameters=options.params,
    )
    try:
        grid = Grid(options.project.resolve(), specs)
        if options.slurm:
            return _write_array(grid)
        if options.ray:
            check_ray("--ray")
        # A cluster runs as many at a time as it has places for.
        jobs = options.jobs or (len(specs) if options.ray else 1)
        grid.finish(jobs, "ray" if options.ray else "local")
        table = compare(options.project, options.protocol, grid.run_keys)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except (UnfinishedRunError, KeyboardInterrupt) as stop:
        sys.stderr.write(f"{stop}\nThe same command resumes there.\n".lstrip())
        return stop.status if isinstance(stop, UnfinishedRunError) else 130
    sys.stdout.write(f"\n{table}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m daformer_kedro sweep",
        description=(__doc__ or "").partition(":")[0],
    )
    parser.add_argument("--protocol", default=_DEFAULT, metavar="ENV")
    parser.add_argument("--orders", type=_words, default=[], metavar="1,2,3")
    parser.add_argument("--seeds", type=_words, default=[], metavar="0,1,2")
    parser.add_argument("--editions", type=_words, default=[], metavar="S,M")
    parser.add_argument("--baselines", type=_words, default=[], metavar="none,…")
    parser.add_argument("--params", default="", help="of every run, as for kedro run")
    parser.add_argument("--jobs", type=_jobs, help="runs at a time; 1, or all on Ray")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--ray", action="store_true", help="each run is a task of Ray")
    place.add_argument(
        "--slurm",
        action="store_true",
        help="run nothing; write a job array of what is missing, for sbatch",
    )
    parser.add_argument("--project", type=Path, default=Path.cwd())
    return parser


def _jobs(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: allowed are 1 and above")
    return int(text)


def _write_array(grid: Grid) -> int:
    """Write the script of the runs that are missing to standard output."""
    missing = grid.missing
    if not missing:
        sys.stderr.write("Nothing to do: all runs have finished.\n")
        return 0
    (grid.project / "data" / "slurm").mkdir(parents=True, exist_ok=True)
    sys.stdout.write(array_script(grid.project, missing))
    sys.stderr.write(
        f"{len(missing)} runs. Save this as FILE, then: sbatch --time=… FILE\n"
        "When they have finished, the same command without --slurm prints the table.\n"
    )
    return 0


def _has_editions(baseline: str | None) -> bool:
    # An unknown name is refused by the run itself.
    return baseline is None or baseline not in METHODS or METHODS[baseline].has_editions


def _words(text: str) -> list[str]:
    return [word for word in (part.strip() for part in text.split(",")) if word]


if __name__ == "__main__":
    sys.exit(main())
