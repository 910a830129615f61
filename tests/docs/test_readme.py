"""Every command of the README, as a user would type it."""

from __future__ import annotations

import io
import os
import random
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
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
NOT_HERE = {"make run", "make test", "make lint", "make format", "make lock"}
NOT_HERE |= {"make docs"}  # test_site
NOT_HERE |= {c for c in COMMANDS if c.startswith("make benchmark ")}  # test_benchmark
SERVERS = {
    "kedro mlflow ui": 5000,
    "kedro viz run": 4141,
    "python -m daformer_kedro demo": 7860,
}
ONCE = [c for c in COMMANDS if c not in NOT_HERE and c not in SERVERS]


def process(
    command: str, cwd: Path, output: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    words = shlex.split(command)
    environment = {**os.environ, "COLUMNS": "120", "KEDRO_ENV": "test"}
    # As after `source .venv/bin/activate`.
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    while "=" in words[0]:
        name, value = words.pop(0).split("=")
        environment[name] = value
    assert words[0] in ("kedro", "python"), f"how is this tested: {command}"
    return subprocess.Popen(
        [str(Path(sys.executable).with_name(words[0])), *words[1:]],
        cwd=cwd,
        env=environment,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def cifar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise in the hub's layout of parquet files: four images a class, two to test."""
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
def test_command(lived_in: Any, cifar: Path, photos: Path, command: str) -> None:
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
    running = process(command, lived_in.path)
    output, _ = running.communicate(timeout=400)
    assert running.returncode == 0, output


@pytest.mark.parametrize("command", sorted(SERVERS))
def test_server_answers(lived_in: Any, tmp_path: Path, command: str) -> None:
    port = free_port()
    browser = " --no-browser" if "viz" in command else ""
    log = tmp_path / "server.log"
    with log.open("w") as output:
        running = process(
            f"{command} --port {port}{browser}", lived_in.path, output.fileno()
        )
    try:
        found = page(f"http://127.0.0.1:{port}", running)
    finally:
        running.terminate()
        running.wait(30)
    assert "html" in found.lower(), log.read_text()


def free_port() -> int:
    """A port below those that the system hands out, which Kedro-Viz may refuse."""
    for port in random.sample(range(20_000, 30_000), 50):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)):
                return port
    raise OSError("none of 50 ports is free")


def page(address: str, running: subprocess.Popen[str], seconds: float = 240) -> str:
    """The page, or nothing where the server ends or keeps silent."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and running.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            time.sleep(0.5)
    return ""
