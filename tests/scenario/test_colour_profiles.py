"""Colours as a file's profile means them."""

from __future__ import annotations

import io
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from daformer_kedro.augmentation.file_images import FileImages
from daformer_kedro.scenario import colour_profiles
from daformer_kedro.scenario.image_decoding import decode_rgb, open_rgb

# Of sRGB, adapted to D50: columns of its matrix, in XYZ.
RED = (0.4360747, 0.2225045, 0.0139322)
GREEN = (0.3850649, 0.7168786, 0.0971045)
BLUE = (0.1430804, 0.0606169, 0.7141733)
WHITE = (0.9642, 1.0, 0.8249)


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2, from its tags."""
    tags = {b"desc": text("ours"), b"cprt": text(""), b"wtpt": xyz(*WHITE), **tags}
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    header = bytearray(128)
    header[8:12] = b"\x02\x10\0\0"
    header[12:24] = b"mntr" + space + b"XYZ "
    header[36:40] = b"acsp"
    header[68:80] = xyz(*WHITE)[8:]
    whole = bytes(header) + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def text(value: str) -> bytes:
    content = value.encode() + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(content)) + content + b"\0" * 79


def rgb(red: tuple, green: tuple, blue: tuple, power: float = 2.2) -> bytes:
    columns = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), (red, green, blue), strict=True))
    tags = {name: xyz(*column) for name, column in columns.items()}
    return profile(
        b"RGB ", {**tags, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma(power))}
    )


TURNED = rgb(GREEN, BLUE, RED)
"""What is red in numbers is green to the eye, and so on."""


def first(image: Image.Image, **options: object) -> np.ndarray:
    buffer = io.BytesIO()
    image.save(buffer, **{"format": "PNG", **options})
    return np.array(decode_rgb(buffer.getvalue(), "it").getpixel((0, 0)))


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA"])
@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ((255, 0, 0), (0, 255, 0)),
        ((0, 255, 0), (0, 0, 255)),
        ((0, 0, 255), (255, 0, 0)),
    ],
)
def test_primaries_are_those_of_the_profile(
    mode: str, given: tuple[int, ...], meant: tuple[int, ...]
) -> None:
    image = Image.new("RGB", (2, 2), given).convert(mode)
    assert np.abs(first(image, icc_profile=TURNED) - meant).max() <= 1


def test_transparent_colours_lie_on_white_as_the_profile_means_them() -> None:
    half = Image.new("RGBA", (2, 2), (255, 0, 0, 51))
    assert np.abs(first(half, icc_profile=TURNED) - (204, 255, 204)).max() <= 1


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_follows_its_curve(mode: str) -> None:
    linear = profile(b"GRAY", {b"kTRC": gamma(1.0)})
    image = Image.fromarray(np.full((2, 2), 128 * 257, np.uint16))
    if mode != "I;16":
        image = Image.new("L", (2, 2), 128).convert(mode)
    # Half the light: sRGB has it at 1.055 * 0.502 ** (1 / 2.4) - 0.055 = 0.737.
    assert np.abs(first(image, icc_profile=linear) - 188).max() <= 1


def test_inks_are_those_of_the_profile() -> None:
    # A table of two levels an ink: white without any, black with the fourth, else grey.
    levels = [0 if inks % 2 else 128 if inks else 255 for inks in range(16)]
    table = b"".join(bytes((level, 128, 128)) for level in levels)  # L*a*b*
    unit = struct.pack(">9i", *(65536 * (n % 4 == 0) for n in range(9)))
    ramp = bytes(range(256))
    inks = b"mft1\0\0\0\0\x04\x03\x02\0" + unit + 4 * ramp + table + 3 * ramp
    press = profile(b"CMYK", {b"A2B0": inks})
    press = press[:12] + b"prtrCMYKLab " + press[24:]
    for image, expected in (
        (Image.new("CMYK", (2, 2), (0, 0, 0, 0)), 255),
        (Image.new("CMYK", (2, 2), (255, 0, 0, 0)), 119),  # sRGB of L* = 50
        (Image.new("CMYK", (2, 2), (0, 0, 0, 255)), 0),
    ):
        found = first(image, format="TIFF", icc_profile=press)
        assert np.abs(found - expected).max() <= 2
    bare = first(Image.new("CMYK", (2, 2), (255, 0, 0, 0)), format="TIFF")
    assert bare.tolist() == [0, 255, 255]


def test_a_turned_photograph_keeps_its_profile_and_its_transparent_colour() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    red = Image.new("RGB", (2, 3), (255, 0, 0))
    assert np.abs(first(red, icc_profile=TURNED, exif=exif) - (0, 255, 0)).max() <= 1
    found = first(red, icc_profile=TURNED, exif=exif, transparency=(255, 0, 0))
    assert found.tolist() == [255, 255, 255]


def test_pixels_are_those_of_pillow_in_all_formats(tmp_path: Path) -> None:
    wide = rgb((0.61, 0.31, 0.02), (0.205, 0.626, 0.061), (0.149, 0.063, 0.744))
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    for suffix, options in {"png": {}, "tif": {}, "webp": {"lossless": True}}.items():
        path = tmp_path / f"0.{suffix}"
        Image.fromarray(noise).save(path, icc_profile=wide, **options)
        expected = ImageCms.profileToProfile(
            Image.fromarray(noise),
            ImageCms.ImageCmsProfile(io.BytesIO(wide)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
        assert np.abs(np.asarray(expected).astype(int) - noise).max() > 15
        np.testing.assert_array_equal(np.asarray(open_rgb(path)), np.asarray(expected))
        images = FileImages(tmp_path, np.array([path.name]), image_size=16)
        (batch,) = images.test_batches(1)  # as training and evaluation read it
        np.testing.assert_array_equal(batch[0].permute(1, 2, 0), np.asarray(expected))


def test_srgb_itself_changes_nothing() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(noise).save(buffer, "PNG", icc_profile=srgb)
    decoded = decode_rgb(buffer.getvalue(), "it")
    np.testing.assert_array_equal(np.asarray(decoded), noise)
    assert "icc_profile" not in decoded.info


@pytest.mark.parametrize(
    "damaged", [b"no profile", TURNED[:200], profile(b"GRAY", {b"kTRC": gamma(1.0)})]
)
def test_a_profile_that_does_not_fit_is_passed_over(damaged: bytes) -> None:
    image = Image.new("RGB", (2, 2), (10, 20, 30))
    assert first(image, icc_profile=damaged).tolist() == [10, 20, 30]


def test_large_profiles_are_ignored_and_none_is_kept() -> None:
    kept = colour_profiles._transform
    kept.cache_clear()
    red = Image.new("RGB", (2, 2), (255, 0, 0))
    padded = TURNED + bytes(4 << 20)
    assert first(red, format="TIFF", icc_profile=padded).tolist() == [255, 0, 0]
    large = TURNED + bytes((4 << 20) - len(TURNED))
    damaged = bytes(3 << 20)
    tracemalloc.start()
    try:
        for profile in (large, damaged):
            first(red, format="TIFF", icc_profile=profile)
        assert tracemalloc.get_traced_memory()[0] < 1 << 20
    finally:
        tracemalloc.stop()
    assert kept.cache_info().currsize == 2
    for _ in range(2):
        assert np.abs(first(red, icc_profile=TURNED) - (0, 255, 0)).max() <= 1
    assert kept.cache_info().hits == 1
