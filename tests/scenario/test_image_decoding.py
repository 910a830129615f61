"""Files of every kind become RGB pixels, or are named."""

from __future__ import annotations

import ast
import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, TiffImagePlugin

import daformer_kedro
from daformer_kedro.errors import InputError
from daformer_kedro.scenario import image_decoding, image_formats, pixel_modes
from daformer_kedro.scenario.image_decoding import (
    decode_rgb,
    decode_square,
    open_rgb,
)

RED = (200, 30, 60)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def pixel(path: Path) -> tuple[int, ...]:
    image = open_rgb(path)
    assert image.mode == "RGB"
    return image.getpixel((0, 0))


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("rgb.png", Image.new("RGB", (3, 2), RED), RED),
        ("grey.png", Image.new("L", (3, 2), 77), (77, 77, 77)),
        ("bits.png", Image.new("1", (3, 2), 1), (255, 255, 255)),
        ("alpha.png", Image.new("RGBA", (3, 2), (200, 30, 60, 0)), (255, 255, 255)),
        ("grey_alpha.png", Image.new("LA", (3, 2), (9, 255)), (9, 9, 9)),
        ("palette.png", Image.new("RGB", (3, 2), RED).quantize(4), RED),
        ("deep.png", Image.fromarray(np.full((2, 3), 65535, np.uint16)), (255,) * 3),
        ("mid.png", Image.fromarray(np.full((2, 3), 25700, np.uint16)), (100,) * 3),
        ("dark.png", Image.fromarray(np.full((2, 3), 200, np.uint16)), (1, 1, 1)),
        ("deep.tif", Image.fromarray(np.full((2, 3), 51400, np.int32)), (200,) * 3),
        ("cmyk.tif", Image.new("CMYK", (3, 2), (0, 255, 255, 0)), (255, 0, 0)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_mode_becomes_rgb(
    tmp_path: Path, name: str, image: Image.Image, expected: tuple[int, ...]
) -> None:
    assert pixel(saved(tmp_path / name, image)) == expected


def test_the_content_tells_the_format(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (2, 2), RED).save(path, format="PNG")
    assert pixel(path) == RED


def test_a_camera_s_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 1))
    image.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees, clockwise
    upright = open_rgb(saved(tmp_path / "a.png", image, exif=exif))
    assert upright.size == (1, 2)
    assert upright.getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize(
    "exif",
    [
        b"garbage",
        b"II*\x00\x08\x00\x00\x00\xff\x00abc",  # 255 entries, and none there
        b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x02\x00\xff\xff\x00\x00\xff\xff",
    ],
)
def test_damaged_exif_data_is_no_loss(tmp_path: Path, exif: bytes) -> None:
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (8, 8), RED))
    content, part = path.read_bytes(), b"Exif\x00\x00" + exif
    part = b"\xff\xe1" + (len(part) + 2).to_bytes(2, "big") + part
    path.write_bytes(content[:2] + part + content[2:])
    assert open_rgb(path).size == (8, 8)


def test_partly_transparent_pixels_mix_with_white(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.new("RGBA", (1, 1), (0, 0, 0, 51)))
    assert pixel(path) == (204, 204, 204)  # a fifth of black


@pytest.mark.parametrize(
    ("mode", "colour"), [("P", b"\x00"), ("L", 7), ("RGB", (7, 7, 7))]
)
def test_one_colour_may_mean_transparent(
    tmp_path: Path, mode: str, colour: object
) -> None:
    image = Image.new(mode, (1, 1), 0 if mode == "P" else colour)
    assert pixel(saved(tmp_path / "a.png", image, transparency=colour)) == (255,) * 3


