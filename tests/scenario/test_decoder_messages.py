"""Messages of decoders are kept with their file, and not printed."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from daformer_kedro.errors import InputError
from daformer_kedro.scenario import decoder_messages
from daformer_kedro.scenario.decoder_messages import collect_messages
from daformer_kedro.scenario.image_decoding import open_rgb


def broken_tiff(path: Path) -> Path:
    """Compressed rows that do not decompress, between a sound header and directory."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, compression="tiff_adobe_deflate")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20] = bytes(20)
    path.write_bytes(content)
    return path


def test_libtiff_names_the_file_and_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if decoder_messages._libtiff() is None:
        pytest.skip("Pillow's libtiff is not found on this machine")
    names = [f"{number}.tif" for number in range(8)]
    for name in names:
        broken_tiff(tmp_path / name)

    def message(name: str) -> str:
        with pytest.raises(InputError) as caught:
            open_rgb(tmp_path / name)
        return str(caught.value)

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(message, names))
    for name, text in zip(names, said, strict=True):
        assert f"{name}: cannot be read as an image" in text
        assert text.count("ZIPDecode: ") == 1
    assert capfd.readouterr() == ("", "")


def test_what_is_said_of_a_readable_file_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (2, 2)).save(path)
    logger = logging.getLogger("PIL.TiffImagePlugin")
    load = ImageFile.ImageFile.load

    def grumble(image: ImageFile.ImageFile) -> object:
        logger.warning("an odd tag")
        logger.warning("an odd tag")
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", grumble)
    for _ in range(2):
        open_rgb(path)
    assert [r.getMessage() for r in caplog.records] == [
        f"{path}: is read, although: an odd tag"
    ]


def test_messages_go_to_the_innermost_collection() -> None:
    logger = logging.getLogger("PIL.TiffImagePlugin")
    with collect_messages() as outer:
        with collect_messages() as inner:
            logger.error("one")
        logger.error("two")
    assert (outer, inner) == (["two"], ["one"])
