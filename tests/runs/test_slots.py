"""GPUs for runs side by side."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from daformer_kedro.runs.slots import VISIBLE, Slots


def places(jobs: int) -> list[str | None]:
    slots = Slots(jobs)
    with ExitStack() as stack:
        taken = [stack.enter_context(slots.take()) for _ in range(jobs)]
    return [place.get(VISIBLE) for place in taken]


@pytest.mark.parametrize(
    ("gpus", "jobs", "shares"),
    [
        ("0,1,2,3", 2, ["0,2", "1,3"]),
        ("4,7", 2, ["4", "7"]),
        ("4,7", 3, ["4", "7", "4"]),  # two share one
        ("0,1", 1, [None]),
        ("", 2, [None, None]),
    ],
)
def test_gpus_are_dealt_out(
    gpus: str, jobs: int, shares: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE, gpus)
    assert places(jobs) == shares


def test_a_place_is_free_again_after_its_run() -> None:
    slots = Slots(1)
    for _ in range(2):
        with slots.take() as place:
            assert place == {}
