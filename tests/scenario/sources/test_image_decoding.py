import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from daformer_kedro.scenario.sources.image_decoding import (
    ImageDecodingError,
    decode_rgb,
)

Encode = Callable[..., bytes]
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def test_png_comes_back_exactly(png: Encode) -> None:
    np.testing.assert_array_equal(decode_rgb(png(PIXELS), 32), PIXELS)


def test_grey_png_fills_all_channels(png: Encode) -> None:
    grey = PIXELS[..., 0]
    decoded = decode_rgb(png(grey), 32)
    np.testing.assert_array_equal(decoded, np.stack([grey] * 3, axis=-1))


def test_palette_png_is_looked_up(png: Encode) -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:16] = (10, 200, 30)
    np.testing.assert_array_equal(
        decode_rgb(png(pixels, "P"), 32)[0, 0] > 100, [0, 1, 0]
    )


def test_jpeg_is_read() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (128, 128, 128)).save(buffer, format="JPEG")
    np.testing.assert_array_equal(decode_rgb(buffer.getvalue(), 32), 128)


def _gif() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32)).save(buffer, format="GIF")
    return buffer.getvalue()


def test_damaged_bytes(png: Encode) -> None:
    whole = png(PIXELS)
    swapped = whole[:200] + bytes(50) + whole[250:]
    for damaged in (b"", b"no image", whole[:300], whole[:20], swapped, _gif()):
        with pytest.raises(ImageDecodingError, match="cannot be decoded as PNG or"):
            decode_rgb(damaged, 32)


def test_wrong_size(png: Encode) -> None:
    with pytest.raises(
        ImageDecodingError, match="is 20 × 32 pixels; it must be 32 × 3"
    ):
        decode_rgb(png(PIXELS[:, :20]), 32)


def test_images_that_do_not_fit_eight_bit_rgb(png: Encode) -> None:
    deep = np.zeros((32, 32), np.uint16)
    for encoded in (png(PIXELS, "RGBA"), png(deep)):
        with pytest.raises(ImageDecodingError, match=r"has mode .*; it must be RGB"):
            decode_rgb(encoded, 32)


def test_palette_with_transparency() -> None:
    buffer = io.BytesIO()
    Image.new("P", (32, 32)).save(buffer, format="PNG", transparency=b"\x00\x80")
    with pytest.raises(ImageDecodingError, match="without transparency"):
        decode_rgb(buffer.getvalue(), 32)
