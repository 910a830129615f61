"""Opening image files of all kinds, and cutting views from them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daformer_kedro.errors import InputError
from daformer_kedro.scenario import image_decoding
from daformer_kedro.scenario.image_decoding import open_rgb, random_view

RED, WHITE = (255, 0, 0), (255, 255, 255)


def _pixels(path: Path) -> np.ndarray:
    image = open_rgb(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def test_grey_fills_all_channels(tmp_path: Path) -> None:
    Image.new("L", (3, 2), 90).save(tmp_path / "a.png")
    np.testing.assert_array_equal(_pixels(tmp_path / "a.png"), np.full((2, 3, 3), 90))


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    Image.new("1", (2, 2), 1).save(tmp_path / "a.png")
    assert (_pixels(tmp_path / "a.png") == 255).all()


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (3, 1), (*RED, 255))
    image.putpixel((1, 0), (*RED, 0))
    image.putpixel((2, 0), (0, 0, 0, 51))  # a fifth of black: 255 · 4/5 = 204
    image.save(tmp_path / "a.png")
    assert _pixels(tmp_path / "a.png").tolist() == [[[*RED], [*WHITE], [204] * 3]]


def test_grey_with_alpha(tmp_path: Path) -> None:
    image = Image.new("LA", (2, 1), (10, 255))
    image.putpixel((1, 0), (10, 0))
    image.save(tmp_path / "a.png")
    assert _pixels(tmp_path / "a.png").tolist() == [[[10] * 3, [*WHITE]]]


def test_palette(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, 0, 0, 255])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "plain.png")
    image.save(tmp_path / "clear.png", transparency=b"\xff\x00")
    image.save(tmp_path / "index.gif", transparency=1)
    assert _pixels(tmp_path / "plain.png").tolist() == [[[*RED], [0, 0, 255]]]
    assert _pixels(tmp_path / "clear.png").tolist() == [[[*RED], [*WHITE]]]
    assert _pixels(tmp_path / "index.gif").tolist() == [[[*RED], [*WHITE]]]


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_one_colour_that_means_transparent(tmp_path: Path, mode: str) -> None:
    colour = 7 if mode == "L" else (7, 7, 7)
    Image.new(mode, (1, 1), colour).save(tmp_path / "a.png", transparency=colour)
    assert _pixels(tmp_path / "a.png").tolist() == [[[*WHITE]]]


def test_cmyk(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    red, green, blue = _pixels(tmp_path / "a.jpg")[4, 4]
    assert red > 250
    assert max(green, blue) < 5


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    # 257 a step: 0, 1 · 257, 65535; 400 is 1.56 steps.
    values = np.array([[0, 257, 400, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    Image.fromarray(values.astype(np.int32)).save(tmp_path / "a.tif")
    for name in ("a.png", "a.tif"):
        assert _pixels(tmp_path / name)[0, :, 1].tolist() == [0, 1, 2, 255]


def test_values_beyond_sixteen_bits_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "deep.tif"
    Image.fromarray(np.array([[0, 70000]], np.int32)).save(file)
    with pytest.raises(InputError, match=r"deep.tif: has grey values from 0 to 70000"):
        open_rgb(file)
    Image.fromarray(np.zeros((2, 2), np.float32)).save(file)
    with pytest.raises(InputError, match=r"deep.tif: has pixels of mode F; it must"):
        open_rgb(file)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), (0, 0, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    image.save(tmp_path / "a.png", exif=exif)
    assert _pixels(tmp_path / "a.png").tolist() == [[[*RED]], [[0, 0, 255]]]


def test_content_decides_the_format(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), RED).save(tmp_path / "really.png")
    (tmp_path / "really.png").rename(tmp_path / "claimed.jpg")
    assert _pixels(tmp_path / "claimed.jpg")[0, 0].tolist() == [*RED]


def test_first_picture_of_an_animation(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (2, 2), RED), Image.new("RGB", (2, 2))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert _pixels(tmp_path / "a.gif")[0, 0].tolist() == [*RED]


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.bmp", "a.tif"])
def test_truncated_files_are_refused(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = tmp_path / name
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(InputError, match=rf"{name}: .*"):
        open_rgb(file)


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ä b.jpg"
    with pytest.raises(InputError, match=r"ä b.jpg: no such file"):
        open_rgb(file)
    file.touch()
    with pytest.raises(InputError, match=r"ä b.jpg: is empty"):
        open_rgb(file)
    file.write_text("<html>404</html>")
    with pytest.raises(InputError, match=r"ä b.jpg: is no image of a known format"):
        open_rgb(file)


def test_large_jpegs_decode_at_a_fraction(tmp_path: Path) -> None:
    Image.new("RGB", (800, 640), RED).save(tmp_path / "a.jpg")
    assert open_rgb(tmp_path / "a.jpg").size == (800, 640)
    assert open_rgb(tmp_path / "a.jpg", least_side=160).size == (200, 160)
    assert open_rgb(tmp_path / "a.jpg", least_side=161).size == (400, 320)
    assert open_rgb(tmp_path / "a.jpg", least_side=641).size == (800, 640)


@pytest.mark.parametrize("size", [(60, 40), (40, 60), (33, 47), (32, 32), (9, 400)])
def test_test_view_is_scaling_then_cutting(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    # As in torchvision: the long side is rounded down, the cut is rounded.
    width, height = image.size
    scaled = (36 * width // min(size), 36 * height // min(size))
    whole = np.asarray(image.resize(scaled, Image.Resampling.BICUBIC))
    left, top = (round((side - 28) / 2) for side in scaled)
    view = image_decoding.test_view(image, 36, 28)
    np.testing.assert_allclose(
        view.astype(int), whole[top : top + 28, left : left + 28].astype(int), atol=1
    )


def test_test_view_without_resize_keeps_the_whole_short_side() -> None:
    image = Image.new("RGB", (8, 4), WHITE)
    image.paste(RED, (2, 0, 6, 4))
    assert (image_decoding.test_view(image, None, 4) == RED).all()


def test_test_view_of_an_image_of_the_right_size_changes_nothing() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    view = image_decoding.test_view(Image.fromarray(noise), 12, 12)
    np.testing.assert_array_equal(view, noise)


def test_random_view_depends_on_the_seed_alone() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    views = [random_view(image, (0.1, 1.0), 16, seed) for seed in (3, 3, 4)]
    assert views[0].shape == (16, 16, 3)
    np.testing.assert_array_equal(views[0], views[1])
    assert (views[0] != views[2]).any()


def test_random_boxes_keep_area_and_ratio() -> None:
    boxes = np.array(
        [image_decoding._random_box(400, 300, (0.2, 0.5), s) for s in range(2000)]
    )
    left, top, width, height = boxes.T
    assert (left >= 0).all() and (left + width <= 400).all()  # noqa: PT018
    assert (top >= 0).all() and (top + height <= 300).all()  # noqa: PT018
    area, ratio = width * height / (400 * 300), width / height
    assert 0.19 < area.min() < 0.21
    assert 0.49 < area.max() < 0.51
    assert area.mean() == pytest.approx(0.35, abs=0.01)  # uniform from 0.2 to 0.5
    assert np.log(ratio).mean() == pytest.approx(0, abs=0.02)  # log-uniform
    assert 0.74 < ratio.min() < 0.77
    assert 1.30 < ratio.max() < 1.35
    assert (left == 0).mean() < 0.05


def test_strips_are_cut_in_the_middle() -> None:
    # No rectangle of 90 % of the area has a ratio near 1; the largest central one
    # is 4/3 · 30 = 40 wide.
    assert image_decoding._random_box(300, 30, (0.9, 1.0), 0) == (130, 0, 40, 30)
    assert image_decoding._random_box(30, 300, (0.9, 1.0), 0) == (0, 130, 30, 40)