def png(depth: int, kind: int, row: bytes, transparent: tuple[int, ...]) -> bytes:
    """A PNG of two pixels in a row, in any depth, with a transparent colour."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + name + content + check

    header = struct.pack(">IIBBBBB", 2, 1, depth, kind, 0, 0, 0)
    colour = struct.pack(f">{len(transparent)}H", *transparent)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"tRNS", colour),
            chunk(b"IDAT", zlib.compress(b"\x00" + row)),
            chunk(b"IEND", b""),
        )
    )


@pytest.mark.parametrize(
    ("depth", "kind", "row", "transparent", "second"),
    [
        (1, 0, b"\x40", (0,), (255, 255, 255)),
        (2, 0, b"\x60", (1,), (170, 170, 170)),  # levels 1 and 2 of 3
        (4, 0, b"\x5a", (5,), (170, 170, 170)),  # levels 5 and 10 of 15
        (8, 0, b"\x05\x0a", (5,), (10, 10, 10)),
        (16, 0, b"\x00\x05\x64\x64", (5,), (100, 100, 100)),
        (8, 2, bytes((1, 2, 3, 4, 5, 6)), (1, 2, 3), (4, 5, 6)),
        (
            16,
            2,
            struct.pack(">6H", 1000, 2000, 3000, 256, 512, 768),
            (1000, 2000, 3000),
            (1, 2, 3),
        ),
    ],
)
def test_a_transparent_colour_has_the_depth_of_its_file(
    depth: int,
    kind: int,
    row: bytes,
    transparent: tuple[int, ...],
    second: tuple[int, int, int],
) -> None:
    image = decode_rgb(png(depth, kind, row, transparent), "it")
    assert [image.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), second]


def test_of_an_animation_the_first_picture_counts(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (2, 2), RED), Image.new("RGB", (2, 2))
    path = tmp_path / "a.gif"
    first.save(path, save_all=True, append_images=[second])
    assert pixel(path) == RED


def test_a_large_photograph_is_read_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "a.png", Image.new("RGB", (15, 10), RED))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert pixel(path) == RED
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 74)  # twice that is refused
    with pytest.raises(InputError, match=r"a\.png: .* \(150 pixels\) exceeds limit"):
        open_rgb(path)


def test_a_caller_may_take_fewer_pixels() -> None:
    buffer = io.BytesIO()
    Image.new("1", (3000, 2000)).save(buffer, "PNG")
    assert decode_rgb(buffer.getvalue(), "it", most_pixels=6_000_000).width == 3000
    with pytest.raises(
        InputError,
        match=r"it: .* is 3000 × 2000 pixels; at most 5.5 million are taken",
    ):
        decode_rgb(buffer.getvalue(), "it", most_pixels=5_500_000)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "I;16", "CMYK"])
def test_rows_of_large_images_are_converted_as_the_whole(
    monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    draw = np.random.default_rng(0)
    image = Image.fromarray(draw.integers(0, 256, (13, 7, 4), dtype=np.uint8))
    options: dict[str, object] = {"format": "TIFF" if mode == "CMYK" else "PNG"}
    if mode == "I;16":
        image = Image.fromarray(draw.integers(0, 65536, (13, 7), dtype=np.uint16))
        options["transparency"] = image.getpixel((3, 11))
    elif mode == "P":
        image = image.convert("RGB").quantize(50)
        options["transparency"] = bytes(range(50))
    else:
        image = image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, **options)
    whole = decode_rgb(buffer.getvalue(), "it")
    for num_pixels in (1, 4 * 7):  # rows of one pixel at least; a last part of one row
        monkeypatch.setattr(pixel_modes, "_PIXELS_AT_ONCE", num_pixels)
        parts = decode_rgb(buffer.getvalue(), "it")
        assert np.array_equal(np.asarray(parts), np.asarray(whole))


@pytest.mark.skipif(sys.platform != "linux", reason="memory has no limit there")
def test_a_transparent_image_takes_about_ten_bytes_a_pixel(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.new("RGBA", (4000, 4000)), compress_level=1)
    script = f"""
