"""The setting ``source.validation_fraction``: evaluate on training images held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_files import ImageFiles
from daformer_kedro.scenario.images import Images

_KEY = "source.validation_fraction"


def evaluate_on_validation(images: Images, fraction: float, seed: int) -> Images:
    """Hold out a share of each class's training images and evaluate on these.

    The test images are left out entirely, so that settings can be chosen without them.

    Args:
        images: all images of a source.
        fraction: share of each class to hold out, in (0, 1); at least one image of a
            class is held out and at least one stays.
        seed: of the draw; another seed holds out other images.

    Raises:
        InputError: a class has a single training image.
    """
    held = _held_out(images.train_labels, images.class_names, fraction, seed)
    train, validation = np.flatnonzero(~held), np.flatnonzero(held)
    names = ["labels"]
    names += ["paths", "bytes"] if isinstance(images, ImageFiles) else ["images"]
    parts = {name: getattr(images, f"train_{name}") for name in names}
    return replace(
        images,
        **{f"train_{name}": part[train] for name, part in parts.items()},
        **{f"test_{name}": part[validation] for name, part in parts.items()},
    )


def _held_out(
    labels: NDArray[np.int64], class_names: tuple[str, ...], fraction: float, seed: int
) -> NDArray[np.bool_]:
    generator = np.random.default_rng(seed)
    held = np.zeros(len(labels), dtype=bool)
    for label, name in enumerate(class_names):
        rows = generator.permutation(np.flatnonzero(labels == label))
        if len(rows) < 2:
            raise InputError(
                f"{_KEY} = {fraction}: class {name!r} has {len(rows)} training image; "
                "at least two are needed, one to train and one to evaluate"
            )
        num_held = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
        held[rows[:num_held]] = True
    return held
