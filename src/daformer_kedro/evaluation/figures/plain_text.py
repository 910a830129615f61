"""Texts in figures that stand there as they were given, whatever their characters."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.font_manager import (
    FontEntry,
    FontProperties,
    findfont,
    findSystemFonts,
    fontManager,
    get_font,
    weight_dict,
)
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

_LOGGER = logging.getLogger(__name__)
_REGULAR = 400  # the weight of a font that is neither light nor bold
_BOX = "\N{WHITE SQUARE}"
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)
_named: set[str] = set()  # characters that the log has named


class PlainFigure(Figure):
    """A figure whose texts are not formulas, in fonts that have their characters.

    To matplotlib a text with two dollar signs is a formula. A character that the usual
    font lacks comes from another font that is installed.
    """

    def draw(self, renderer: RendererBase) -> None:
        """Prepare the texts, then draw."""
        for text in self.findobj(Text):
            assert isinstance(text, Text)
            text.set_parse_math(False)
            _add_fonts(text)
        super().draw(renderer)


def as_lines(names: Iterable[str], longest: int = 32) -> list[str]:
    """Names from outside, such as those of classes, as texts that can be drawn.

    A text has one line and no control character. Where no font that is installed has a
    character, a box is drawn instead, and a warning is logged once.

    Args:
        names: any texts.
        longest: characters of each, at most; the middle of a longer name is left out.
    """
    lines = [_one_line(name, longest) for name in names]
    absent = frozenset(_absent(findfont(FontProperties()), "".join(lines)))
    missing = absent.difference(*_families(absent).values())
    invisible = {c for c in missing if _is_invisible(c)}
    _name_once(sorted(missing - invisible))
    boxes = {ord(c): "" if c in invisible else _BOX for c in missing}
    return [line.translate(boxes) for line in lines]


def _one_line(name: str, longest: int) -> str:
    shown = "".join(c if unicodedata.category(c) != "Cc" else " " for c in name)
    shown = " ".join(shown.split())
    if len(shown) <= longest:
        return shown
    half = (longest - 1) // 2
    return f"{shown[:half]}…{shown[-half:]}"


def _add_fonts(text: Text) -> None:
    string = text.get_text()
    if not string.isascii():
        absent = _absent(findfont(text.get_fontproperties()), string)
        own = text.get_fontfamily()
        others = [name for name in _families(frozenset(absent)) if name not in own]
        text.set_fontfamily([*own, *others])


def _absent(font: str, string: Iterable[str]) -> Iterator[str]:
    glyphs = get_font(font)
    for character in set(string) - {"\n"}:
        if not glyphs.get_char_index(ord(character)):
            yield character


def _is_invisible(character: str) -> bool:
    """Return whether a character only joins others, or selects their variant."""
    is_selector = ord(character) in _VARIATION_SELECTORS
    return is_selector or unicodedata.category(character) == "Cf"


def _name_once(characters: list[str]) -> None:
    new = [c for c in characters if c not in _named]
    if new:
        _named.update(new)
        _LOGGER.warning(
            "No installed font has %s; figures show boxes instead",
            ", ".join(f"{c} (U+{ord(c):04X})" for c in new[:20])
            + (" …" if len(new) > 20 else ""),
        )


@cache
def _families(characters: frozenset[str]) -> dict[str, set[str]]:
    """Few font families, and the characters that each has of those it is taken for."""
    chosen: dict[str, set[str]] = {}
    if not characters:
        return chosen
    fonts = _fonts()
    coverage = {name: _drawn(entry, characters) for name, entry in fonts.items()}
    left = set(characters)
    while left:
        # Of fonts that have as many, one without serifs, as the other texts.
        best = max(
            coverage,
            key=lambda name: (len(coverage[name] & left), "Sans" in name, name),
            default="",
        )
        if not best or not coverage[best] & left:
            break
        chosen[best] = coverage[best] & left
        left -= coverage[best]
        if _weight(fonts[best]) != _REGULAR:
            # Matplotlib would say at every text that it has no regular weight.
            fontManager.ttflist.append(replace(fonts[best], weight=_REGULAR))
    return chosen


def _fonts() -> dict[str, FontEntry]:
    """An upright font of each family, also of those installed a moment ago."""
    known = {entry.fname for entry in fontManager.ttflist}
    for path in findSystemFonts():
        if path not in known:
            try:
                fontManager.addfont(path)
            except (OSError, RuntimeError):  # no font, or one of bitmaps
                continue
    # Matplotlib ships a font whose glyphs only show that a glyph is missing.
    upright = [
        entry
        for entry in fontManager.ttflist
        if entry.style == "normal" and not entry.name.startswith("Last Resort")
    ]
    upright.sort(key=lambda entry: -abs(_weight(entry) - _REGULAR))
    return {entry.name: entry for entry in upright}


def _weight(entry: FontEntry) -> int:
    weight = entry.weight
    return weight if isinstance(weight, int) else weight_dict.get(weight, _REGULAR)


def _drawn(entry: FontEntry, characters: frozenset[str]) -> set[str]:
    """The characters that a font has as outlines; pictures are not drawn."""
    face = getattr(entry, "index", 0)  # of several in a file, in newer versions
    options: dict[str, Any] = {"face_index": face} if face else {}
    found = set[str]()
    try:
        font = FT2Font(entry.fname, **options)
        if font.num_fixed_sizes:
            return found
        font.set_size(12, 100)
        for character in characters:
            if font.get_char_index(ord(character)):
                box = font.load_char(ord(character)).bbox
                if box[2] > box[0] or character.isspace():
                    found.add(character)
    except (OSError, RuntimeError, ValueError):
        return set()
    return found
