"""The site of the docs: it builds without a warning and needs no network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_LOADED = re.compile(r'<(?:script|img|iframe)[^>]* src="?([^" >]+)|<link([^>]*)>')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-d", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_package_has_its_page(site: Path) -> None:
    source = ROOT / "src" / "daformer_kedro"
    packages = {path.parent.name for path in source.glob("*/__init__.py")}
    pages = {path.stem for path in (site / "api").glob("*.html")}
    assert pages == packages | {"index", "daformer_kedro"}
    model = (site / "api" / "model.html").read_text(encoding="utf-8")
    assert 'id="daformer_kedro.model.daformer.DAFormer"' in model
    assert not re.search(r":(class|func|meth):<code>", model)


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    loaded = set()
    for page in site.glob("**/*.html"):
        for source, link in _LOADED.findall(page.read_text(encoding="utf-8")):
            if source:
                loaded.add(source)
            elif "canonical" not in link:
                loaded.update(re.findall(r'href="?([^" >]+)', link))
    assert loaded
    assert not [url for url in loaded if re.match(r"(https?:)?//", url)]
    styles = "".join(path.read_text() for path in site.glob("**/*.css"))
    assert not re.findall(r"(?:url|@import)\W*\(?[\"']?(?:https?:)?//", styles)
