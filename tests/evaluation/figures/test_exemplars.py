import numpy as np
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.figures import exemplar_sheet_figure


def make_images(num_classes, num_images, side=8, channels=3):
    """Each image is one grey value: 10 * class + place in the memory."""
    return [
        np.broadcast_to(
            np.uint8((10 * label + np.arange(num_images)) % 250)[:, None, None, None],
            (num_images, side, side, channels),
        )
        for label in range(num_classes)
    ]


def names(count):
    return [f"class {label}" for label in range(count)]


@pytest.mark.parametrize("channels", [1, 3])
def test_rows_are_classes_and_columns_the_order_chosen(channels):
    figure = exemplar_sheet_figure(make_images(3, 12, channels=channels), names(3))
    (axes,) = figure.axes
    sheet = axes.images[0].get_array()
    assert sheet.shape == (3 * 9, 10 * 9, 3)
    for label in range(3):
        for place in range(10):
            cell = sheet[9 * label : 9 * label + 8, 9 * place : 9 * place + 8]
            assert (cell == 10 * label + place).all()
    assert (sheet[8::9] == 255).all()
    assert [tick.get_text() for tick in axes.get_yticklabels()] == names(3)


def test_a_class_with_fewer_exemplars_ends_in_white():
    images = make_images(2, 4)
    images[1] = images[1][:0]
    (axes,) = exemplar_sheet_figure(images, names(2)).axes
    sheet = axes.images[0].get_array()
    assert sheet.shape == (18, 36, 3)
    assert (sheet[9:] == 255).all()


@pytest.mark.parametrize(("num_classes", "num_blocks"), [(1, 1), (25, 1), (100, 4)])
def test_many_classes_are_set_in_blocks(overlaps, num_classes, num_blocks):
    figure = exemplar_sheet_figure(make_images(num_classes, 10), names(num_classes))
    assert len(figure.axes) == num_blocks
    ticks = [t.get_text() for axes in figure.axes for t in axes.get_yticklabels()]
    assert ticks == names(num_classes)
    assert overlaps(figure) == []


def test_too_many_classes_are_thinned_and_the_title_says_so():
    figure = exemplar_sheet_figure(make_images(21, 1), names(21), max_classes=5)
    ticks = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert ticks == ["class 0", "class 5", "class 10", "class 15", "class 20"]
    assert "(5 of 21)" in figure.get_suptitle()


def test_large_images_are_made_smaller():
    (axes,) = exemplar_sheet_figure(make_images(1, 2, side=224), names(1)).axes
    assert axes.images[0].get_array().shape == (57, 2 * 57, 3)


@pytest.mark.parametrize(
    ("images", "count", "match"),
    [
        ([], 0, "at least 1"),
        (make_images(2, 1), 1, "images has 2 classes and class_names 1"),
        ([np.zeros((1, 8, 8), np.uint8)], 1, r"\(1, 8, 8\)"),
        (make_images(1, 1, channels=4), 1, r"\(1, 8, 8, 4\)"),
        ([*make_images(1, 1), *make_images(1, 1, side=9)], 2, "the same for all"),
    ],
)
def test_other_shapes_are_refused(images, count, match):
    with pytest.raises(InputError, match=match):
        exemplar_sheet_figure(images, names(count))
