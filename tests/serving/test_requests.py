"""What clients of the server may send."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from daformer_kedro.errors import InputError
from daformer_kedro.serving import Classifier
from daformer_kedro.serving.requests import MOST_FILES, decode_images

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)


def encoded(size: tuple[int, int] = (20, 10)) -> str:
    buffer = io.BytesIO()
    Image.new("RGBA", size, (255, 0, 0, 255)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize(
    "given",
    [
        PIXELS,
        PIXELS.astype(float),
        PIXELS.tolist(),
        {"image": PIXELS.tolist()},
        pd.DataFrame({"image": PIXELS.tolist()}),
        pd.DataFrame({"any": PIXELS.tolist()}),
        [{"image": image} for image in PIXELS.tolist()],
    ],
)
def test_arrays_arrive_as_they_are(classifier: Classifier, given: Any) -> None:
    assert np.array_equal(decode_images(classifier, given), PIXELS)


@pytest.mark.parametrize(
    "given",
    [
        [encoded()],
        np.array([encoded()]),
        {"image": [encoded()]},
        pd.DataFrame({"image": [encoded()]}),
        [{"image": "data:image/png;base64," + encoded()}],
        [encoded()[:20] + "\n" + encoded()[20:]],
    ],
)
def test_files_in_base64_may_have_any_size(classifier: Classifier, given: Any) -> None:
    found = decode_images(classifier, given)
    assert found.shape == (1, 8, 8, 3)
    assert (found == (255, 0, 0)).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no image was given"),
        (["!"], "image 0 is not base64"),
        ([encoded(), "bm90aGluZw=="], "image 1: cannot be read as an image"),
        ([encoded()[:60]], "image 0: cannot be read as an image"),
        (np.zeros((2, 9, 8, 3)), r"shape \(2, 9, 8, 3\)"),
        (np.full((1, 8, 8, 3), 256), "values from 256 to 256"),
        (np.full((1, 8, 8, 3), 0.5), "whole numbers"),
        (np.full((1, 8, 8, 3), np.nan), "whole numbers"),
        ([[[1, 2], [3]]], "ragged"),
        ([None], "image 0 is None"),
        (7, "7 must be images"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "names; found: a, a"),
        ({"image": [encoded()], "x": [1, 2]}, "equally many rows; found: image 1, x 2"),
        ({"a": [1], "b": [2]}, "must be in the field 'image'; found: a, b"),
    ],
)
def test_what_is_wrong_is_said(
    classifier: Classifier, given: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        decode_images(classifier, given)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_request_may_hold_so_many_files(
    classifier: Classifier, as_bytes: bool
) -> None:
    file: Any = base64.b64decode(encoded()) if as_bytes else encoded()
    assert len(decode_images(classifier, [file] * MOST_FILES)) == MOST_FILES
    with pytest.raises(InputError, match=r"257 image files were given; .* at most 256"):
        decode_images(classifier, {"image": [file] * (MOST_FILES + 1)})
    many = np.zeros((1000, 8, 8, 3), np.uint8)  # of a caller's own, decoded already
    assert len(decode_images(classifier, many)) == 1000
    assert len(decode_images(classifier, list(many))) == 1000


def test_a_file_may_have_so_many_pixels(classifier: Classifier) -> None:
    buffer = io.BytesIO()
    Image.new("1", (8000, 7000)).save(buffer, "PNG")
    with pytest.raises(InputError, match=r"image 0: .* at most 50 million are taken"):
        decode_images(classifier, [buffer.getvalue()])
