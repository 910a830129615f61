"""Links between pages lead somewhere, and decisions are dated and listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
DECISIONS = sorted(ROOT.glob("docs/decisions/0*.md"))
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """Headings as GitHub and MkDocs name them in links."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.M)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in kept}


def broken_links(page: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    broken = []
    for link in _LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue  # tests have no network
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A title, with `code`\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md) [b](none.md) [c](other.md#a-title-with-code)\n"
        "[d](other.md#none) [e](https://example.org) ![f](none.png)\n"
        "```\n[g](none.md)\n```\n"
    )
    assert broken_links(page) == ["none.md", "other.md#none", "none.png"]


@pytest.mark.parametrize("record", DECISIONS, ids=lambda p: p.stem)
def test_a_decision_has_number_status_and_date_and_is_listed(record: Path) -> None:
    number = int(record.name[:4])
    title, blank, status, *_ = record.read_text(encoding="utf-8").splitlines()
    assert title.startswith(f"# {number}. ")
    assert blank == ""
    pattern = r"Status: (accepted|superseded by \d+), \d{4}-\d{2}-\d{2}"
    assert re.fullmatch(pattern, status), status
    name = title.removeprefix(f"# {number}. ")
    row = f"| {number} | [{name}]({record.name}) | {status.removeprefix('Status: ')} |"
    assert row in (record.parent / "index.md").read_text(encoding="utf-8")


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = set(_LINK.findall(index))
    pages = {page.relative_to(ROOT / "docs") for page in ROOT.glob("docs/**/*.md")}
    apart = {Path("index.md")}
    expected = {p.as_posix() for p in pages - apart if p.parent.name != "decisions"}
    assert listed == expected | {"decisions/index.md"}
