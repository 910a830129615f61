import numpy as np
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.figures import attention_map_figure


def make_arrays(num_images, num_tasks, channels=3, num_external=1):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (num_images, 8, 8, channels), dtype=np.uint8)
    external = rng.random((num_images, num_external, 2, 4))
    internal = rng.random((num_images, num_tasks, 2, 4))
    return images, external, internal


def panels(figure):
    """Maps in reading order, and the axes of the colour scales."""
    axes = [a for a in figure.axes if a.get_label() != "<colorbar>"]
    return axes, [a for a in figure.axes if a.get_label() == "<colorbar>"]


def test_columns_are_image_external_and_each_task():
    images, external, internal = make_arrays(2, 3, channels=1)
    axes, bars = panels(attention_map_figure(images, external, internal))
    shown = [a.images[0].get_array() for a in axes]
    assert len(shown) == 2 * 5
    np.testing.assert_array_equal(shown[5][..., 2], images[1, ..., 0])
    np.testing.assert_allclose(shown[6], 100 * external[1, 0])
    np.testing.assert_allclose(shown[9], 100 * internal[1, 2])
    titles = [a.get_title().replace("\n", " ") for a in axes[:5]]
    assert titles == [
        "image",
        "external",
        "internal, task 0",
        "internal, task 1",
        "internal, task 2",
    ]
    assert [bar.get_ylabel() for bar in bars] == [
        "External attention (% per patch)",
        "Internal attention (% per patch)",
    ]


def test_each_kind_has_one_scale_from_zero():
    images, external, internal = make_arrays(2, 3)
    axes, _ = panels(attention_map_figure(images, external, internal))
    limits = [a.images[0].get_clim() for a in axes]
    assert limits[1] == limits[6] == (0, 100 * external.max())
    assert set(limits[2:5] + limits[7:]) == {(0, 100 * internal.max())}


@pytest.mark.parametrize("num_tasks", [1, 2, 10, 50])
def test_at_most_ten_tasks_with_the_first_and_last(overlaps, num_tasks):
    figure = attention_map_figure(*make_arrays(2, num_tasks))
    axes, _ = panels(figure)
    columns = len(axes) // 2
    assert columns == 2 + min(num_tasks, 10)
    assert axes[2].get_title() == "internal,\ntask 0"
    assert axes[columns - 1].get_title() == f"internal,\ntask {num_tasks - 1}"
    assert overlaps(figure) == []


def test_external_keys_of_each_task_have_a_column_each():
    images, external, internal = make_arrays(1, 3, num_external=3)
    axes, _ = panels(attention_map_figure(images, external, internal))
    assert [a.get_title().replace("\n", " ") for a in axes[1:]] == [
        *(f"external, task {task}" for task in range(3)),
        *(f"internal, task {task}" for task in range(3)),
    ]
    np.testing.assert_allclose(axes[2].images[0].get_array(), 100 * external[0, 1])


def test_with_both_for_each_task_five_of_each_are_shown(overlaps):
    figure = attention_map_figure(*make_arrays(2, 20, num_external=20))
    axes, _ = panels(figure)
    tasks = [int(a.get_title().split()[-1]) for a in axes[1 : len(axes) // 2]]
    assert tasks == [0, 5, 10, 14, 19, 0, 5, 10, 14, 19]
    assert overlaps(figure) == []


def test_a_model_without_one_of_the_parts():
    images, external, internal = make_arrays(1, 2)
    axes, bars = panels(attention_map_figure(images, None, internal))
    assert (len(axes), len(bars)) == (3, 1)
    axes, bars = panels(attention_map_figure(images, external, None))
    assert (len(axes), len(bars)) == (2, 1)


def test_arrays_must_agree():
    images, external, internal = make_arrays(2, 2)
    with pytest.raises(InputError, match=r"external has shape \(1, 1, 2, 4\)"):
        attention_map_figure(images, external[:1], internal)
    with pytest.raises(InputError, match=r"internal has shape \(2, 2, 4\)"):
        attention_map_figure(images, external, internal[:, 0])
    with pytest.raises(InputError, match=r"images has shape \(0, 8, 8, 3\)"):
        attention_map_figure(images[:0], external[:0], internal[:0])
