"""Made-up results of runs with any number of tasks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


@pytest.fixture
def falling_matrix() -> Callable[[int], list[list[float]]]:
    """Each task starts at 0.9 and loses 0.01 with every later task."""

    def make(num_tasks: int) -> list[list[float]]:
        return [
            [0.9 - 0.01 * (row - column) for column in range(row + 1)]
            for row in range(num_tasks)
        ]

    return make


@pytest.fixture
def per_task() -> Callable[[int, int], list[dict[str, Any]]]:
    """What the evaluation node hands over for each task."""

    def make(num_tasks: int, increment: int) -> list[dict[str, Any]]:
        return [
            {
                "task": task,
                "num_classes_seen": increment * (task + 1),
                "task_accuracies": [0.5] * task + [0.75],
                "class_accuracies": [0.5] * increment * (task + 1),
                "balanced_accuracy": 0.75 - task / 128,
                "accuracy": 0.75 - task / 128,
                "top5_accuracy": 0.875 if increment * (task + 1) > 5 else None,
                "num_parameters": 1000 + task,
                "num_exemplars": 2000,
                "neighbourhood_preservation": 0.25 if task else None,
            }
            for task in range(num_tasks)
        ]

    return make


@pytest.fixture
def overlaps(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Figure], list[tuple[str, str]]]:
    """Draw a figure; pairs of texts on it that overlap, or that leave the page."""
    drawn: list[Text] = []
    draw = Text.draw

    def record(text: Text, renderer: RendererBase) -> None:
        if text.get_visible() and text.get_text().strip():
            drawn.append(text)
        draw(text, renderer)

    def find(figure: Figure) -> list[tuple[str, str]]:
        drawn.clear()
        # What is drawn, not what exists: ticks out of view keep their labels.
        with monkeypatch.context() as patch:
            patch.setattr(Text, "draw", record)
            FigureCanvasAgg(figure).draw()
        boxes = [(text.get_text(), text.get_window_extent()) for text in drawn]
        page = figure.bbox.padded(1)
        outside = [
            (name, "page")
            for name, box in boxes
            if not (
                page.containsx(box.x0)
                and page.containsx(box.x1)
                and page.containsy(box.y0)
                and page.containsy(box.y1)
            )
        ]
        crossing = [
            (a, b)
            for (a, box_a), (b, box_b) in combinations(boxes, 2)
            if min(box_a.x1, box_b.x1) - max(box_a.x0, box_b.x0) > 1
            and min(box_a.y1, box_b.y1) - max(box_a.y0, box_b.y0) > 1
        ]
        assert boxes
        return outside + crossing

    return find
