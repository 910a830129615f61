"""The composed pipeline, crops, affine maps and erasing."""

import random

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.random_erasing import RandomErasing
from timm.data.transforms import RandomResizedCropAndInterpolation
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as vision

from daformer_kedro.augmentation.crops import draw_crops
from daformer_kedro.augmentation.erasing import random_erasing
from daformer_kedro.augmentation.geometry import (
    affine,
    affine_matrices,
    crop_with_padding,
    resized_crop,
)
from daformer_kedro.augmentation.transform import (
    Augmentation,
    normalise,
    random_affine,
    random_flip,
)
from daformer_kedro.config import (
    AugmentationConfig,
    PreprocessingConfig,
    RandomAffineConfig,
)
from daformer_kedro.errors import InputError

CIFAR = PreprocessingConfig((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))
IDENTITY = PreprocessingConfig((0.0,) * 3, (1.0,) * 3)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(*shape, seed=0):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(seed))


def as_pillow(image):
    array = image.numpy()
    return Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0))


def build(preprocessing=CIFAR, image_size=32, **config):
    return Augmentation(
        AugmentationConfig(**config),
        image_size=image_size,
        preprocessing=preprocessing,
        device="cpu",
    )


def test_normalise_is_torchvisions():
    images = noise(4, 3, 8, 8)
    expected = torch.stack(
        [
            vision.normalize(vision.to_tensor(as_pillow(image)), CIFAR.mean, CIFAR.std)
            for image in images
        ]
    )
    torch.testing.assert_close(normalise(images, CIFAR), expected)


def test_nothing_on_is_the_test_transform():
    images = noise(4, 3, 32, 32)
    assert torch.equal(build()(images, generator()), normalise(images, CIFAR))


def test_crop_by_hand():
    image = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3)
    images = image.repeat(3, 1, 1, 1)
    offsets = torch.tensor([[0, 1, 2], [0, 1, 0]])
    top_left, middle, bottom_left = crop_with_padding(images, offsets, 1)[:, 0].tolist()
    assert top_left == [[0, 0, 0], [0, 1, 2], [0, 4, 5]]
    assert middle == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert bottom_left == [[0, 4, 5], [0, 7, 8], [0, 0, 0]]


def test_crops_are_uniform_and_differ_by_image():
    images = torch.zeros(5000, 1, 6, 6, dtype=torch.uint8)
    images[:, :, 3, 3] = 255
    augment = build(PreprocessingConfig((0.0,), (1.0,)), 6, crop_padding=2)
    where = augment(images, generator()).flatten(1).argmax(1)
    counts = torch.bincount(where, minlength=36).view(6, 6)
    assert not counts[0].any()
    assert not counts[:, 0].any()
    inner = counts[1:, 1:]  # 25 places, 200 each, deviation 14
    assert inner.min() > 140
    assert inner.max() < 260


def test_flip():
    images = noise(2000, 1, 4, 4)
    flipped = random_flip(images, 0.25, generator())
    mirrored = (flipped == images.flip(3)).flatten(1).all(1)
    kept = (flipped == images).flatten(1).all(1)
    assert (mirrored | kept).all()
    assert mirrored.float().mean().item() == pytest.approx(0.25, abs=0.04)
    assert torch.equal(random_flip(images, 1.0, generator()), images.flip(3))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (20, 31)])
def test_affine_is_torchvisions_on_pillow(interpolation, channels, height, width):
    images = noise(5, channels, height, width)
    degrees = torch.tensor([0.0, 10, -25, 3, 90]).double()
    x, y = torch.tensor([[0.0, 1, -2, 0, 3], [0, -1, 2, 2, 0]]).double()
    scale = torch.tensor([1.0, 0.8, 1.3, 1, 0.9]).double()
    shear = torch.tensor([0.0, 5, -12, 20, 1]).double()
    matrices = affine_matrices(degrees, (x, y), scale, shear, height, width)
    fill = torch.tensor([0, 50, 200][:channels], dtype=torch.uint8)
    ours = affine(images, matrices, fill, interpolation)
    for i, image in enumerate(images):
        expected = vision.affine(
            as_pillow(image),
            degrees[i].item(),
            [int(x[i]), int(y[i])],
            scale[i].item(),
            [shear[i].item(), 0.0],
            InterpolationMode(interpolation),
            fill.tolist(),
        )
        difference = vision.pil_to_tensor(expected).int() - ours[i].int()
        # a source right on the border may fall to either side
        assert (difference.abs() > 1).float().mean() < 0.01
        assert (difference != 0).float().mean() < 0.02


