"""Every command of the README, as a user would type it."""

from __future__ import annotations

import io
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
COMMANDS = [
    line.split("#")[0].strip()
    for block in BLOCKS
    for line in block.splitlines()
    if line.split("#")[0].strip()
]
# What .ci/run calls, or what would only change this environment.
NOT_HERE = {
    "make run",
    "make test",
    "make lint",
    "make format",
    "make lock",
    "make audit",
}
NOT_HERE |= {"make docs"}  # test_site
NOT_HERE |= {c for c in COMMANDS if c.startswith("make benchmark ")}  # test_benchmark
NOT_HERE |= {c for c in COMMANDS if c.startswith("make study ")}  # test_killed_study
SERVERS = {
    "kedro mlflow ui": 5000,
    "kedro viz run": 4141,
    "python -m daformer_kedro demo": 7860,
}
ONCE = [c for c in COMMANDS if c not in NOT_HERE and c not in SERVERS]


def process(started: Any, command: str, cwd: Path, **options: Any) -> Any:
    """The command, as after ``source .venv/bin/activate``."""
    words = shlex.split(command)
    environment = {**os.environ, "COLUMNS": "120", "KEDRO_ENV": "test"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    while "=" in words[0]:
        name, value = words.pop(0).split("=")
        environment[name] = value
    assert words[0] in ("kedro", "python"), f"how is this tested: {command}"
    executable = Path(sys.executable).with_name(words[0])
    return started([executable, *words[1:]], cwd=cwd, env=environment, **options)


@pytest.fixture(scope="module")
def cifar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise in the layout of the hub's parquet files: six images per class."""
    folder = tmp_path_factory.mktemp("cifar100")
    generator = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 2)):
        rows = []
        for label in list(range(100)) * count:
            pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            rows.append(
                {"img": {"bytes": buffer.getvalue(), "path": None}}
                | {
                    "fine_label": label,
                    "coarse_label": 0,
                }
            )
        pd.DataFrame(rows).to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of noise, a folder each."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        for number in range(40):
            pixels = generator.integers(0, 256, (70, 90, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.jpg")
    return folder


def test_the_readme_has_commands() -> None:
    assert len(ONCE) >= 8
    assert set(SERVERS) <= set(COMMANDS)
    called = (ROOT / ".ci" / "run").read_text()
    assert all(command in called for command in ("make lint", "make test", "make run"))


@pytest.mark.parametrize("command", [c for c in ONCE if not c.startswith("source ")])
def test_command(
    lived_in: Any, started: Any, cifar: Path, photos: Path, command: str
) -> None:
    if "cifar100" in command and " run " in command:
        # One epoch of a small model stands for hundreds of a large one.
        small = (
            "training.epochs=1,finetuning.epochs=1,evaluation.batch_size=64,"
            "model.embed_dim=16,model.depth=2,model.num_heads=2"
        )
        command = command.replace("DIR", f"{cifar},{small}")
    if "image_folder" in command:
        small = (
            "training.epochs=1,finetuning.epochs=1,model.embed_dim=16,model.depth=2,"
            "model.num_heads=2"
        )
        command = command.replace("DIR", f"{photos},{small}")
    command = command.replace("= 'digits'", "= 'test'")  # what has run here
    command = command.replace("images=PATH", f"images={photos}")
    command = command.replace("predict IMAGE", f"predict {photos}/cat/0.jpg")
    with process(started, command, lived_in.path) as running:
        status = running.process.wait(400)
        # Noise is not what the model was tested on, and monitor says so.
        allowed = (0, 3) if "monitor" in command else (0,)
        assert status in allowed, running.log.read_text()


@pytest.mark.parametrize("command", sorted(SERVERS))
def test_server_answers_and_ends_with_all_that_it_started(
    lived_in: Any, started: Any, free_port: Any, command: str
) -> None:
    port = free_port()
    command += f" --port {port}" + (" --no-browser" if "viz" in command else "")
    with process(started, command, lived_in.path) as server:
        assert "html" in server.answer(f"http://127.0.0.1:{port}").lower()
        server.process.terminate()
        server.process.wait(30)
        assert server.others() == []
