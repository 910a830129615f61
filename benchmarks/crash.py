"""Kill and corrupt runs many times, resume each time, and compare with no disturbance.

    python benchmarks/crash.py --kills 50 --corruptions 50 --seed 0

One run of the ``test`` environment goes undisturbed. Then, for each kill, a fresh
project starts the same run, which is killed (SIGKILL, or SIGINT with ``--gently``) at a
random moment and asked for again, perhaps to be killed once more. For each corruption a
byte of a random stored file is flipped, or the file is truncated or deleted, and
``--only-missing-outputs`` has to put it right. Every file is then compared byte for
byte with the undisturbed run's, but for the tables' columns that hold durations. Runs
are forked from one process, which has imported everything.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project

import daformer_kedro.settings  # noqa: F401  # imported before any fork

ROOT = Path(__file__).parents[1]
ENDED = {signal.SIGKILL: "killed", signal.SIGINT: "interrupted"}
DURATIONS = ["seconds", "images_per_second"]
RECORDS = (".meta",)


@dataclass
class Report:
    """Record of what was done and what differed."""

    kills: int = 0
    not_hit: int = 0
    corruptions: int = 0
    undetected: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    orphans: int = 0
    moments: dict[str, int] = field(default_factory=dict)


class Sandbox:
    """A project folder to run, kill and corrupt in."""

    def __init__(self, path: Path, params: dict[str, Any]) -> None:
        self.path = path
        self.params = params
        shutil.copytree(ROOT / "conf", path / "conf")
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(ROOT / name, path)
        (path / "src").mkdir()

    def start(self, **options: Any) -> int:
        """Fork a process that runs the project; its number."""
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                self._run(options)
                status = 0
            except KeyboardInterrupt:
                status = 130
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", flush=True)
                status = getattr(error, "exit_code", 1)
            finally:
                sys.stdout.flush()
                os._exit(status)
        return pid

    def run(self, **options: Any) -> None:
        """Run to the end."""
        _, status = os.waitpid(self.start(**options), 0)
        if status:
            log = (self.path / "log").read_text(encoding="utf-8")[-3000:]
            raise SystemExit(f"the run ended with {status}:\n{log}")

    def _run(self, options: dict[str, Any]) -> None:
        log = os.open(self.path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(self.path)
        bootstrap_project(self.path)
        session = settings.SESSION_CLASS.create(
            self.path, env="test", runtime_params=self.params
        )
        with session:
            session.run(**options)

    def lines(self) -> list[str]:
        """Return what the last runs said of each node."""
        return (self.path / "log").read_text(encoding="utf-8").splitlines()

    def results(self) -> dict[str, bytes]:
        """Every result by its path, without durations."""
        found = {}
        data = self.path / "data"
        for path in sorted(p for p in data.rglob("*") if p.is_file()):
            if path.suffix in RECORDS or path.name == "costs.json":
                continue
            name = path.relative_to(data).as_posix()
            if "history" in path.name:
                table = pd.read_csv(path).drop(columns=DURATIONS)
                found[name] = table.to_csv(index=False).encode()
            else:
                found[name] = path.read_bytes()
        return found

    def moment(self) -> str:
        """Return what was going on: the newest trace that the process left."""
        data = self.path / "data"
        if any(data.rglob(".*.part")):
            return "writing"
        tables = [p for p in data.rglob("*") if p.is_file() and p.suffix != ".meta"]
        newest = max(tables, key=lambda p: p.stat().st_mtime_ns, default=None)
        return "start" if newest is None else f"after {newest.stem}"


def compare(wanted: dict[str, bytes], found: dict[str, bytes]) -> list[str]:
    """Names of files that are missing, too many or different."""
    names = wanted.keys() | found.keys()
    return sorted(name for name in names if wanted.get(name) != found.get(name))


def kill_once(
    box: Sandbox, duration: float, chance: random.Random, with_signal: int
) -> bool:
    """Start the run and end it at a random moment; false if it was done before."""
    # Forking and planning come first; nothing can be lost there.
    pid = box.start()
    deadline = time.monotonic() + chance.uniform(0.05, 1.0) * duration
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            if status:
                raise SystemExit(f"a run failed by itself: {box.lines()[-20:]}")
            return False
        time.sleep(0.002)
    os.kill(pid, with_signal)
    os.waitpid(pid, 0)
    return True


def test_kill(
    box: Sandbox, duration: float, chance: random.Random, report: Report, gently: bool
) -> None:
    """Kill until one hits, go on, now and then kill again, and run to the end."""
    times = 2 if chance.random() < 0.3 else 1
    hits = 0
    for _ in range(times):
        how = signal.SIGINT if gently and chance.random() < 0.5 else signal.SIGKILL
        if not kill_once(box, duration, chance, how):
            report.not_hit += 1
            break
        hits += 1
        moment = box.moment()
        report.moments[moment] = report.moments.get(moment, 0) + 1
    report.kills += hits
    box.run()


def corrupt(path: Path, chance: random.Random) -> str:
    """Flip a bit, truncate or delete; says which."""
    content = bytearray(path.read_bytes())
    how = chance.choice(["flipped", "flipped", "truncated", "deleted"])
    if how == "deleted" or not content:
        path.unlink()
        return "deleted"
    if how == "flipped":
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
    else:
        path.write_bytes(content[: chance.randrange(len(content))])
    return how


def test_corruption(box: Sandbox, chance: random.Random, report: Report) -> str:
    """Corrupt one file (results or their records) and have it put right."""
    data = box.path / "data"
    path = chance.choice(sorted(p for p in data.rglob("*") if p.is_file()))
    what = f"{path.relative_to(data)} {corrupt(path, chance)}"
    (box.path / "log").write_text("", encoding="utf-8")
    box.run(only_missing_outputs=True)
    said = [line for line in box.lines() if ": " in line and "reused" not in line]
    words = ("damaged", "missing", "no record")
    if not any(word in line for line in said for word in words):
        report.undetected.append(what)
    report.corruptions += 1
    return what


def count_orphans(box: Sandbox) -> int:
    """Runs in MLflow that are still said to be running."""
    import sqlite3

    with sqlite3.connect(box.path / "mlflow.db") as database:
        query = "select count(*) from runs where status = 'RUNNING'"
        return int(database.execute(query).fetchone()[0])


def main() -> None:
    """Run the benchmark and print a report in Markdown; 1 if anything differed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--corruptions", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gently", action="store_true", help="half by Ctrl+C")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)  # forked processes have no thread pool of their own
    chance = random.Random(options.seed)
    params = {"training": {"epochs": 3, "save_every": 1}}
    report = Report()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        whole = Sandbox(Path(folder) / "whole", params)
        before = time.monotonic()
        whole.run()
        duration = time.monotonic() - before
        wanted = whole.results()
        number = 0
        while report.kills < options.kills:
            number += 1
            box = Sandbox(Path(folder) / f"kill{number}", params)
            test_kill(box, duration, chance, report, options.gently)
            report.differences += compare(wanted, box.results())
            report.orphans += count_orphans(box)
            shutil.rmtree(box.path)
            print(f"kill {report.kills}: {report.differences}", file=sys.stderr)
        for _ in range(options.corruptions):
            what = test_corruption(whole, chance, report)
            found = compare(wanted, whole.results())
            report.differences += [f"{name} after {what}" for name in found]
            print(f"{what}: {found}", file=sys.stderr)
    show(report, options, len(wanted), duration, time.monotonic() - started)
    sys.exit(bool(report.differences or report.undetected or report.orphans))


def show(
    report: Report,
    options: argparse.Namespace,
    num_files: int,
    duration: float,
    total: float,
) -> None:
    """Print the report."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    ).stdout.strip()
    moments = ", ".join(f"{k} {v}" for k, v in sorted(report.moments.items()))
    print(f"""# Crashes and corruptions

`python benchmarks/crash.py {" ".join(sys.argv[1:])}`, commit {commit},
{os.cpu_count()} CPU cores ({platform.machine()}), Python {platform.python_version()}.

| | |
|---|---|
| files of the undisturbed run ({duration:.1f} s) | {num_files} |
| kills | {report.kills} |
| runs that were over before their kill | {report.not_hit} |
| corruptions (flipped bit, truncation, deletion) | {report.corruptions} |
| corruptions that were not noticed | {len(report.undetected)} |
| runs left "running" in MLflow | {report.orphans} |
| **files that differ from the undisturbed run's** | **{len(report.differences)}** |

Took {total / 60:.1f} minutes. Where the kills hit (newest trace): {moments}.""")
    for line in [*report.undetected, *report.differences]:
        print(f"- {line}")


if __name__ == "__main__":
    main()