def test_random_affine_keeps_to_its_ranges():
    images = torch.zeros(3000, 1, 16, 16, dtype=torch.uint8)
    images[:, :, 7:9, 7:9] = 255
    moved = random_affine(
        images,
        RandomAffineConfig(translate=0.25),
        torch.zeros(1, dtype=torch.uint8),
        generator(),
    )
    mass = moved.double() / moved.double().sum(dim=(2, 3), keepdim=True)
    x = (mass.sum(dim=2)[:, 0] * torch.arange(16)).sum(1) - 7.5
    assert x.abs().max() < 4.1
    # uniform in [-4, 4]
    assert x.mean().item() == pytest.approx(0, abs=0.2)
    assert x.std().item() == pytest.approx(8 / 12**0.5, abs=0.1)
    assert torch.equal(
        random_affine(
            images, RandomAffineConfig(), torch.zeros(1, dtype=torch.uint8), generator()
        ),
        images,
    )


@pytest.mark.parametrize(
    ("boxes", "tolerance", "share"),
    [
        ([(0, 0, 40, 56), (3, 4, 20, 40), (10, 50, 9, 6), (39, 20, 1, 30)], 1, 4e-3),
        # Pillow 13 shortens tall boxes first and so rounds other values in between
        ([(3, 4, 30, 11), (0, 30, 40, 20)], 3, 0.3),
    ],
)
def test_resized_crop_is_pillows(boxes, tolerance, share):
    y, x = np.mgrid[0:40, 0:56] / 40
    rng = np.random.default_rng(0)
    waves = 127 + 100 * np.sin(5 * x + rng.uniform(0, 9, (len(boxes), 3, 1, 1)) * y)
    waves = (waves + rng.normal(0, 20, waves.shape)).clip(0, 255)
    images = torch.from_numpy(waves.astype(np.uint8))
    for size in (16, 48):
        ours = resized_crop(images, torch.tensor(boxes).T, size)
        for image, box, result in zip(images, boxes, ours, strict=True):
            expected = vision.resized_crop(
                as_pillow(image), *box, [size, size], InterpolationMode.BICUBIC
            )
            difference = vision.pil_to_tensor(expected).int() - result.int()
            assert difference.abs().max() <= tolerance
            assert (difference != 0).float().mean() < share


@pytest.mark.parametrize("shape", [(40, 40), (20, 60)])
def test_crops_are_drawn_as_timm_draws_them(shape, monkeypatch):
    num = 3000
    ours = draw_crops(torch.zeros(num, 1, *shape), (0.2, 1.0), generator()).double()
    monkeypatch.setattr("timm.data.transforms.random", random.Random(0))
    picture = Image.new("L", shape[::-1])
    draw = RandomResizedCropAndInterpolation.get_params
    theirs = torch.tensor(
        [draw(picture, (0.2, 1.0), (3 / 4, 4 / 3)) for _ in range(num)]
    ).T.double()
    error = ((ours.var(1) + theirs.var(1)) / num).sqrt()
    assert ((ours.mean(1) - theirs.mean(1)).abs() < 4 * error).all()
    assert ours.std(1).tolist() == pytest.approx(theirs.std(1).tolist(), rel=0.07)
    assert (ours[0] + ours[2]).max() <= shape[0]
    assert (ours[1] + ours[3]).max() <= shape[1]


def test_crop_that_never_fits_is_central():
    # areas near the whole of a 1 : 4 image need a ratio that is not allowed
    boxes = draw_crops(torch.zeros(5, 1, 10, 40), (1.0, 1.0), generator())
    assert boxes.T.tolist() == [[0, 13, 10, 13]] * 5


def test_random_resized_crop_changes_the_size():
    augment = build(image_size=24, random_resized_crop=(0.3, 1.0))
    assert augment(noise(4, 3, 30, 50), generator()).shape == (4, 3, 24, 24)


