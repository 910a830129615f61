"""Pages of the site for each package of the source, made of its docstrings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "daformer_kedro"
_ROLE = re.compile(r":(?:class|data|func|meth|mod):<code>(.*?)</code>")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to those of the folder."""
    rows = ["# API", "", "| package | what |", "| --- | --- |"]
    for name, modules in _pages():
        blocks = [f"::: {module}" for module in modules]
        text = "\n\n".join([f"# {name}", *blocks])
        files.append(File.generated(config, f"api/{name}.md", content=text))
        rows.append(f"| [{name}]({name}.md) | {_first_line(name)} |")
    index = "\n".join(rows)
    files.append(File.generated(config, "api/index.md", content=index))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leave out the roles that docstrings put before names, on pages made of them."""
    if not page.file.src_uri.startswith("api/"):
        return html
    return _ROLE.sub(lambda match: f"<code>{match[1].lstrip('~')}</code>", html)


def _pages() -> Iterator[tuple[str, list[str]]]:
    """Yield each page's name and what it documents."""
    modules = sorted(p.stem for p in PACKAGE.glob("*.py") if p.stem != "__init__")
    public = [name for name in modules if not name.startswith("_")]
    yield PACKAGE.name, [f"{PACKAGE.name}.{name}" for name in public]
    for init in sorted(PACKAGE.glob("*/__init__.py")):
        name = init.parent.name
        yield name, [f"{PACKAGE.name}.{name}"]


def _first_line(name: str) -> str:
    """Return the first line of a package's docstring."""
    folder = PACKAGE if name == PACKAGE.name else PACKAGE / name
    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]
