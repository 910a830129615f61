"""Colours of the demo page can be told apart (WCAG 2.2, success criterion 1.4.3)."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

PAIRS = [
    ("ink", "ground"),
    ("ink", "card"),
    ("muted", "ground"),
    ("muted", "card"),
    ("muted", "soft"),
    ("accent", "ground"),
    ("accent", "card"),
    ("on-accent", "accent"),
    ("doubt", "doubt-ground"),
    ("fault", "card"),
    ("right", "card"),
]


def luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_formula_gives_the_known_extremes() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_stands_out_from_its_ground(scheme: str, text: str, ground: str) -> None:
    style = files("daformer_kedro.serving.demo").joinpath("page.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(blocks) == 2
    block = blocks[scheme == "dark"]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    assert contrast(colours[text], colours[ground]) >= 4.5
