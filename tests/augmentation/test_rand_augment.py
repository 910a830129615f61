"""RandAugment against timm's operations on Pillow images."""

import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import auto_augment

from daformer_kedro.augmentation.rand_augment import Policy, RandAugment, parse_policy
from daformer_kedro.augmentation.rand_augment_operations import (
    _FAMILIES,
    NO_OPERATION,
    OPERATIONS,
    apply_operations,
    group_by_operation,
)
from daformer_kedro.errors import InputError

RECIPE = "rand-m9-mstd0.5-inc1"
MEAN = (0.5071, 0.4867, 0.4408)
FILL = (129, 124, 112)  # round(255 * MEAN)
ARGUMENTS = {
    "AutoContrast": [0.0],
    "Equalize": [0.0],
    "Invert": [0.0],
    "Posterize": [1, 2, 4, 7, 8],
    "Solarize": [0, 1, 26, 128, 255, 256],
    "SolarizeAdd": [0, 1, 99, 110, 128],
    "Color": [0.1, 0.19, 1.0, 1.81, 1.9],
    "Contrast": [0.1, 0.19, 1.0, 1.81, 1.9],
    "Brightness": [0.1, 0.19, 1.0, 1.81, 1.9],
    "Sharpness": [0.1, 0.19, 1.0, 1.81, 1.9],
    "ShearX": [-0.3, -0.27, 0.0, 0.137, 0.3],
    "ShearY": [-0.3, -0.27, 0.0, 0.137, 0.3],
    "TranslateXRel": [-0.45, -0.4, 0.0, 0.0313, 0.45, 1.5],
    "TranslateYRel": [-0.45, -0.4, 0.0, 0.0313, 0.45, -1.5],
    "Rotate": [-30.0, -27.3, -0.4, 0.0, 11.1, 30.0],
}
GEOMETRIC = ("ShearX", "ShearY", "TranslateXRel", "TranslateYRel", "Rotate")


@pytest.fixture(scope="module", params=[1, 3], ids=["grey", "rgb"])
def images(request):
    """Smooth waves with noise, and flat, dark, two-level and skewed images."""
    rng = np.random.default_rng(request.param)
    y, x = np.mgrid[0:32, 0:32] / 32
    shape = (24, request.param, 32, 32)
    phase, speed = rng.uniform(0, 6, (2, *shape[:2], 1, 1))
    waves = 127 + 110 * np.sin(phase + speed * (x + 2 * y)) + rng.normal(0, 9, shape)
    made = waves.clip(0, 255).astype(np.uint8)
    made[0] = 77
    made[1] //= 3
    made[2] = np.where(made[2] > 100, 200, 30)
    made[3, ..., :20, :] = 255
    made[4] = rng.integers(0, 256, shape[1:])
    made[5, ..., 1:, :] = 9
    return torch.from_numpy(made)


def as_pillow(image):
    array = image.numpy()
    return Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0))


def as_tensor(picture):
    array = np.atleast_3d(np.asarray(picture)).transpose(2, 0, 1)
    return torch.from_numpy(array.copy())


def with_timm(images, name, argument):
    """Pillow's result of one operation."""
    grey = images.shape[1] == 1
    extra = {"fillcolor": FILL[0] if grey else FILL, "resample": Image.BICUBIC}
    argument = (
        int(argument) if name in ("Posterize", "Solarize", "SolarizeAdd") else argument
    )
    given = () if name in ("AutoContrast", "Equalize", "Invert") else (argument,)
    operation = auto_augment.NAME_TO_OP[name]
    made = [operation(as_pillow(image), *given, **extra) for image in images]
    return torch.stack([as_tensor(picture) for picture in made])


def with_ours(images, name, argument, apply=apply_operations):
    numbers = torch.full((1, len(images)), OPERATIONS.index(name))
    arguments = torch.full((1, len(images)), argument, dtype=torch.float64)
    fill = torch.tensor(FILL[: images.shape[1]], dtype=torch.uint8)
    return apply(images.clone(), numbers, arguments, fill)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in GEOMETRIC])
def test_operation_on_values_equals_timm(images, name):
    for argument in ARGUMENTS[name]:
        ours = with_ours(images, name, argument)
        assert torch.equal(ours, with_timm(images, name, argument)), argument


@pytest.mark.parametrize("name", GEOMETRIC)
def test_geometric_operation_equals_timm(images, name):
    """Float32 against Pillow's float64: at most a level, in four values of 1000."""
    for argument in ARGUMENTS[name]:
        ours = with_ours(images, name, argument).int()
        difference = (ours - with_timm(images, name, argument).int()).abs()
        assert difference.max() <= 1, argument
        assert (difference > 0).float().mean() < 4e-3, argument


