"""Settings of the images: where they come from, their order, how they change."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic.dataclasses import dataclass

from daformer_kedro.validation import (
    STRICT,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)


@dataclass(frozen=True, config=STRICT)
class SourceConfig:
    """Source of the images.

    Attributes:
        name: kind of source, see :mod:`daformer_kedro.scenario.sources`; ``digits`` is
            embedded, the others need ``path``.
        path: folder of the data set; relative paths start at the working
            directory.
        test_fraction: share of each class held out, for sources without a test set.
        validation_fraction: share of each class's training images that no task trains
            on, to make choices by; ``None`` for none, or those of a folder of
            validation images.
        evaluate_on: the images that the results are of: ``test``, or ``validation``,
            which leaves the test images out entirely; ``None`` is ``validation`` with
            ``validation_fraction``.
        split_seed: seed of these two splits; it is apart from the training seed, so
            that runs with several seeds are tested on the same images.
        classes: the subset to keep, as class names or labels; ``None`` keeps all.
        download: fetch the data set through torchvision when it is not at ``path``.
        dataset: of source ``continuum``, which data set: see docs/sources.md.
        on_error: files that cannot be read end the run (``fail``), or are left out
            and listed (``skip``), which decodes every file once.
        cache_size: of images that stay files, make copies with this short side when
            they are listed, and read those; ``None`` reads the files themselves.
    """

    name: str = "digits"
    path: str | None = None
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    evaluate_on: Literal["test", "validation"] | None = None
    split_seed: NonNegativeInt = 0
    classes: tuple[str | int, ...] | None = None
    download: bool = False
    dataset: str | None = None
    on_error: Literal["fail", "skip"] = "fail"
    cache_size: PositiveInt | None = None

    @property
    def on_validation(self) -> bool:
        """Return whether validation images replace the test images."""
        if self.evaluate_on is None:
            return self.validation_fraction is not None
        return self.evaluate_on == "validation"

    @field_validator("classes", mode="before")
    @classmethod
    def _check_classes(cls, classes: Any) -> Any:
        for entry in classes if isinstance(classes, list | tuple) else ():
            if isinstance(entry, bool) or not isinstance(entry, str | int):
                raise ValueError(
                    f"{entry!r} is neither a name nor a label; YAML reads yes, no, on, "
                    "off, null and 1e3 as other values, so write such names in quotes"
                )
        return classes


@dataclass(frozen=True, config=STRICT)
class ScenarioConfig:
    """Division of the classes into tasks.

    Attributes:
        class_order: ``identity`` (label order), ``shuffle`` (drawn from the run's
            seed), the number of a published order of the source, or an explicit
            permutation of the labels.
        initial_increment: classes of the first task; ``None`` means ``increment``.
        increment: classes of every later task, or one number per later task.
        tasks: of source ``image_folder``, the folders that arrived one after another;
            each is a task, and classes go by arrival, whatever the settings above.
    """

    class_order: Literal["identity", "shuffle"] | int | tuple[int, ...] = "identity"
    initial_increment: PositiveInt | None = None
    increment: PositiveInt | tuple[PositiveInt, ...] = 2
    tasks: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> ScenarioConfig:
        if self.tasks is not None and self.class_order != "identity":
            raise ValueError(
                f"class_order = {self.class_order!r} must be identity with tasks = "
                f"{list(self.tasks)}, whose classes go by arrival"
            )
        return self


@dataclass(frozen=True, config=STRICT)
class PreprocessingConfig:
    """Steps from an image to what the network reads.

    Attributes:
        mean: of ``(x / 255 - mean) / std``, one number per channel.
        std: its divisor, one number per channel.
        image_size: side of the square that is cut from images that are files; images
            in arrays have a size of their own.
        resize: short side of such an image before the centre crop of the test
            transform; ``None`` for ``image_size``.
    """

    mean: tuple[float, ...] = (0.5,)
    std: tuple[PositiveFloat, ...] = (0.5,)
    image_size: PositiveInt | None = None
    resize: PositiveInt | None = None

    @model_validator(mode="after")
    def _check(self) -> PreprocessingConfig:
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"mean has {len(self.mean)} channels and std has {len(self.std)}"
            )
        if self.resize is not None and self.resize < (self.image_size or 0):
            raise ValueError(
                f"resize = {self.resize} must be at least image_size = "
                f"{self.image_size}, which is cut from it"
            )
        return self


@dataclass(frozen=True, config=STRICT)
class RandomAffineConfig:
    """A random affine map, drawn for each image.

    Attributes:
        degrees: largest rotation either way.
        translate: largest shift either way, as a share of the image side.
        scale: smallest and largest zoom factor.
        shear: largest horizontal shear either way, in degrees.
    """

    degrees: NonNegativeFloat = 0.0
    translate: Fraction = 0.0
    scale: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    shear: NonNegativeFloat = 0.0


@dataclass(frozen=True, config=STRICT)
class AugmentationConfig:
    """Changes of images in training; each choice is drawn for each image.

    Attributes:
        crop_padding: pad every side by this many zero pixels, then crop at random.
        random_resized_crop: area range of a random resized crop, ``None`` for none.
        horizontal_flip: probability of a flip.
        random_affine: see :class:`RandomAffineConfig`, ``None`` for none.
        rand_augment: timm's policy string, such as ``rand-m9-mstd0.5-inc1``.
        random_erasing: probability of erasing a rectangle.
        mixup_alpha: Beta parameter of mixup, 0 for none.
        cutmix_alpha: Beta parameter of CutMix, 0 for none; with both above 0 each
            batch takes one of the two with equal chance.
        repeats: versions of one image in an epoch (repeated augmentation), 1 for none.
        stored_views: versions of a training image that an encoder which stays as it is
            embeds and stores: the image as it is, then augmented ones.
    """

    crop_padding: NonNegativeInt = 0
    random_resized_crop: tuple[Fraction, Fraction] | None = None
    horizontal_flip: Fraction = 0.0
    random_affine: RandomAffineConfig | None = None
    rand_augment: str | None = None
    random_erasing: Fraction = 0.0
    mixup_alpha: NonNegativeFloat = 0.8
    cutmix_alpha: NonNegativeFloat = 0.0
    repeats: PositiveInt = 1
    stored_views: PositiveInt = 1
