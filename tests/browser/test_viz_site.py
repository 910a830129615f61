"""The static Kedro-Viz site."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``make viz`` builds, for a project that has run."""
    folder = tmp_path_factory.mktemp("site") / "project"
    finished.copy(folder)
    recipe = re.search(r"^viz:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    assert recipe
    commands = [line.strip().lstrip("@") for line in recipe[1].splitlines()]
    assert commands[0].startswith("$(BIN)/kedro viz build")
    kedro = f"{sys.executable} -m kedro"
    script = "\n".join(commands[:-1]).replace("$(BIN)/kedro", kedro)
    done = subprocess.run(
        ["sh", "-ec", script],
        cwd=folder,
        env={**os.environ, "KEDRO_ENV": "test"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout + done.stderr
    assert "could not" not in told  # be previewed
    assert "Layers visualisation is disabled" not in told
    return folder / "build"


def test_the_site_shows_the_stages_and_asks_no_other_host(
    page: Any, site: Path, serve: Callable[[Path], str]
) -> None:
    address = serve(site)
    page.goto(address)
    page.get_by_text("__default__").first.wait_for()
    for name in ("task_00", "task_01", "task_02", "write_report", "draw_attention"):
        page.locator(".row-text__label", has_text=name).first.wait_for()
    layers = page.locator(".pipeline-layer-name")
    layers.first.wait_for()
    assert layers.all_inner_texts() == [
        "intermediate",
        "primary",
        "models",
        "model_output",
        "reporting",
    ]
    # Tasks are collapsed: what is inside is not drawn.
    drawn = page.locator(".pipeline-node__text").all_inner_texts()
    assert "train_task" not in drawn
    assert page.hosts - {""} == {address.split("/")[2]}  # "": data within the page


def test_a_figure_is_previewed(
    page: Any, site: Path, serve: Callable[[Path], str]
) -> None:
    page.goto(serve(site))
    page.get_by_text("accuracy_matrix_figure", exact=True).first.click()
    preview = page.locator("img[src^='data:image/png;base64']").first
    preview.wait_for()
    assert preview.evaluate("image => image.naturalWidth") > 100


def test_a_node_shows_its_docstring_and_code(
    page: Any, site: Path, serve: Callable[[Path], str]
) -> None:
    page.goto(serve(site))
    page.get_by_text("draw_attention", exact=True).first.click()
    page.get_by_text("Show Code").first.click()
    docstring = page.get_by_text("Draw the decoder's attention").first
    docstring.wait_for()
    assert docstring.is_visible()
