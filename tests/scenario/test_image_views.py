"""Views of an image as a network reads it: the middle, or a random part."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from daformer_kedro.scenario import image_decoding
from daformer_kedro.scenario.image_decoding import eval_view, random_view

RED = (200, 30, 60)


def test_the_eval_view_is_the_middle() -> None:
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, 2:6] = 255
    view = eval_view(Image.fromarray(pixels), resize=4, size=4)
    assert view.shape == (4, 4, 3)
    assert view.min() == 255
    smaller = eval_view(Image.new("RGB", (30, 50), RED), resize=8, size=6)
    assert smaller.shape == (6, 6, 3)
    assert (smaller == RED).all()


@pytest.mark.parametrize("size", [(50, 37), (37, 50), (61, 40), (40, 40), (33, 90)])
def test_the_eval_view_is_torchvision_s(size: tuple[int, int]) -> None:
    from torchvision.transforms import CenterCrop, InterpolationMode, Resize

    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    for resize, side in ((32, 28), (32, 27), (45, 32), (20, 20)):
        scaled = Resize(resize, InterpolationMode.BICUBIC)(image)
        expected = np.asarray(CenterCrop(side)(scaled))
        np.testing.assert_array_equal(eval_view(image, resize, side), expected)


@pytest.mark.parametrize("size", [(1, 20_000_000), (20_000_001, 1), (2, 65)])
def test_the_eval_view_of_a_line_is_its_middle(size: tuple[int, int]) -> None:
    image = Image.new("L", size)
    across, down = (side // 2 for side in size)
    image.paste(200, (across - 4, down - 4, across + 5, down + 5))
    view = eval_view(image, resize=8, size=8)
    assert view.shape == (8, 8)
    assert view.min() == 200


@pytest.mark.parametrize("size", [(64, 48), (31, 90)])
def test_a_random_view_is_torchvision_s_of_its_box(size: tuple[int, int]) -> None:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.functional import resized_crop

    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    for seed in range(5):
        chance = np.random.default_rng(seed)
        left, top, right, bottom = image_decoding._draw_box(
            image.width, image.height, (0.1, 0.4), chance
        )
        expected = resized_crop(
            image,
            top,
            left,
            bottom - top,
            right - left,
            [8, 8],
            InterpolationMode.BICUBIC,
        )
        view = random_view(image, (0.1, 0.4), 8, seed)
        np.testing.assert_array_equal(view, np.asarray(expected))
        around = np.full_like(noise, 255)  # what lies around the box does not weigh in
        around[top:bottom, left:right] = noise[top:bottom, left:right]
        again = random_view(Image.fromarray(around), (0.1, 0.4), 8, seed)
        np.testing.assert_array_equal(view, again)


def test_a_random_view_follows_its_seed_and_its_range() -> None:
    ramp = np.arange(64, dtype=np.uint8)[None, :, None].repeat(64, 0).repeat(3, 2)
    image = Image.fromarray(ramp)
    one = random_view(image, (0.1, 0.4), 8, seed=1)
    assert one.shape == (8, 8, 3)
    assert (one == random_view(image, (0.1, 0.4), 8, seed=1)).all()
    assert (one != random_view(image, (0.1, 0.4), 8, seed=2)).any()
    # A crop of at most 40 % with a ratio of at most 4/3 is at most 47 pixels wide.
    spans = [
        int(np.ptp(random_view(image, (0.1, 0.4), 8, seed)[0, :, 0].astype(int)))
        for seed in range(50)
    ]
    assert max(spans) <= 47
    assert min(spans) < 25 < max(spans)


def test_where_no_crop_fits_the_middle_is_taken() -> None:
    stripe = Image.new("RGB", (100, 2), RED)
    assert (random_view(stripe, (0.9, 1.0), 4, seed=0) == RED).all()
