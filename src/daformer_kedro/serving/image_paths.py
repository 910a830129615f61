"""Images that a person names: a file, a folder, or a table of paths."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.class_tree import list_images, say_counts
from daformer_kedro.serving.path_tables import TABLE_SUFFIXES, read_paths

_LOGGER = logging.getLogger(__name__)


def find_images(given: Path) -> list[Path]:
    """Find the files that ``given`` names, in a fixed order.

    Args:
        given: an image; a folder, of which all images are taken, those in folders
            below too, and other files are counted in the log; or a table of paths
            (``.csv``, ``.tsv``, ``.txt``), see
            :func:`~daformer_kedro.serving.path_tables.read_paths`. Files that a table
            names need not be there.

    Raises:
        InputError: nothing is there, it has no image or is not a table, or a folder in
            it cannot be listed.
    """
    # Unlike Path's, these take a name that is too long for one that is not there.
    if os.path.isdir(given):
        return _in_folder(given)
    if not os.path.exists(given):
        raise InputError(f"{given}: does not exist; give a file, a folder or a CSV")
    if given.suffix.lower() not in TABLE_SUFFIXES:
        return [given]
    found = read_paths(given)
    if not found:
        raise InputError(f"{given}: has no image")
    return found


def shown(path: Path) -> str:
    """Return a path as text that can be written anywhere, whatever bytes it holds."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _in_folder(folder: Path) -> list[Path]:
    found = list_images(folder, any_name=True)
    counts = say_counts(found.passed_over)
    if not found.images:
        raise InputError(
            f"{folder}: has no image" + (f"; passed over: {counts}" if counts else "")
        )
    if counts:
        _LOGGER.warning("%s: passed over, not named like images: %s", folder, counts)
    return [folder / path for path in found.images]
