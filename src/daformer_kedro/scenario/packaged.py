"""Lists that the package carries: class names and published class orders."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def packaged_folder(name: str) -> Traversable:
    """Return a folder of lists, ``class_names`` or ``class_orders``."""
    return files("daformer_kedro.scenario") / name


def packaged_list(folder: str, name: str) -> tuple[Any, ...]:
    """Read the list ``name`` from a folder, see :func:`packaged_folder`."""
    file = packaged_folder(folder) / f"{name}.json"
    return tuple(json.loads(file.read_text(encoding="utf-8")))
