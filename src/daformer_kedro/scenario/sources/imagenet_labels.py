"""Labels of ImageNet's validation images where these lie in one flat folder."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from daformer_kedro.errors import InputError

_WNID = re.compile(r"n\d+")
_GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_FOLDERS = ("", "val", "ILSVRC2012_devkit_t12/data")
_LABEL_FILES = ("val_labels.csv", "LOC_val_solution.csv", _GROUND_TRUTH)


def read_validation_labels(root: Path) -> tuple[Path, dict[str, str]]:
    """Read the WordNet id of every validation image.

    The first that is there, in ``root``, ``val/`` or the development kit's ``data/``:

    - ``val_labels.csv`` or Kaggle's ``LOC_val_solution.csv``: lines of a file name,
      with or without its ending, and a WordNet id, which may be followed by boxes;
    - ``ILSVRC2012_validation_ground_truth.txt`` next to ``meta.mat``: one number
      per line for the images 1, 2, …. The numbers are those of the kit, which do not
      follow the WordNet ids, so ``meta.mat`` is needed to read them.

    Returns:
        The file read, and the WordNet id by file name without ending.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    places = [root / folder / name for name in _LABEL_FILES for folder in _FOLDERS]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise InputError(
            f"{root / 'val'}: has no class folders, and a file of labels is missing; "
            f"put one of {', '.join(_LABEL_FILES)} into {root}"
        )
    try:
        if file.name == _GROUND_TRUTH:
            return file, _read_ground_truth(file)
        return file, _read_csv(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error


def _read_csv(file: Path) -> dict[str, str]:
    wnids: dict[str, str] = {}
    with file.open(encoding="utf-8-sig", newline="") as stream:
        for number, line in enumerate(csv.reader(stream), 1):
            words = line[1].split() if len(line) > 1 else []
            if words and _WNID.fullmatch(words[0]):
                wnids[Path(line[0].strip()).stem] = words[0]
            elif line and number > 1:  # the first line may be a heading
                raise InputError(
                    f"{file}: line {number}: {','.join(line)[:80]!r} must be a file "
                    "name, a comma and a WordNet id such as n01440764"
                )
    return wnids


def _read_ground_truth(file: Path) -> dict[str, str]:
    wnid_of = _read_synsets(file.with_name("meta.mat"))
    wnids: dict[str, str] = {}
    for number, line in enumerate(file.read_text(encoding="ascii").split(), 1):
        if not line.isdigit() or int(line) not in wnid_of:
            raise InputError(
                f"{file}: line {number}: {line!r} is not a class of meta.mat"
            )
        wnids[f"ILSVRC2012_val_{number:08}"] = wnid_of[int(line)]
    return wnids


def _read_synsets(file: Path) -> dict[int, str]:
    if not file.is_file():
        raise InputError(
            f"{file}: is missing; the numbers in {_GROUND_TRUTH} are the development "
            "kit's own, and only its meta.mat gives their WordNet ids"
        )
    from scipy.io import loadmat

    try:
        synsets = loadmat(file, squeeze_me=True)["synsets"]
        numbers, wnids = synsets["ILSVRC2012_ID"], synsets["WNID"]
        return {int(n): str(w) for n, w in zip(numbers, wnids, strict=True)}
    except Exception as error:  # scipy raises many kinds on damaged files
        raise InputError(
            f"{file}: is not a meta.mat of ILSVRC 2012: {error}"
        ) from error
