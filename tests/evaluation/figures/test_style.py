import struct
import zlib

import numpy as np
import pytest

from daformer_kedro.evaluation.figures import figure_to_png, style


def chunks(png):
    """Names of the chunks of a PNG."""
    position, names = 8, []
    while position < len(png):
        (length,) = struct.unpack(">I", png[position : position + 4])
        name = png[position + 4 : position + 8]
        data = png[position + 8 : position + 8 + length]
        (check,) = struct.unpack(
            ">I", png[position + 8 + length : position + 12 + length]
        )
        assert check == zlib.crc32(name + data)
        names.append(name.decode())
        position += 12 + length
    return names


def make_figure():
    figure = style.new_figure(2, 1)
    style.dress(figure.add_subplot(), "Title", "x (s)", "y (%)")
    return figure


def test_png_has_the_size_asked_for_and_no_text_in_it():
    png = figure_to_png(make_figure(), dpi=50)
    assert struct.unpack(">II", png[16:24]) == (100, 50)
    assert not {"tEXt", "iTXt", "zTXt", "tIME"} & set(chunks(png))


def test_png_bytes_are_the_same_again():
    figure = make_figure()
    assert (
        figure_to_png(figure) == figure_to_png(figure) == figure_to_png(make_figure())
    )


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [0]),
        (12, list(range(12))),
        (13, [0, 2, 4, 6, 8, 10, 12]),
        (50, list(range(0, 50, 5))),
        (100, list(range(0, 100, 10))),
    ],
)
def test_tick_positions(count, expected):
    assert style.tick_positions(count) == expected


def test_tick_positions_never_exceed_the_most():
    assert max(len(style.tick_positions(count)) for count in range(1, 3000)) == 12


def test_to_percent():
    np.testing.assert_array_equal(
        style.to_percent([0.25, None, 1]), [25.0, np.nan, 100.0]
    )


def test_values_are_dark_on_light_cells_and_white_on_dark_ones():
    axes = style.new_figure(2, 2).add_subplot()
    values = np.array([[0.0, 100.0], [np.nan, 60.0]])
    image = axes.imshow(values, cmap="gray", vmin=0, vmax=100)
    style.write_values(axes, image, values)
    written = {text.get_text(): text.get_color() for text in axes.texts}
    assert written == {"0": "white", "100": style.INK, "60": style.INK}


def test_colours_differ_in_brightness_or_hue():
    assert len(set(style.COLOURS)) == len(style.COLOURS) == len(style.MARKERS)
