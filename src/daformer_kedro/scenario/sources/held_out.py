"""Training and test images of a source that does not divide them itself."""

from __future__ import annotations

import zlib

import numpy as np

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.sources.class_tree import LabelledPaths, class_name


def hold_out(
    images: LabelledPaths, fraction: float, seed: int, prefix: str = ""
) -> tuple[LabelledPaths, LabelledPaths]:
    """Divide images into training and test images, class by class.

    A file's path alone, in whichever way its characters are composed, decides where it
    goes, so that files that come later move no other. Each class has at least one
    image on either side.

    Args:
        images: of all classes.
        fraction: share to hold out.
        seed: another seed gives another division.
        prefix: beginning of the paths, which plays no part.

    Raises:
        InputError: a class has a single image.
    """
    names = [class_name(str(path).removeprefix(prefix)) for path in images.paths]
    keys = np.array([zlib.crc32(f"{seed}/{name}".encode()) for name in names])
    held = keys < fraction * 2**32
    for label in np.unique(images.labels):
        rows = np.flatnonzero(images.labels == label)
        if len(rows) < 2:
            raise InputError(
                f"{images.paths[rows[0]]}: is the only image of its class; at least "
                "two are needed, one to test with"
            )
        if not held[rows].any():
            held[rows[keys[rows].argmin()]] = True
        if held[rows].all():
            held[rows[keys[rows].argmax()]] = False
    return (
        LabelledPaths(images.paths[~held], images.labels[~held]),
        LabelledPaths(images.paths[held], images.labels[held]),
    )
