"""The demo page, with the model of a run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(finished: Any, started: Any, free_port: Any) -> Iterator[str]:
    """Where ``python -m daformer_kedro demo`` serves."""
    port = free_port()
    words = [sys.executable, "-m", "daformer_kedro", "demo", "--port", port]
    with started(words, cwd=finished.path) as server:
        address = f"http://127.0.0.1:{port}/"
        server.answer(address)
        yield address


@pytest.fixture
def digit(finished: Any, tmp_path: Path) -> Path:
    arrays = finished.folder("02_intermediate") / "images" / "test_images.npy"
    path = tmp_path / "digit.png"
    Image.fromarray(np.load(arrays)[0, ..., 0]).save(path)
    return path


def test_an_image_is_classified_and_explained(
    page: Any, address: str, digit: Path, finished: Any
) -> None:
    errors: list[str] = []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.goto(address)
    assert page.inner_text("h1") == finished.folder("06_models").name
    page.set_input_files("#file", digit)
    page.locator("#result").wait_for()
    assert len(page.locator("#classes strong").all()) == 5
    assert page.locator("#seen img").count() == 3  # the image, and two kinds of keys
    assert page.locator("#exemplars img").count() == 5
    widths = page.eval_on_selector_all("img", "all => all.map(i => i.naturalWidth)")
    assert min(widths) == 192
    assert "Unknown score" in page.inner_text("#unknown")
    assert errors == []
    assert page.hosts - {""} == {address.split("/")[2]}


def test_an_image_can_be_dropped(page: Any, address: str, digit: Path) -> None:
    page.goto(address)
    content = list(digit.read_bytes())
    page.evaluate(
        """content => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(content)], "digit.png"));
            document.getElementById("drop").dispatchEvent(
                new DragEvent("drop", { dataTransfer: data, bubbles: true }));
        }""",
        content,
    )
    page.locator("#result").wait_for()
    assert len(page.locator("#classes strong").all()) == 5


def test_a_file_that_is_no_image_is_refused_in_words(
    page: Any, address: str, tmp_path: Path
) -> None:
    (tmp_path / "notes.png").write_text("no image")
    page.goto(address)
    page.set_input_files("#file", tmp_path / "notes.png")
    page.get_by_text("cannot be read as an image").wait_for()
    assert page.locator("#result").is_hidden()
