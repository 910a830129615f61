"""Many files, some of them broken."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daformer_kedro.config import InferenceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.pipelines.inference.nodes import predict_images_node
from daformer_kedro.serving import Classifier, ServedModel
from daformer_kedro.serving.image_paths import find_images, shown
from daformer_kedro.serving.prediction import TABLE_COLUMNS, predict_files

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "YCbCr")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A file of each mode, and four that cannot be read."""
    for mode in MODES:
        image = Image.fromarray(np.arange(300, dtype=np.uint16).reshape(15, 20))
        if mode != "I;16":
            image = Image.fromarray((np.asarray(image) % 256).astype(np.uint8))
            image = image.convert(mode)
        name = mode.replace(";", "")
        image.save(tmp_path / f"ok_{name}.{'png' if mode in MODES[:6] else 'tiff'}")
    Image.new("F", (9, 9)).save(tmp_path / "bad_range.tiff")
    (tmp_path / "bad_empty.png").write_bytes(b"")
    (tmp_path / "bad_text.jpg").write_text("no image")
    whole = (tmp_path / "ok_RGB.png").read_bytes()
    (tmp_path / "bad_cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "notes.md").write_text("passed over")
    (tmp_path / ".hidden.png").write_bytes(b"")
    return tmp_path


def test_every_mode_is_classified_and_bad_files_get_their_row(
    folder: Path, classifier: Classifier
) -> None:
    batches: list[int] = []
    paths = find_images(folder)
    table = predict_files(classifier, paths, batch_size=4, on_batch=batches.append)
    assert list(table.columns) == list(TABLE_COLUMNS)
    assert batches == [4, 4, 4, 2]
    bad = table["image"].str.contains("bad_")
    assert bad.sum() == 4
    assert (table["error"].notna() == bad).all()
    assert table.loc[~bad, "class_1"].notna().all()
    assert table.loc[bad, "class_1"].isna().all()
    assert table.loc[bad, "error"].str.contains("cannot be read as an image").all()
    whole = predict_files(classifier, paths, batch_size=100)
    assert whole["class_1"].equals(table["class_1"])


def test_all_files_may_be_broken(folder: Path, classifier: Classifier) -> None:
    table = predict_files(classifier, [folder / "bad_empty.png", folder / "absent.png"])
    assert table["error"].tolist()[1] == "does not exist"
    assert list(table.columns) == list(TABLE_COLUMNS)


def test_a_table_names_files_that_lie_beside_it(folder: Path) -> None:
    below = folder / "below"
    below.mkdir()
    table = below / "list.csv"
    table.write_text('label,image\n1,../ok_L.png\n2,"a, b.png"\n')
    assert find_images(table) == [below / "../ok_L.png", below / "a, b.png"]
    plain = below / "list.txt"
    plain.write_text("a, b.png\n\n/c.png\n")
    assert find_images(plain) == [below / "a, b.png", Path("/c.png")]
    assert find_images(folder / "notes.md") == [folder / "notes.md"]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("\ufeffimage\r\na.png\r\n", ["a.png"]),
        ("label, image\n1, a.png\n2, b.png \n ,\n", ["a.png", "b.png"]),
        ('image\n"a\nb.png"\n', ["a\nb.png"]),
        ("a\u2028b.png,3\nc\x1cd.png,4\n", ["a\u2028b.png", "c\x1cd.png"]),
    ],
)
def test_tables_may_be_written_in_many_ways(
    tmp_path: Path, content: str, names: list[str]
) -> None:
    table = tmp_path / "list.csv"
    table.write_text(content, encoding="utf-8")
    assert find_images(table) == [tmp_path / name for name in names]


def test_what_holds_no_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no image"):
        find_images(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        find_images(tmp_path / "absent")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="has no image"):
        find_images(tmp_path / "empty.csv")
    with pytest.raises(InputError, match="does not exist"):
        find_images(tmp_path / ("a" * 300))
    (tmp_path / "no_table.csv").write_text('image\n"' + "a.png\n" * 30000)
    with pytest.raises(InputError, match=r"no_table\.csv: cannot be read as a table"):
        find_images(tmp_path / "no_table.csv")


def test_a_table_without_a_known_column_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("label,filepath\n1,a.png\n")
    with pytest.raises(InputError, match=r"no column image, .*: label, filepath"):
        find_images(table)


def test_a_pipe_is_no_image_and_is_not_waited_for(
    tmp_path: Path, classifier: Classifier
) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    table = predict_files(classifier, [tmp_path / "pipe.png"])
    assert table["error"].tolist() == ["is not a regular file"]


def test_a_home_folder_that_nobody_has_is_not_there(model: ServedModel) -> None:
    with pytest.raises(InputError, match="does not exist"):
        predict_images_node(model, InferenceConfig(images="~nobody-of-that-name/a.png"))


def test_a_name_of_any_bytes_can_be_written(tmp_path: Path) -> None:
    path = Path(b"a\xff.png".decode("utf-8", "surrogateescape"))
    assert shown(path) == "a\\xff.png"
