"""``python -m daformer_kedro predict``, as a person types it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from daformer_kedro.commands.predict import main


@pytest.fixture
def digits(
    finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Two digits and a file that is no image."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(finished.path)
    arrays = finished.folder("02_intermediate") / "images" / "test_images.npy"
    for row, pixels in enumerate(np.load(arrays)[:2]):
        Image.fromarray(pixels[..., 0]).save(tmp_path / f"[b]{row}.png")
    (tmp_path / "broken.png").write_text("no image")
    return {path.name: str(path) for path in tmp_path.iterdir()}


def test_images_get_rows_and_the_model_is_named(
    finished: Any, digits: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    absent = digits["broken.png"].replace("broken", "absent")
    assert main([*sorted(digits.values()), absent, "--top", "2"]) == 0
    said = capsys.readouterr()
    key = finished.folder("06_models").name
    assert said.err.startswith(f"Model: {key} (newest finished run)")
    rows = [line for line in said.out.splitlines() if ".png" in line]
    assert len(rows) == 4
    assert digits["[b]0.png"] in rows[0]
    assert rows[0].count("%") == 2
    assert "cannot be read as an image" in rows[2]
    assert "does not exist" in rows[3]


def test_the_exit_status_says_whether_anything_was_read(
    digits: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([digits["broken.png"]]) == 1
    assert main([digits["[b]0.png"], "--model", "nothing"]) == 1
    assert "no finished run of that key" in capsys.readouterr().err


def test_a_device_that_is_none_is_named(
    digits: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([digits["[b]0.png"], "--device", "gpu"]) == 1
    assert "--device = 'gpu' is not a device" in capsys.readouterr().err


@pytest.mark.parametrize("top", ["0", "6"])
def test_no_other_number_of_classes_is_taken(
    top: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["image.png", "--top", top])
    assert "choose from" in capsys.readouterr().err
