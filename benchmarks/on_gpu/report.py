"""Lines with the time since the start, a table at the end, and results as JSON."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any


class Report:
    """Prints what is found and stores it at once, so that a killed call leaves it.

    Args:
        folder: where ``check.json`` and ``summary.txt`` go.
        seconds: time that the call may take in all.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder = folder
        self.seconds = seconds
        self.results: dict[str, Any] = {}
        self._started = time.perf_counter()
        self._rows: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.seconds - (time.perf_counter() - self._started)

    def say(self, *words: object) -> None:
        """Print a line."""
        print(f"[{time.perf_counter() - self._started:6.1f}]", *words, flush=True)

    def row(self, text: str) -> None:
        """Print a line, and once more in the table at the end."""
        self._rows.append(text)
        self.say(text)

    def keep(self, name: str, value: object) -> None:
        """Store a result, and write all of them."""
        self.results[name] = value
        text = json.dumps(self.results, indent=1, default=str)
        (self.folder / "check.json").write_text(text, encoding="utf-8")

    def finish(self) -> None:
        """Print and write the table."""
        table = "\n".join(self._rows)
        print(f"\n== summary ==\n{table}", flush=True)
        (self.folder / "summary.txt").write_text(table, encoding="utf-8")


def listed(values: dict[str, float], form: str = ".3g") -> str:
    """Return names and numbers on one line."""
    return ", ".join(f"{name} {value:{form}}" for name, value in values.items())
