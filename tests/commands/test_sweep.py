"""make benchmark: the grid, and the table of exactly this grid."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from daformer_kedro.commands import sweep
from daformer_kedro.commands.sweep import main, make_specs
from daformer_kedro.runs import project_run
from daformer_kedro.runs.grid import Grid
from daformer_kedro.runs.project_run import nested, parse_parameters

ROOT = Path(__file__).parents[2]
SHORT = "training.schedule=short,training.epochs=1,finetuning.epochs=1"
TIMED_METRICS = ("seconds", "images_per_second")
TIMED = ("costs.json", "history.csv", "training_history.csv", "finetuning_history.csv")


def test_every_combination_is_a_run_and_methods_come_first() -> None:
    specs = make_specs(
        "cifar100_10-10",
        orders=["1", "2"],
        editions=["S", "M"],
        baselines=["none", "replay", "dytox"],
        parameters="source.path=DIR",
    )
    assert {spec.env for spec in specs} == {"cifar100_10-10"}
    assert {spec.parameters["source.path"] for spec in specs} == {"DIR"}
    found = [
        (p["scenario.class_order"], p["model.edition"], p["baseline"])
        for p in (spec.parameters for spec in specs)
    ]
    one_order = [("S", "none"), ("S", "replay"), ("S", "dytox")]
    one_order += [("M", "none"), ("M", "replay")]  # DyTox has no editions
    assert found == [(order, *rest) for order in ("1", "2") for rest in one_order]


def test_what_is_not_asked_for_is_the_environments() -> None:
    (spec,) = make_specs("digits")
    assert spec.env is None
    assert spec.parameters == {}
    seeds = make_specs("test", seeds=["0", "1"])
    assert [spec.parameters["seed"] for spec in seeds] == ["0", "1"]


@pytest.mark.filterwarnings("ignore:register_new_resolver")
@pytest.mark.parametrize(
    ("options", "edition", "baseline"),
    [({}, "M", "replay"), ({"editions": ["S"], "baselines": ["none"]}, "S", "none")],
)
def test_a_tuned_environment_keeps_its_edition_and_method(
    project: Any, options: dict[str, list[str]], edition: str, baseline: str
) -> None:
    tuned = project.path / "conf" / "tuned"
    tuned.mkdir()
    (tuned / "parameters.yml").write_text(
        "extends: test\nbaseline: replay\nmodel: {edition: M}\n"
    )
    (run,) = Grid(project.path, make_specs("tuned", **options)).runs
    config = run.state.config
    assert (config.model.edition, config.baseline) == (edition, baseline)


@pytest.mark.filterwarnings("ignore:register_new_resolver")
def test_a_mistake_is_one_line(project: Any, capsys: pytest.CaptureFixture) -> None:
    assert main(["--protocol", "test", "--params", "memory.total=3"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("memory.total = 3 is smaller than the 10 classes")


@pytest.mark.filterwarnings("ignore:register_new_resolver")
def test_an_interruption_says_how_to_go_on(
    project: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    stopped = SimpleNamespace(returncode=130, communicate=lambda: (b"", b""))
    monkeypatch.setattr(
        project_run.subprocess, "Popen", lambda *words, **options: stopped
    )
    assert main(["--protocol", "test"]) == 130
    assert "The same command resumes there." in capsys.readouterr().err


def results(project: Path, run: str) -> dict[str, bytes]:
    """Files of a run by name, but for those that hold times."""
    return {
        str(file.relative_to(project)): file.read_bytes()
        for file in project.glob(f"data/*/{run}/**/*.*")
        if file.suffix != ".meta" and file.name not in TIMED
    }


def logged(project: Path, run: str) -> dict[str, tuple[Any, dict[str, float]]]:
    """Parameters and metrics of a run and its tasks in MLflow, but for times."""
    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    found = {}
    for part in client.search_runs(["1"], f"tags.run_key = '{run}'"):
        metrics = {
            name: value
            for name, value in part.data.metrics.items()
            if "system/" not in name and not name.endswith(TIMED_METRICS)
        }
        found[part.info.run_name] = (part.data.params, metrics)
    return found


@pytest.mark.slow
def test_a_grid_of_two_jobs_resumes_and_compares_its_own_runs_alone(
    project: Any, finished: Any, tmp_path: Path
) -> None:
    # The same protocol, but not of the grid.
    finished.copy_records(project.path)
    words = [sys.executable, "-m", sweep.__name__, "--protocol", "test"]
    words += ["--seeds", "0,1", "--params", SHORT, "--jobs", "2"]

    def make() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=project.path, capture_output=True, text=True, check=False
        )

    first = make()
    assert first.returncode == 0, first.stderr
    table = first.stdout.strip().partition("\n\n")[0]
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    assert [(row[0], row[5]) for row in rows] == [("| DAFormer-S, short schedule", "2")]
    again = make()
    assert again.stdout == first.stdout
    assert again.stderr.count("finished before: test_S_short_") == 2
    assert "task 0 train" not in again.stderr

    reports = (project.path / "data" / "08_reporting").glob(
        "test_S_short_*/report.html"
    )
    alone = type(project)(tmp_path / "alone")
    os.chdir(alone.path)
    alone.run(params=nested(parse_parameters(f"{SHORT},seed=0")))
    run = alone.folder("08_reporting").name  # seed 0
    by_itself, in_grid = results(alone.path, run), results(project.path, run)
    assert len(in_grid) > 30
    assert by_itself.keys() == in_grid.keys()
    assert [name for name in in_grid if in_grid[name] != by_itself[name]] == []
    assert len(logged(project.path, run)) == 1 + 3  # and its tasks
    assert logged(alone.path, run) == logged(project.path, run)

    titles = [report.read_text().partition("<h1>")[2] for report in reports]
    assert len(titles) == 2
    assert all("short schedule, not the published one" in text for text in titles)


def test_make_hands_every_variable_on() -> None:
    words = ["make", "--dry-run", "--always-make", "benchmark", "PROTOCOL=test"]
    words += ["ORDERS=1,2", "EDITIONS=S,M", "BASELINES=none", "SEEDS=0"]
    done = subprocess.run(
        [*words, "ARGS=--jobs 2"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    options = "--orders 1,2 --seeds 0 --editions S,M --baselines none --jobs 2"
    said = " ".join(done.stdout.replace("\\\n", " ").split())
    assert f"sweep --protocol test {options}" in said


def test_make_study_hands_every_variable_on() -> None:
    words = ["make", "--dry-run", "--always-make", "study", "PROTOCOL=test"]
    words += ["TRIALS=3", "JOBS=2", "PARAMS=seed=1,training.epochs=1"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    said = " ".join(done.stdout.replace("\\\n", " ").split())
    options = "study.trials=3,study.jobs=2,seed=1,training.epochs=1"
    assert f"kedro run --pipelines study --env test --params {options}" in said
