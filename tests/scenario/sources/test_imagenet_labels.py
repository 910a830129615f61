"""Labels of a flat validation folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.imagenet_labels import read_validation_labels

FIRST, SECOND = "n02119789", "n01440764"


def write_kit(folder: Path, lines: str) -> None:
    """The files of the development kit that tell the labels."""
    from scipy.io import savemat

    folder.mkdir(parents=True, exist_ok=True)
    kind = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object)]
    # As in the kit, the numbers do not follow the WordNet ids.
    rows = [(1, FIRST, "kit fox, Vulpes macrotis"), (2, SECOND, "tench, Tinca tinca")]
    savemat(folder / "meta.mat", {"synsets": np.array(rows, dtype=kind)})
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text(lines)


@pytest.mark.parametrize("below", ["", "val", "ILSVRC2012_devkit_t12/data"])
def test_the_kit_s_own_numbers_are_looked_up(tmp_path: Path, below: str) -> None:
    write_kit(tmp_path / below, "2\n1\n2\n")
    _, wnids = read_validation_labels(tmp_path)
    assert wnids == {
        "ILSVRC2012_val_00000001": SECOND,
        "ILSVRC2012_val_00000002": FIRST,
        "ILSVRC2012_val_00000003": SECOND,
    }


def test_numbers_without_the_kit_s_table_are_not_guessed_at(tmp_path: Path) -> None:
    write_kit(tmp_path, "2\n")
    (tmp_path / "meta.mat").unlink()
    with pytest.raises(InputError, match=r"meta.mat: is missing; the numbers in"):
        read_validation_labels(tmp_path)
    (tmp_path / "meta.mat").write_bytes(b"no matlab file")
    with pytest.raises(InputError, match=r"meta.mat: is not a meta.mat of ILSVRC 2012"):
        read_validation_labels(tmp_path)


@pytest.mark.parametrize("line", ["3", "0", "n01440764"])
def test_numbers_that_the_kit_does_not_have(tmp_path: Path, line: str) -> None:
    write_kit(tmp_path, f"1\n{line}\n")
    with pytest.raises(
        InputError, match=rf"line 2: '{line}' is not a class of meta.mat"
    ):
        read_validation_labels(tmp_path)


def test_tables_may_have_a_heading_blank_lines_and_boxes(tmp_path: Path) -> None:
    table = tmp_path / "val_labels.csv"
    expected = {"a": FIRST, "b": SECOND}
    for text in (
        f"a.JPEG,{FIRST}\nb.JPEG,{SECOND}\n",
        f"file,wnid\r\na,{FIRST}\r\n\r\nb,{SECOND}\r\n\r\n",
        f"\ufeffval/a.JPEG,{FIRST} 1 2 3 4\nval/b.JPEG, {SECOND} 5 6 7 8\n",
    ):
        table.write_text(text, encoding="utf-8")
        assert read_validation_labels(tmp_path) == (table, expected)


@pytest.mark.parametrize("line", ["b.JPEG,7", "b.JPEG", "b.JPEG,"])
def test_lines_without_a_wordnet_id_are_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "val_labels.csv").write_text(f"a.JPEG,{FIRST}\n{line}\n")
    with pytest.raises(InputError, match=rf"val_labels.csv: line 2: '{line}' must be"):
        read_validation_labels(tmp_path)


def test_no_labels_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"put one of val_labels.csv, LOC_val_solut"):
        read_validation_labels(tmp_path)
    (tmp_path / "val_labels.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"val_labels.csv: cannot be read"):
        read_validation_labels(tmp_path)
