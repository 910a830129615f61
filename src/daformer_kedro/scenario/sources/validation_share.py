"""Training images that no task trains on: settings and epochs are chosen by them."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from daformer_kedro.config import SourceConfig
from daformer_kedro.errors import InputError
from daformer_kedro.scenario.image_files import ImageFiles
from daformer_kedro.scenario.images import ImageArrays

_KEY = "source.validation_fraction"


_Images = TypeVar("_Images", ImageArrays, ImageFiles)


def set_validation_aside(images: _Images, config: SourceConfig) -> _Images:
    """Mark the validation images among the training images, as the settings say.

    Where the run is evaluated on them, they take the place of the test images, which
    are left out entirely, so that settings can be chosen without them.

    Args:
        images: all images of a source; those of a folder of validation images are
            marked already.
        config: section ``source`` of the parameters.

    Raises:
        InputError: a class has a single training image, there are validation images
            twice over, or none to evaluate on.
    """
    fraction = config.validation_fraction
    if fraction is not None:
        if images.is_validation is not None:
            refuse_second_share(fraction)
        held = _held_out(
            images.train_labels, images.class_names, fraction, config.split_seed
        )
        images = replace(images, is_validation=held)
    if not config.on_validation:
        return images
    if images.is_validation is None:
        refuse_no_share()
    rows = np.flatnonzero(images.is_validation)
    names = ["labels"]
    names += ["paths", "bytes"] if isinstance(images, ImageFiles) else ["images"]
    tested = {f"test_{name}": getattr(images, f"train_{name}")[rows] for name in names}
    return replace(images, **tested)


def refuse_second_share(fraction: float) -> NoReturn:
    """Refuse a share of the training images beside a folder of validation images.

    Raises:
        InputError: always.
    """
    raise InputError(
        f"{_KEY} = {fraction}: source.path has a folder of validation images beside "
        "those to train and to test; leave the fraction out, or remove the folder"
    )


def refuse_no_share() -> NoReturn:
    """Refuse to evaluate on validation images that are not there.

    Raises:
        InputError: always.
    """
    raise InputError(
        "source.evaluate_on = validation: there are no validation images; set "
        f"{_KEY}, or give a folder of them beside those to train and to test"
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
