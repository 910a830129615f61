"""Docstrings and messages use the field's words, and plain English."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path for folder in ("src", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)
PAGES = sorted([
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "docs/decisions").glob("*.md"),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(ROOT / "conf").rglob("*.yml"),
])  # fmt: skip
NO_FIRST_WORD = {
    *("As", "At", "By", "Everything", "For", "From", "How", "In", "Not", "Of", "On"),
    *("To", "What", "When", "Where", "Whether", "Which", "Who", "Whose", "Why", "With"),
    *("But", "It", "No", "Somebody", "Something", "There", "Without"),
}
"""Neither verbs nor nouns, with which a docstring does not begin."""
NOUNS = (
    "bias|column|concept|entry|file|folder|image|label|line|mapping|name|number|row"
    "|value"
)
THINGS = (
    "batch|channel|class|device|epoch|file|image|line|method|phase|rank|request|row|run"
    "|sample|split|step|task"
)
NO_PHRASE = re.compile(
    r"\b(anew|mend(ed|s|ing)?|taught|foresees?|said once|says? so once|cannot be had"
    r"|holds? no such|has none such|looks? at (the |an )?images"
    rf"|(one|a) ({NOUNS}) an? ({THINGS}))\b",
    re.IGNORECASE,
)


def docstrings(tree: ast.Module) -> Iterator[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            yield text


def texts(tree: ast.Module) -> Iterator[str]:
    """All string constants: docstrings, messages, templates."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield " ".join(node.value.split())


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in MODULES:
        source = path.read_text(encoding="utf-8")
        yield path.relative_to(ROOT).as_posix(), ast.parse(source)


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    wrong = [
        f"{name}: {text.splitlines()[0]}"
        for name, tree in trees()
        for text in docstrings(tree)
        if text.split()[0].strip(",.:") in NO_FIRST_WORD
    ]
    assert wrong == []


def test_docstrings_and_messages_use_plain_words() -> None:
    wrong = [
        f"{name}: {found[0]!r} in {text[:60]!r}"
        for name, tree in trees()
        for text in texts(tree)
        if (found := NO_PHRASE.search(text))
    ]
    assert wrong == []


def test_pages_and_settings_use_plain_words() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {found[0]!r}"
        for path in PAGES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (found := NO_PHRASE.search(line))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("begins anew", "anew"),
        ("one number a channel", "one number a channel"),
        ("a row a file, in order", "a row a file"),
        ("one row per file", None),
        ("a file of one class, amended", None),
    ],
)
def test_the_pattern_finds_phrases_and_not_their_parts(text: str, found: str) -> None:
    match = NO_PHRASE.search(text)
    assert (match and match[0]) == found
