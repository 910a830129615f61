"""docs/extending.md, followed to the letter in a copy of the project."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", TEXT, re.S)
DIFFS = re.findall(r"```diff\n# (\S+)\n(.*?)```", TEXT, re.S)
COMMANDS = re.findall(r"^kedro run .*$", TEXT, re.M)


def _apply(diff: str, text: str) -> str:
    """Add the lines marked ``+`` after the line that stands before them."""
    lines, at = text.splitlines(), 0
    for line in diff.splitlines():
        mark, content = line[:1], line[1:]
        if mark == "+":
            lines.insert(at, content)
            at += 1
        else:
            at = lines.index(content, at) + 1
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("extended") / "project"
    leave_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("src", "conf"):
        shutil.copytree(ROOT / name, project / name, ignore=leave_out)
    for name in ("pyproject.toml", ".telemetry", "README.md"):
        shutil.copy(ROOT / name, project)
    for name, content in FILES:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(content, encoding="utf-8")
    for name, diff in DIFFS:
        path = project / name
        path.write_text(_apply(diff, path.read_text(encoding="utf-8")), "utf-8")
    return project


def _run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": str(project / "src"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db",
    }
    return subprocess.run(
        [str(Path(sys.executable).with_name(words[0])), *words[1:]],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_a_loss_term_is_a_file_an_entry_and_a_block(extended: Path) -> None:
    first, second = COMMANDS[:2]
    only = ["--to-nodes", "task_01.train_task"]
    done = _run(extended, *shlex.split(first), *only)
    assert done.returncode == 0, done.stdout + done.stderr
    (table,) = extended.glob("data/08_reporting/my_loss_*/task_01/training_history.csv")
    history = pd.read_csv(table)
    assert (history["loss_center"] > 0).all()
    parts = history.filter(regex="^loss_").sum(axis=1)
    assert parts.to_numpy() == pytest.approx(history["loss"].to_numpy(), rel=1e-5)
    refused = _run(
        extended, *shlex.split(second.replace("normalise=false", "normalize=false"))
    )
    assert refused.returncode == 1
    assert "losses.center.normalize is not a parameter. Did you mean" in refused.stderr


@pytest.mark.slow
def test_a_method_is_a_file_and_an_entry(extended: Path) -> None:
    done = _run(
        extended, *shlex.split(COMMANDS[2]), "--to-nodes", "task_00.finish_task"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = extended.glob("data/06_models/test_S_equal_norms_*/task_00")
    weight = load_file(folder / "checkpoint.safetensors")["heads.0.linear.weight"]
    assert torch.allclose(weight.norm(dim=1), torch.ones(4))
    before = load_file(folder / "trained.safetensors")["heads.0.linear.weight"]
    assert not torch.allclose(before.norm(dim=1), torch.ones(4))


@pytest.mark.slow
def test_a_method_may_learn_and_choose_in_its_own_way(extended: Path) -> None:
    command = shlex.split(COMMANDS[3])
    done = _run(extended, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    (models,) = extended.glob("data/06_models/test_S_linear_probe_*")
    first, second = (
        load_file(models / f"task_0{task}" / "checkpoint.safetensors")
        for task in (0, 1)
    )
    known = [n for n in first if "divergence" not in n]
    assert all(torch.equal(first[name], second[name]) for name in known)
    assert "heads.1.linear.weight" in second
    (reports,) = extended.glob("data/08_reporting/test_S_linear_probe_*")
    history = pd.read_csv(reports / "task_01" / "training_history.csv")
    assert history["epoch"].tolist() == [0, 1, 2]
    assert (history["loss_classification"] == history["loss"]).all()
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert len(pd.read_csv(reports / "results.csv")) == 3
    (memory,) = extended.glob("data/05_model_input/test_S_linear_probe_*")
    exemplars = pd.read_parquet(memory / "task_01" / "exemplars.parquet")
    assert set(exemplars["target"]) == set(range(7))

    again = _run(extended, *command, "--only-missing-outputs")
    assert "task_01.train_task: reused" in again.stdout + again.stderr
    refused = _run(extended, *command[:-1], f"{command[-1]},training.devices=2")
    assert refused.returncode == 1
    assert "baseline = linear_probe learns in its own way, in one" in refused.stderr


@pytest.mark.slow
def test_an_encoder_is_a_file_and_an_entry(extended: Path) -> None:
    done = _run(extended, *shlex.split(COMMANDS[4]), "--to-nodes", "task_00.train_task")
    assert done.returncode == 0, done.stdout + done.stderr
    paths = extended.glob("data/06_models/test_S_*/task_00/*.safetensors")
    names = {name for path in paths for name in load_file(path)}
    layers = {name.split(".")[2] for name in names if "encoder.layers" in name}
    assert layers == {"0", "1", "2"}


@pytest.mark.slow
def test_a_source_is_a_file_and_an_entry(extended: Path) -> None:
    generator = np.random.default_rng(0)
    arrays = {
        f"{split}_{what}": generator.integers(0, high, shape, np.uint8)
        for split, number in (("train", 40), ("test", 20))
        for what, high, shape in (
            ("images", 256, (number, 28, 28)),
            ("labels", 2, (number, 1)),
        )
    }
    np.savez(extended / "pneumoniamnist.npz", **arrays)
    done = _run(extended, *shlex.split(COMMANDS[5]), "--to-nodes", "split_tasks")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = extended.glob("data/02_intermediate/medmnist_*/images")
    stored = np.load(folder / "train_images.npy")
    assert np.array_equal(stored[..., 0], arrays["train_images"])
