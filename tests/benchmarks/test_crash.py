"""A few kills and corruptions of the benchmark; it runs many more by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_kills_and_corruptions_leave_no_difference() -> None:
    command = [sys.executable, "benchmarks/crash.py", "--gently"]
    done = subprocess.run(
        [*command, "--kills", "2", "--corruptions", "4", "--seed", "7"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| kills | 2 |" in done.stdout or "| kills | 3 |" in done.stdout
    assert "**0**" in done.stdout
