"""Every text in a figure may be any string."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.figure import Figure
from matplotlib.text import Text

from daformer_kedro.evaluation import figures
from daformer_kedro.evaluation.figures import plain_text, style
from daformer_kedro.evaluation.figures.plain_text import as_lines

STRANGE = (
    "$x$",
    "5$ and 6$",
    r"\frac{1",
    r"$\alpha^2$",
    "^_%{}#&~|`",
    "_first",
    "two\nlines\0and\ttab",
    "<b>bold</b>",
    "x" * 300,
    " ",
    "🐈\N{ZERO WIDTH JOINER}\N{VARIATION SELECTOR-16}",
    "猫",
)
SHOWN = (
    *STRANGE[:6],
    "two lines and tab",
    "<b>bold</b>",
    "x" * 15 + "…" + "x" * 15,
    "",
    "□",
    "□",
)


def confusion(names: tuple[str, ...]) -> Figure:
    classes = np.arange(len(names))
    table = pd.DataFrame({"target": classes, "predicted": classes})
    return figures.confusion_matrix_figure(table, [len(names)], names)


def exemplars(names: tuple[str, ...]) -> Figure:
    images = np.zeros((2, 4, 4, 1), np.uint8)
    return figures.exemplar_sheet_figure([images] * len(names), names)


def matrix(names: tuple[str, ...]) -> Figure:
    return figures.accuracy_matrix_figure([[0.5]] * len(names), names)


def curves(names: tuple[str, ...]) -> Figure:
    published = pd.DataFrame(
        {
            "method": names,
            "memory": names,
            "last_top1": 50.0,
            "average_incremental_top1": 60.0,
        }
    )
    ours = {name: [1.0, 0.5] for name in names}
    return figures.incremental_accuracy_figure(ours, [2, 4], published)


def texts(figure: Figure) -> list[str]:
    found = figure.findobj(Text)
    assert not any(text.get_parse_math() for text in found)
    return [text.get_text() for text in found]


@pytest.fixture(autouse=True)
def _no_other_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fonts are those that come with matplotlib, and none was missed before."""
    bundled = [e for e in plain_text.fontManager.ttflist if "mpl-data" in e.fname]
    monkeypatch.setattr(plain_text.fontManager, "ttflist", bundled)
    monkeypatch.setattr(plain_text, "findSystemFonts", list)
    monkeypatch.setattr(plain_text, "_named", set())
    plain_text._families.cache_clear()


@pytest.mark.parametrize("draw", [confusion, exemplars, matrix])
def test_names_stand_there_as_they_are(
    draw: Callable[[tuple[str, ...]], Figure], caplog: pytest.LogCaptureFixture
) -> None:
    figure = draw(STRANGE)
    for _ in range(2):
        assert style.figure_to_png(figure).startswith(b"\x89PNG")
    found = texts(figure)
    assert [name for name in SHOWN if name not in found] == []
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "has 猫 (U+732B), 🐈 (U+1F408); figures" in record.getMessage()


def test_curves_may_have_any_label() -> None:
    figure = curves(STRANGE)
    assert style.figure_to_png(figure)
    found = texts(figure)
    for name in SHOWN[:6]:
        assert f"{name}: last 50.0, average 75.0" in found
        assert f"50.0  {name} (60.0)" in found


def test_a_dollar_is_drawn_as_one() -> None:
    def pixels(name: str) -> bytes:
        figure = style.new_figure(2, 1)
        figure.text(0.1, 0.5, name)
        return style.figure_to_png(figure)

    assert pixels("$x$") != pixels("x")
    assert pixels(r"\$x\$") != pixels("$x$")


def font_with(path: Path, *characters: str) -> Path:
    """A font whose every character is a square."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 700), (700, 700), (700, 0)):
        pen.lineTo(corner)
    pen.closePath()
    names = [".notdef", *(f"u{ord(c):X}" for c in characters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(c): f"u{ord(c):X}" for c in characters})
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (800, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Squares Sans", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800)
    builder.setupPost()
    builder.save(path)
    return path


def test_a_font_that_has_the_characters_is_taken(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = font_with(tmp_path / "squares.ttf", "猫", "犬")
    monkeypatch.setattr(plain_text, "findSystemFonts", lambda: [str(path)])
    figure = confusion(("猫", "cat 犬"))
    assert style.figure_to_png(figure)
    assert {"猫", "cat 犬"} <= set(texts(figure))
    assert caplog.records == []
    label = next(t for t in figure.findobj(Text) if t.get_text() == "猫")
    assert label.get_fontfamily()[-1] == "Squares Sans"


def test_long_names_keep_both_ends() -> None:
    assert as_lines(["abcdefghij", "abcdefg"], 7) == ["abc…hij", "abcdefg"]
