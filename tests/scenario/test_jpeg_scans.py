"""JPEGs whose scans go over all pixels again and again are refused."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_decoding import decode_rgb
from daformer_kedro.scenario.jpeg_scans import MOST_SCANS

NOISE = Image.fromarray(
    np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
)


def jpeg(image: Image.Image = NOISE, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def with_scans(content: bytes, num: int) -> bytes:
    """Repeat the last scan of a file until it has ``num``."""
    starts = [found.start() for found in re.finditer(rb"\xff\xda", content)]
    last = content[starts[-1] : -2]
    return content[:-2] + last * (num - len(starts)) + content[-2:]


@pytest.mark.parametrize("before", [b"", b"\xff\xff\xff", b"\xff\x01", b"between"])
def test_very_many_scans_are_refused(before: bytes) -> None:
    whole = jpeg(Image.new("L", (48, 40)), progressive=True)
    at = whole.rindex(b"\xff\xda")
    whole = whole[:at] + before + whole[at:]  # what decoders skip
    assert decode_rgb(with_scans(whole, MOST_SCANS), "it").size == (48, 40)
    with pytest.raises(InputError, match=r"it: .* its JPEG has over 100 scans"):
        decode_rgb(with_scans(whole, MOST_SCANS + 1), "it")


def test_scans_of_one_colour_are_counted_too() -> None:
    # Three scans, one a component, are not progressive and go over all pixels as well.
    whole = jpeg()
    at = whole.index(b"\xff\xda")
    one = whole[:at] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + whole[at + 14 :]
    with pytest.raises(InputError, match="over 100 scans"):
        decode_rgb(with_scans(one, MOST_SCANS + 1), "it")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("is_file", [False, True])
def test_ordinary_files_are_read_whatever_they_carry(
    tmp_path, progressive: bool, is_file: bool
) -> None:
    plain = jpeg(progressive=progressive)
    # A preview in a comment, a header longer than what is read first, a film behind it.
    comment = (b"\xff\xfe\xff\xff" + b"\xff\xda" * 32766 + b"\0") * 3
    carrying = plain[:2] + comment + plain[2:] + b"\xff\xda\0\x08" * 1000
    source = carrying
    if is_file:
        source = tmp_path / "a.jpg"
        source.write_bytes(carrying)
    expected = np.asarray(Image.open(io.BytesIO(plain)))
    assert np.array_equal(np.asarray(decode_rgb(source, "it")), expected)


def test_a_file_cut_off_before_its_pixels_is_named() -> None:
    whole = jpeg(progressive=True)
    for length in (whole.index(b"\xff\xda"), whole.index(b"\xff\xda") + 4):
        with pytest.raises(InputError, match="it: cannot be read as an image"):
            decode_rgb(whole[:length], "it")
