"""Files are UTF-8 in every locale, and output survives every terminal."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parents[2]
MODULES = [*(ROOT / "src").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
READERS = {"read_text", "write_text", "open", "fdopen", "TextIOWrapper"}
OWN = {"write_text"}  # of storage.atomic_files, which names it
BINARY = {"os", "Image", "gzip"}
# A locale whose encoding has no more than ASCII, as PYTHONUTF8 leaves it.
POOR = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def calls_without_encoding(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls that read or write text in the encoding of the locale."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        given = {keyword.arg for keyword in call.keywords}
        words = [a.value for a in call.args if isinstance(a, ast.Constant)]
        if "encoding" in given or any(str(w) in ("rb", "wb", "ab") for w in words):
            continue
        function = call.func
        if isinstance(function, ast.Attribute):
            of_module = getattr(function.value, "id", "") in BINARY
            if function.attr in READERS and not of_module:
                yield call
        elif getattr(function, "id", "") in READERS - OWN:
            yield call
        if {"text", "universal_newlines"} & given:
            yield call


def test_every_call_names_the_encoding_of_text() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call)}"
        for path in MODULES
        for call in calls_without_encoding(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert len(MODULES) > 100
    assert found == []


@pytest.mark.parametrize(
    ("code", "is_found"),
    [
        ("(folder / 'x').read_text()", True),
        ("path.open('w')", True),
        ("open(path)", True),
        ("run(words, text=True)", True),
        ("path.open('rb')", False),
        ("path.read_text(encoding='utf-8')", False),
        ("Image.open(path)", False),
    ],
)
def test_calls_are_told_apart(code: str, is_found: bool) -> None:
    assert bool(list(calls_without_encoding(ast.parse(code)))) == is_found


def test_the_catalog_names_the_encoding_of_text() -> None:
    expected = {
        "text.TextDataset": ("fs_args", "open_args_save", "encoding"),
        "json.JSONDataset": ("fs_args", "open_args_save", "encoding"),
        "pandas.CSVDataset": ("save_args", "encoding"),
    }
    seen = set()
    for file in (ROOT / "conf" / "base").glob("catalog*.yml"):
        entries = yaml.safe_load(file.read_text(encoding="utf-8"))
        for name, entry in entries.items():
            stored = entry.get("dataset")
            kind = stored["type"] if isinstance(stored, dict) else stored
            for key in expected.get(kind, ()):
                assert isinstance(stored, dict), name
                stored = stored[key]
            if kind in expected:
                seen.add(kind)
                assert stored == "utf-8", name
    assert seen == set(expected)


def typed(cwd: Path, *words: str) -> bytes:
    done = subprocess.run(
        words,
        cwd=cwd,
        env={**os.environ, **POOR, "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout


@pytest.mark.slow
def test_a_locale_without_umlauts_costs_neither_report_nor_answer(
    finished: Any, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "project").path
    (report,) = (project / "data" / "08_reporting").glob("*/report.html")
    before = report.read_bytes()
    assert not before.isascii()
    report.unlink()
    kedro = str(Path(sys.executable).with_name("kedro"))
    typed(project, kedro, "run", "--env", "test", "--nodes", "write_report")
    assert len(report.read_bytes()) == len(before)

    name = "日本 – ß.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name)
    predict = [sys.executable, "-m", "daformer_kedro", "predict", name]
    said = typed(tmp_path, *predict, "--project", "project")
    assert rb"\u65e5\u672c - \xdf.png" in said
