"""The demo page, with the model of a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.browser
Answer = dict[str, Any]


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


@pytest.fixture
def changed(page: Any) -> Callable[..., None]:
    """``changed(key=value)`` puts other values into the server's answers."""

    def change(**values: Any) -> None:
        def fulfil(route: Any) -> None:
            response = route.fetch()
            answer = {**response.json(), **values}
            route.fulfill(response=response, body=json.dumps(answer))

        page.route("**/classify?*", fulfil)

    return change


def card(page: Any, number: int = 0) -> Any:
    """A card, once it has its answer or its error."""
    found = page.locator(".card").nth(number)
    found.locator(".waiting").wait_for(state="hidden")
    return found


def test_an_image_is_classified_and_explained(
    page: Any, address: str, digit: Path, finished: Any
) -> None:
    errors: list[str] = []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    assert page.inner_text("h1") == "DAFormer-S on test"
    assert page.inner_text("#key") == finished.folder("06_models").name
    results = finished.folder("08_reporting") / "metrics.json"
    accuracy = json.loads(results.read_text())["last_accuracy"]
    assert f"{100 * accuracy:.1f} % of test images right" in page.inner_text(".facts")
    page.set_input_files("#files", digit)
    answer = card(page)
    assert answer.locator(".probabilities li").count() == 5
    assert answer.locator(".looks img").count() == 3  # the image, two kinds of keys
    assert answer.locator(".near img").count() == 5
    page.wait_for_load_state("networkidle")
    widths = page.eval_on_selector_all(
        ".card .looks img", "all => all.map(i => i.naturalWidth)"
    )
    assert min(widths) == 192
    shares = answer.locator(".probabilities li > span:nth-child(2)").all_inner_texts()
    filled = page.eval_on_selector_all(".fill", "all => all.map(f => f.style.width)")
    for share, width in zip(shares, filled, strict=True):
        assert abs(float(share.strip("<>% ")) - float(width.strip("%"))) <= 0.1
    assert "counts as unknown" in answer.locator(".gauge").inner_text()
    assert page.inner_text("#status").startswith("digit.png: ")
    assert errors == []
    assert page.hosts - {""} == {address.split("/")[2]}