def test_erasing_is_timms(monkeypatch):
    num = 3000
    images = torch.full((num, 2, 20, 20), 9.0)
    ours = random_erasing(images, 0.6, generator())
    monkeypatch.setattr("timm.data.random_erasing.random", random.Random(1))
    theirs = RandomErasing(0.6, mode="const", device="cpu")(images.clone())
    ours_box, theirs_box = (ours != 9).all(1).double(), (theirs != 9).all(1).double()
    for statistic in (
        lambda box: box.sum((1, 2), keepdim=True)[:, 0],
        lambda box: box.amax((1, 2), keepdim=True)[:, 0],
        lambda box: box.amax(1),
        lambda box: box.amax(2),
    ):
        a, b = statistic(ours_box), statistic(theirs_box)
        error = ((a.var(0) + b.var(0)) / num).sqrt()
        assert ((a.mean(0) - b.mean(0)).abs() < 4.5 * error).all()
    pixels = ours[ours != 9]
    assert pixels.mean().item() == pytest.approx(0, abs=0.01)
    assert pixels.std().item() == pytest.approx(1, abs=0.01)


def test_equal_generators_give_equal_batches():
    augment = build(
        crop_padding=4,
        horizontal_flip=0.5,
        random_affine=RandomAffineConfig(10, 0.1, (0.9, 1.1), 5),
        rand_augment="rand-m9-mstd0.5-inc1",
        random_erasing=0.5,
    )
    images = noise(64, 3, 32, 32)
    before = images.clone()
    first, second, other = (augment(images, generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(images, before)
    assert first.shape == (64, 3, 32, 32)
    assert first.dtype == torch.float32


def test_batch_of_one():
    augment = build(crop_padding=4, horizontal_flip=0.5, rand_augment="rand-m9-p1-inc1")
    draws = generator()
    for _ in range(50):
        assert augment(noise(1, 3, 32, 32), draws).shape == (1, 3, 32, 32)


def test_misfits_are_named():
    with pytest.raises(InputError, match="32 x 32"):
        build()(noise(2, 3, 16, 16), generator())
    with pytest.raises(InputError, match=r"preprocessing\.mean"):
        build()(noise(2, 1, 32, 32), generator())
    with pytest.raises(InputError, match=r"preprocessing\.mean"):
        normalise(noise(2, 1, 8, 8), CIFAR)
    with pytest.raises(InputError, match=r"augmentation\.crop_padding"):
        build(crop_padding=2, random_resized_crop=(0.5, 1.0))
    with pytest.raises(InputError, match=r"augmentation\.random_resized_crop"):
        build(random_resized_crop=(0.0, 1.0))
    with pytest.raises(InputError, match=r"augmentation\.random_affine\.scale"):
        build(random_affine=RandomAffineConfig(scale=(1.2, 0.8)))
    with pytest.raises(InputError, match=r"augmentation\.rand_augment"):
        build(rand_augment="rand-x1")


def test_small_batches_are_augmented_together():
    augment = build(crop_padding=4, rand_augment="rand-m9")
    parts = noise(70, 3, 32, 32).split(30)
    together = augment(torch.cat(parts), generator())
    apart = list(augment.batches(parts, generator()))
    assert [len(part) for part in apart] == [30, 30, 10]
    assert torch.equal(torch.cat(apart), together)


def test_no_more_batches_are_read_ahead_than_are_augmented_together():
    augment, read = build(image_size=512), []

    def batches():
        for number in range(5):
            read.append(number)
            yield torch.full((4, 3, 512, 512), number, dtype=torch.uint8)

    augmented = augment.batches(batches(), generator())
    first = next(augmented)
    assert read == [0, 1]  # two of 4 * 512 * 512 pixels fill a group
    corners = [batch[0, :, :1, :1] for batch in (first, *augmented)]
    levels = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 1, 1)
    assert torch.equal(torch.stack(corners), normalise(levels, CIFAR))


def test_no_batches_and_empty_ones_are_augmented_to_the_same():
    augment = build()
    assert not list(augment.batches([], generator()))
    (empty,) = augment.batches([noise(0, 3, 32, 32)], generator())
    assert empty.shape == (0, 3, 32, 32)