def test_posterize_to_no_bits_is_black(images):
    """Magnitude 10 of the increasing policy; Pillow 13 refuses what it did before."""
    assert not with_ours(images, "Posterize", 0.0).any()


def test_operations_are_timms():
    assert set(OPERATIONS) == set(auto_augment._RAND_TRANSFORMS)
    renamed = [
        name.removesuffix("Increasing")
        for name in auto_augment._RAND_INCREASING_TRANSFORMS
    ]
    assert sorted(OPERATIONS) == sorted(renamed)


def level_argument(name, magnitude, increasing):
    """timm's argument, with the sign taken off where it is drawn by chance."""
    if increasing and name + "Increasing" in auto_augment.LEVEL_TO_ARG:
        name = name + "Increasing"
    function = auto_augment.LEVEL_TO_ARG[name]
    return 0.0 if function is None else function(magnitude, {})[0]


@pytest.mark.parametrize("increasing", [False, True])
@pytest.mark.parametrize("magnitude", [0, 3, 9, 10])
def test_arguments_are_timms(monkeypatch, magnitude, increasing):
    policy = Policy(magnitude, 1, 1.0, increasing=increasing)
    numbers, arguments = RandAugment(policy, MEAN, "cpu").draw(
        2000, torch.Generator().manual_seed(0)
    )
    for number, name in enumerate(OPERATIONS):
        expected = set()
        for uniform in (0.1, 0.9):
            monkeypatch.setattr(auto_augment.random, "random", lambda u=uniform: u)
            expected.add(float(level_argument(name, magnitude, increasing)))
        drawn = set(arguments[numbers == number].tolist())
        assert sorted(drawn) == pytest.approx(sorted(expected), abs=1e-12), name


def test_draws_are_as_frequent_as_the_policy_says():
    augment = RandAugment(parse_policy("rand-m9-n3-p0.4-mstd0.5-inc1"), MEAN, "cpu")
    numbers, arguments = augment.draw(20_000, torch.Generator().manual_seed(1))
    share = torch.bincount(numbers.flatten(), minlength=16) / numbers.numel()
    # standard errors: 0.0007 of an operation, 0.002 of none
    assert share[:15].tolist() == pytest.approx([0.4 / 15] * 15, abs=0.003)
    assert share[NO_OPERATION].item() == pytest.approx(0.6, abs=0.01)
    shear = arguments[numbers == OPERATIONS.index("ShearX")] / 0.03
    assert (shear > 0).double().mean().item() == pytest.approx(0.5, abs=0.05)
    # N(9, 0.5) clipped at 10, which 2.3 % would pass
    assert shear.abs().median().item() == pytest.approx(9, abs=0.06)
    assert shear.abs().max().item() == pytest.approx(10)
    assert (shear.abs() > 9.999).double().mean().item() == pytest.approx(
        0.023, abs=0.015
    )


def test_uniform_magnitudes():
    policy = parse_policy("rand-m8-p1-mstd101")
    assert policy.magnitude_std == math.inf
    numbers, arguments = RandAugment(policy, MEAN, "cpu").draw(
        30_000, torch.Generator().manual_seed(1)
    )
    shear = arguments[numbers == OPERATIONS.index("ShearY")].abs() / 0.03
    assert shear.mean().item() == pytest.approx(4, abs=0.15)
    assert shear.max() <= 8


def all_on_all(images, numbers, arguments, fill):
    """Run every operation on every image and keep its result where it was drawn."""
    for number, argument in zip(numbers, arguments, strict=True):
        first = 0
        for count, function in _FAMILIES:
            drawn = (number >= first) & (number < first + count)
            result = function(images, number, argument, fill)
            images = torch.where(drawn.view(-1, 1, 1, 1), result, images)
            first += count
    return images


def test_sorted_images_are_those_of_all_operations_on_all_to_the_bit(images):
    many = images.repeat(10, 1, 1, 1)
    augment = RandAugment(
        parse_policy("rand-m9-n4-p0.9-mstd1"), MEAN[: images.shape[1]], "cpu"
    )
    drawn = augment.draw(len(many), torch.Generator().manual_seed(3))
    fill = torch.tensor(FILL[: images.shape[1]], dtype=torch.uint8)
    expected = all_on_all(many.clone(), *drawn, fill)
    assert torch.equal(apply_operations(many.clone(), *drawn, fill), expected)
    assert not torch.equal(expected, many)


