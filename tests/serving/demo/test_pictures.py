"""Pictures of the demo page."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from daformer_kedro.serving.demo.pictures import (
    attention_overlay,
    enlarged,
    photograph,
    png,
)


def decoded(address: str) -> np.ndarray:
    content = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def test_few_pixels_become_squares_and_many_stay() -> None:
    pixels = np.arange(4, dtype=np.uint8).reshape(2, 2, 1) * 60
    large = decoded(enlarged(pixels))
    assert large.shape == (192, 192, 3)
    assert (large[:96, 96:, 0] == 60).all()
    assert decoded(enlarged(np.zeros((224, 224, 3), np.uint8))).shape == (224, 224, 3)


def test_a_file_holds_the_pixels_as_they_are() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert (np.asarray(Image.open(io.BytesIO(png(pixels)))) == pixels).all()


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((4000, 3000), (512, 384)),
        ((300, 200), (300, 200)),
        ((9000, 2), (512, 1)),
    ],
)
def test_a_photograph_of_any_shape_fits_the_page(
    size: tuple[int, int], shown: tuple[int, int]
) -> None:
    image = Image.new("RGB", size, (200, 200, 200))
    assert decoded(photograph(image, 0.875)).shape == (*shown[::-1], 3)


def test_attention_warms_its_place_and_even_attention_stays_pale() -> None:
    pixels = np.full((8, 8, 3), 100, np.uint8)
    shares = np.array([[0.97, 0.01], [0.01, 0.01]])
    found = decoded(attention_overlay(pixels, shares))
    # Grey is 0.75 * 100; the warmest place has 0.8 of (255, 150, 0).
    assert np.abs(found[10, 10] - (219, 135, 15)).max() <= 2
    assert np.abs(found[180, 180] - 75).max() <= 2
    nearly_even = np.array([[0.26, 0.25], [0.25, 0.24]])
    pale = decoded(attention_overlay(pixels, nearly_even))
    # The most differs from the least by 8 % of the mean: 0.8 * 0.08 of the colour.
    assert pale[10, 10, 0] - 75 <= 0.08 * (255 - 75)