def test_a_broken_file_costs_no_other_its_answer(
    page: Any, address: str, digit: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.png").write_text("no image")
    with (tmp_path / "large.png").open("wb") as large:
        large.truncate((64 << 20) + 1)
    names = ["notes.png", "digit.png", "large.png", "digit.png"]
    page.goto(address)
    page.set_input_files("#files", [tmp_path / name for name in names])
    found = [card(page, number) for number in range(4)]
    assert [one.locator(".name").inner_text() for one in found] == names
    errors = [one.locator(".error:visible").all_inner_texts() for one in found]
    assert errors == [
        ["cannot be read as an image: its format is not known"],
        [],
        ["the file is larger than 64 MiB"],
        [],
    ]
    for number in (1, 3):
        assert found[number].locator(".probabilities li").count() == 5
        assert found[number].locator(".verdict").is_visible()


def test_more_files_than_are_taken_are_named(
    page: Any, address: str, digit: Path, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number:02}.png" for number in range(26)]
    for path in paths:
        path.write_bytes(digit.read_bytes())
    page.goto(address)
    page.set_input_files("#files", paths)
    notice = page.locator("#notice")
    assert notice.inner_text() == (
        "26 images were given and 24 are taken at a time. Left out: 24.png, 25.png"
    )
    assert page.locator(".card").count() == 24
    for number in range(24):
        card(page, number)
    page.set_input_files("#files", digit)
    assert notice.is_hidden()


def test_an_image_can_be_dropped_anywhere(page: Any, address: str, digit: Path) -> None:
    page.goto(address)
    drop = """content => {
        const data = new DataTransfer();
        if (content) data.items.add(new File([new Uint8Array(content)], "digit.png"));
        for (const kind of ["dragenter", "dragover", "drop"]) {
            document.querySelector(".knows").dispatchEvent(new DragEvent(
                kind, { dataTransfer: data, bubbles: true, cancelable: true }));
        }
    }"""
    page.evaluate(drop, list(digit.read_bytes()))
    assert card(page).locator(".probabilities li").count() == 5
    page.evaluate(drop, None)
    assert "is no file" in page.inner_text("#notice")


def test_an_image_can_be_pasted_from_the_clipboard(
    page: Any, address: str, digit: Path
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(address)
    copy = """async content => {
        const image = new Blob([new Uint8Array(content)], { type: "image/png" });
        await navigator.clipboard.write([new ClipboardItem({ "image/png": image })]);
    }"""
    page.evaluate(copy, list(digit.read_bytes()))
    page.keyboard.press("Control+V")
    assert card(page).locator(".probabilities li").count() == 5
    page.evaluate("navigator.clipboard.writeText('words')")
    page.keyboard.press("Control+V")
    page.get_by_text("The clipboard holds no image.").wait_for()
    assert page.locator(".card").count() == 1


def test_everything_can_be_done_at_the_keyboard(page: Any, address: str) -> None:
    page.goto(address)
    focused = "document.activeElement.id || document.activeElement.className"
    order = []
    for _ in range(2):
        page.keyboard.press("Tab")
        order.append(page.evaluate(focused))
    assert order == ["files", "try"]  # the camera is for phones
    page.keyboard.press("Enter")
    assert "It is of class" in card(page).locator(".truth").inner_text()
    page.locator(".knows .try").first.focus()
    page.keyboard.press("Space")
    assert card(page).locator(".name").inner_text().startswith("Exemplar of class")
    assert page.locator(".card").count() == 2
    page.locator(".remove").first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".card").count() == 1
    assert page.evaluate(focused) == "remove"
    page.locator("#clear").focus()
    page.keyboard.press("Enter")
    assert page.locator(".card").count() == 0
    assert page.evaluate(focused) == "files"
    assert page.locator("#empty").is_visible()
    unnamed = """all => all.filter(
        e => !(e.innerText || e.labels?.[0]?.innerText || "").trim()).length"""
    assert page.eval_on_selector_all("button, input, summary", unnamed) == 0


def test_what_is_unknown_is_said_in_words(
    page: Any, address: str, digit: Path, changed: Callable[..., None]
) -> None:
    changed(is_unknown=True)
    page.goto(address)
    page.set_input_files("#files", digit)
    verdict = card(page).locator(".verdict").inner_text()
    assert verdict.startswith("This looks like nothing I have learnt")
    assert "This looks like nothing I have learnt" in page.inner_text("#status")


def test_a_model_that_keeps_nothing_and_another_decoder_show_less(
    page: Any, address: str, digit: Path, changed: Callable[..., None]
) -> None:
    changed(is_unknown=None, distance=None, threshold=None, nearest=[], attention=[])
    page.goto(address)
    page.set_input_files("#files", digit)
    answer = card(page)
    assert answer.locator(".near").is_hidden()
    assert answer.locator(".looks img").count() == 1
    assert answer.locator(".looks h4").inner_text() == "What the model reads"
    assert "%" in answer.locator(".verdict").inner_text()


def test_names_of_classes_and_files_are_text(
    page: Any, address: str, digit: Path, changed: Callable[..., None]
) -> None:
    name = "<img src=x onerror=document.title='run'>"
    ranked = [{"name": name, "probability": 1.0, "task": 0}]
    changed(classes=ranked, truth=name, is_unknown=False)
    path = digit.with_name("<b>digit.png")
    path.write_bytes(digit.read_bytes())
    page.goto(address)
    page.set_input_files("#files", path)
    answer = card(page)
    assert answer.locator(".verdict strong").inner_text() == name
    assert answer.locator(".name").inner_text() == "<b>digit.png"
    assert page.title() != "run"


def test_a_server_that_has_ended_is_named(page: Any, address: str, digit: Path) -> None:
    page.goto(address)
    page.route("**/classify?*", lambda route: route.abort())
    page.set_input_files("#files", digit)
    error = card(page).locator(".error").inner_text()
    assert error == "the server does not answer: is it still running?"


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(
    chromium: Any,
    address: str,
    digit: Path,
    width: int,
) -> None:
    is_phone = width < 500
    context = chromium.new_context(
        viewport={"width": width, "height": 740}, is_mobile=is_phone, has_touch=is_phone
    )
    page = context.new_page()
    page.goto(address)
    assert page.locator(".camera").is_visible() == is_phone
    assert page.get_attribute("#camera", "capture") == "environment"
    path = digit.with_name("a_name_without_any_space_" * 6 + ".png")
    path.write_bytes(digit.read_bytes())
    page.set_input_files("#camera", path)
    card(page)
    page.locator(".details summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    beyond = """width => [...document.querySelectorAll("body *")].filter(
        e => e.getBoundingClientRect().right > width + 1).length"""
    assert page.evaluate(beyond, width) == 0
    context.close()


def test_nothing_turns_where_less_motion_is_asked_for(page: Any, address: str) -> None:
    page.route("**/examples/0", lambda route: None)  # it waits for ever
    for motion, name in (("reduce", "none"), ("no-preference", "turn")):
        page.emulate_media(reduced_motion=motion)
        page.goto(address)
        page.locator(".try").first.click()
        spinner = page.locator(".spinner").first
        assert spinner.evaluate("e => getComputedStyle(e).animationName") == name