import psutil, resource
from pathlib import Path
from daformer_kedro.scenario.image_decoding import open_rgb
most = psutil.Process().memory_info().vms + 16 * 4000 * 4000
resource.setrlimit(resource.RLIMIT_AS, (most, most))
open_rgb(Path({str(path)!r}))
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_decoders_say_is_logged_of_some_files(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(image_decoding, "_MOST_LOGGED", 3)
    monkeypatch.setattr(image_decoding, "_logged", set())
    for name in ("a", "a", "b", "c", "d", "a", "e"):
        image_decoding._log_once(name, "odd tags")
    assert caplog.messages == [
        *(f"{name}: is read, although: odd tags" for name in "abc"),
        "no more files are logged of which decoders say something",
    ]
    assert image_decoding._logged == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (np.array([[0, 70000]], np.int32), "levels from 0 to 70000; they must fit 16"),
        (np.array([[-1, 5]], np.int32), "levels from -1 to 5; they must fit 16 bits"),
        (np.zeros((1, 2), np.float32), "holds floating-point numbers"),
    ],
)
def test_levels_of_unknown_range_are_refused(
    tmp_path: Path, levels: np.ndarray, message: str
) -> None:
    path = saved(tmp_path / "a.tif", Image.fromarray(levels))
    with pytest.raises(InputError, match=rf"a\.tif: .*{message}"):
        open_rgb(path)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("a.nef", "TIFF", "it is a camera's raw format"),  # a preview comes first
        ("a.cr3", None, "it is a camera's raw format"),
        ("a.eps", "EPS", r"\.eps is not read; convert it to JPEG"),  # a program
        ("a.jpg", "EPS", "its format is not known"),
        ("a.tga", "TGA", r"\.tga is not read"),
        ("a.ico", "ICO", r"\.ico is not read"),
    ],
)
def test_previews_and_programs_are_no_images(
    tmp_path: Path, name: str, kind: str | None, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"\0" * 40)
    if kind is not None:
        Image.new("RGB", (4, 4), RED).save(path, kind)
    with pytest.raises(InputError, match=rf"{name}: cannot be read .*: {message}"):
        open_rgb(path)


def iptc(held: bytes) -> bytes:
    """An IPTC file of 32 × 32 pixels that holds another file."""

    def field(record: int, number: int, value: bytes) -> bytes:
        return bytes((0x1C, record, number)) + len(value).to_bytes(2, "big") + value

    side = (32).to_bytes(2, "big")
    head = field(3, 60, b"\1\0") + field(3, 20, side) + field(3, 30, side)
    return head + field(3, 120, b"\5") + field(8, 10, held) + field(9, 10, b"x")


def test_a_program_inside_of_another_file_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {ran}\necho 10.0\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # found once a process
    buffer = io.BytesIO()
    Image.new("L", (32, 32)).save(buffer, "EPS")
    with pytest.raises(InputError, match="its format is not known"):
        decode_rgb(iptc(buffer.getvalue()), "photo.jpg")
    assert not ran.exists()


def test_a_photograph_of_several_pictures_is_its_first() -> None:
    buffer = io.BytesIO()
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8))
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    found = decode_rgb(buffer.getvalue(), "it").getpixel((0, 0))
    assert np.abs(np.array(found) - RED).max() <= 3


def test_every_file_is_opened_as_one_of_some_formats() -> None:
    calls = [
        (path.name, call)
        for path in Path(daformer_kedro.__file__).parent.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "Image.open"
    ]
    assert len(calls) >= 3
    for name, call in calls:
        assert "formats" in [keyword.arg for keyword in call.keywords], name


def test_a_negative_in_dng_is_told_by_its_tag(tmp_path: Path) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[50706] = b"\x01\x04\x00\x00"
    path = saved(tmp_path / "a.tif", Image.new("RGB", (4, 4), RED), tiffinfo=tags)
    with pytest.raises(InputError, match="it is a camera's raw format"):
        open_rgb(path)


def test_heic_is_read_where_the_extra_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pillow_heif")
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (64, 64), RED), format="HEIF")
    assert np.abs(np.array(pixel(path)) - RED).max() <= 3
    monkeypatch.setattr(image_formats, "_READS_HEIF", False)
    readable = tuple(name for name in image_formats.formats() if name != "HEIF")
    monkeypatch.setattr(image_decoding, "formats", lambda: readable)
    with pytest.raises(InputError, match=r"it is HEIC, which pip install .*\[heif\]"):
        open_rgb(path)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    whole = saved(tmp_path / "whole.jpg", Image.fromarray(noise)).read_bytes()
    for name, content in {
        "cut.jpg": whole[: len(whole) // 2],
        "empty.jpg": b"",
        "text.png": b"not an image",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}: cannot be read as an image"):
            open_rgb(tmp_path / name)
    with pytest.raises(InputError, match=r"gone\.png: does not exist"):
        open_rgb(tmp_path / "gone.png")


def test_a_square_is_decoded_exactly_and_its_size_is_checked(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    path = saved(tmp_path / "a.png", Image.fromarray(noise))
    np.testing.assert_array_equal(decode_square(path.read_bytes(), "it", 8), noise)
    np.testing.assert_array_equal(decode_square(path, "it", 8), noise)
    with pytest.raises(InputError, match=r"it: .* is 8 × 8 pixels; it must be 9 × 9"):
        decode_square(path, "it", 9)
