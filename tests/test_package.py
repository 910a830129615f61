"""The wheel and the settings of ``kedro package``, where there is no project."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


class Installed:
    """An environment with the wheel in it, and an empty folder to work in."""

    def __init__(self, folder: Path) -> None:
        checkout = folder / "checkout"
        left_out = shutil.ignore_patterns(".*", "data", "__pycache__", "*.egg-info")
        shutil.copytree(ROOT, checkout, symlinks=True, ignore=left_out)
        kedro = Path(sys.executable).with_name("kedro")
        _run([kedro, "package"], checkout)
        (wheel,) = (checkout / "dist").glob("*.whl")
        (self.conf,) = (checkout / "dist").glob("*.tar.gz")
        environment = folder / "environment"
        venv.create(environment, with_pip=False, symlinks=True)
        self.python = environment / "bin" / "python"
        (site,) = environment.glob("lib/python*/site-packages")
        # What the wheel requires is there already; a checkout that is installed beside
        # it is not, since only files of the environment's own folder add to the path.
        (site / "requirements.pth").write_text(sysconfig.get_path("purelib"))
        uv = Path(sys.executable).with_name("uv")
        _run(
            [uv, "pip", "install", "-q", "--no-deps", "-p", self.python, wheel], folder
        )
        shutil.rmtree(checkout / "src")
        self.place = folder / "place"
        self.elsewhere = folder / "elsewhere"
        self.place.mkdir()
        self.elsewhere.mkdir()

    def __call__(
        self, *words: Any, place: Path | None = None, **environment: str
    ) -> str:
        """What ``python -m daformer_kedro`` prints."""
        command = [self.python, "-m", "daformer_kedro", *words]
        return _run(command, place or self.place, environment)

    def run(self, *words: Any, place: Path | None = None, **environment: str) -> str:
        """What a run in the environment ``test`` prints."""
        source = ("--conf-source", self.conf, "--env", "test")
        return self(*source, *words, place=place, **environment)


def _run(words: list[Any], folder: Path, more: dict[str, str] | None = None) -> str:
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "KEDRO_ENV")}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={**kept, **(more or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("package"))


def test_a_wheel_runs_the_steps_in_processes_of_their_own_and_uses_the_model(
    installed: Installed, finished: Any, tmp_path: Path
) -> None:
    first = installed.run("--pipelines", "ingestion,task_00")
    assert "INFO" not in first
    assert "WARNING" not in first
    log = installed.place / "mlflow.db"
    with sqlite3.connect(log) as rows:
        ((run,),) = rows.execute(
            "select run_uuid from runs where name not like 'task%'"
        ).fetchall()
    # The second attempt at a step goes on in the run of the first.
    for step in ("task_01", "task_01", "task_02,evaluation"):
        said = installed.run("--pipelines", step, MLFLOW_RUN_ID=run)
    assert "Average incremental accuracy" in said
    assert "kedro" not in said.replace("daformer_kedro", "")
    assert f"(with mlflow ui --backend-store-uri sqlite:///{log})" in said
    with sqlite3.connect(log) as rows:
        found = rows.execute("select name, status from runs order by name").fetchall()
    tasks = [(f"task_{task:02}", "FINISHED") for task in range(3)]
    assert found[:-1] == tasks
    # The same bytes as of one process.
    installed.run(place=installed.elsewhere)
    key = finished.folder("06_models").name
    results = ("task_02/checkpoint.safetensors", "metrics.json")
    for layer, name in zip(("06_models", "08_reporting"), results, strict=True):
        path = Path("data", layer, key, name)
        expected = (installed.elsewhere / path).read_bytes()
        assert (installed.place / path).read_bytes() == expected

    image = tmp_path / "digit.png"
    pixels = np.load(finished.folder("02_intermediate") / "images" / "test_images.npy")
    Image.fromarray(pixels[0, ..., 0]).save(image)
    by_key = installed("predict", image)
    (folder,) = installed.place.glob("mlartifacts/**/MLmodel")
    assert f"Model: {key} (newest finished run)" in by_key
    from_mlflow = installed(
        *("predict", image, "--model", run), MLFLOW_TRACKING_URI=f"sqlite:///{log}"
    )
    from_folder = installed("predict", image, "--model", folder.parent)
    assert by_key.splitlines()[1:] == from_mlflow.splitlines()[1:]
    assert by_key.splitlines()[1:] == from_folder.splitlines()[1:]