def test_draws_are_grouped_by_hand():
    numbers = torch.tensor([[2, 0, 15, 0], [15, 1, 1, 15]])
    arguments = torch.arange(8.0, dtype=torch.float64).view(2, 4)
    groups = group_by_operation(numbers, arguments)
    # The images in the order 1, 3, 0, 2; of these the first and the last have operation
    # 1 next, which makes it 1, 2, 3, 0.
    assert groups.numbers.tolist() == [[0, 0, 2, 15], [1, 1, 15, 15]]
    assert groups.arguments.tolist() == [[1, 3, 0, 2], [5, 6, 7, 4]]
    assert groups.orders.tolist() == [[1, 3, 0, 2], [0, 3, 1, 2], [3, 0, 1, 2]]
    assert [{i: n for i, n in enumerate(c) if n} for c in groups.counts] == [
        {0: 2, 2: 1, 15: 1},
        {1: 2, 15: 2},
    ]


def test_images_elsewhere_are_not_read(images):
    """Only shapes exist on the meta device; a value that is asked for is an error."""
    augment = RandAugment(parse_policy(RECIPE), MEAN[: images.shape[1]], "meta")
    generator = torch.Generator().manual_seed(3)
    assert augment(images.to("meta"), generator).shape == images.shape


def test_statistics_agree_with_timms_pipeline(monkeypatch):
    """Mean, deviation and share of unchanged pictures over 4,000 draws of one image."""
    posterize = auto_augment.NAME_TO_OP["PosterizeIncreasing"]
    monkeypatch.setitem(
        auto_augment.NAME_TO_OP,
        "PosterizeIncreasing",
        lambda image, bits, **rest: (
            posterize(image, bits, **rest) if bits else image.point(lambda v: 0)
        ),
    )
    y, x = np.mgrid[0:32, 0:32] / 32
    noise = np.random.default_rng(0).normal(0, 10, (3, 32, 32))
    picture = 120 + 90 * np.sin(np.stack((4 * x, 5 * y, 3 * (x + y)))) + noise
    image = torch.from_numpy(picture.clip(0, 255).astype(np.uint8))
    settings = {"img_mean": FILL, "interpolation": Image.BICUBIC}
    theirs = auto_augment.rand_augment_transform(RECIPE, settings)
    # generators of our own in the place of the library's global ones
    monkeypatch.setattr(auto_augment, "random", random.Random(5))
    chooser = SimpleNamespace(random=np.random.default_rng(6))
    monkeypatch.setattr(auto_augment, "np", chooser)
    num = 4000
    pictures = torch.stack([as_tensor(theirs(as_pillow(image))) for _ in range(num)])
    ours = RandAugment(parse_policy(RECIPE), MEAN, "cpu")(
        image.expand(num, -1, -1, -1).contiguous(), torch.Generator().manual_seed(7)
    )
    for statistic in (
        lambda batch: batch.double().mean(dim=(2, 3)),
        lambda batch: batch.double().std(dim=(2, 3)),
        lambda batch: (batch == image).flatten(1).all(1, keepdim=True).double(),
        lambda batch: (
            (batch == torch.tensor(FILL).view(3, 1, 1)).all(1).double().mean((1, 2))
        ),
    ):
        a, b = statistic(ours), statistic(pictures)
        error = ((a.var(0) + b.var(0)) / num).sqrt()
        assert ((a.mean(0) - b.mean(0)).abs() < 4 * error).all()


def test_equal_generators_give_equal_batches(images):
    augment = RandAugment(parse_policy(RECIPE), MEAN[: images.shape[1]], "cpu")
    first, second, other = (
        augment(images.clone(), torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_policy_strings():
    assert parse_policy(RECIPE) == Policy(9, 2, 0.5, 0.5, 10, True)
    assert parse_policy("rand") == Policy(10, 2, 0.5, 0.0, 10, False)
    assert parse_policy("rand-n3-p0.25-mmax8-inc0-m5") == Policy(
        5, 3, 0.25, 0.0, 8, False
    )


@pytest.mark.parametrize(
    "text",
    [
        "augmix-m3",
        "rand-w0",
        "rand-m9.5",
        "rand-tweights",
        "rand-m",
        "rand-m9-m8",
        "rand-inc2",
        "rand-n0",
        "rand-p1.5",
        "",
        "rand-",
    ],
)
def test_bad_policy_strings_name_the_parameter(text):
    with pytest.raises(InputError, match=r"augmentation\.rand_augment"):
        parse_policy(text)


def test_two_channels_are_refused():
    with pytest.raises(InputError, match="1 or 3 channels"):
        RandAugment(parse_policy(RECIPE), (0.5, 0.5), "cpu")
