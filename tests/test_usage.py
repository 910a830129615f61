"""What to type for a run."""

from __future__ import annotations

import pytest

from daformer_kedro.usage import run_command


@pytest.mark.parametrize(
    ("env", "overrides", "command"),
    [
        (None, {}, "kedro run"),
        ("test", {}, "kedro run --env test"),
        (
            "test",
            {"seed": 3, "model": {"edition": "M"}, "training": {"clip_norm": None}},
            "kedro run --env test --params "
            "seed=3,model.edition=M,training.clip_norm=null",
        ),
        (
            None,
            {"comparison": {"filter": "tags.seed = 0"}, "on": True},
            "kedro run --params 'comparison.filter=tags.seed = 0,on=true'",
        ),
    ],
)
def test_a_run_is_repeated_by_typing_its_command(env, overrides, command) -> None:
    assert run_command(env, overrides) == command
