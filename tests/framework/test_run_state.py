"""Settings of a session are validated once, and handed to everything that asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kedro.framework.project import settings

from daformer_kedro.config.run import Config
from daformer_kedro.run_state import RunState, StateHooks
from daformer_kedro.usage import UsageError


def test_a_run_validates_its_settings_once(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    baselines: list[str] = []
    validate = Config.from_parameters.__func__

    def count(cls: type[Config], parameters: Any) -> Config:
        baselines.append(parameters["baseline"])
        return validate(cls, parameters)

    monkeypatch.setattr(Config, "from_parameters", classmethod(count))
    project.run("ingestion")
    # The upper bound's have another run key, which the catalog names.
    assert baselines == ["none", "joint"]


def test_all_hooks_have_the_state_of_the_context(untouched: Any) -> None:
    for env in ("test", None):
        context = untouched.context(env)
        hooks = [hook for hook in settings.HOOKS if isinstance(hook, StateHooks)]
        assert len(hooks) >= 6
        assert all(hook.state is context.state for hook in hooks)
        assert context.state.env == env


@pytest.mark.parametrize(
    ("requested", "needs_source"),
    [
        (None, True),
        (("__default__",), True),
        (("inference",), False),
        (("inference", "comparison", "export"), False),
        (("inference", "evaluation"), True),
    ],
)
def test_images_are_needed_unless_finished_runs_alone_are_used(
    requested: tuple[str, ...] | None, needs_source: bool
) -> None:
    state = RunState(Config(), Path("/project"), requested=requested)
    assert state.needs_source == needs_source


def test_a_state_says_how_to_repeat_its_results() -> None:
    given = {"seed": 3, "cache": {"strict": True}, "training": {"device": "cpu"}}
    state = RunState(Config(seed=3), Path("/project"), env="test", overrides=given)
    assert state.command == "kedro run --env test --params seed=3"
    assert state.run_key.startswith("digits_S_order-identity_seed3_")


def test_grey_images_take_the_mean_of_what_a_pretrained_encoder_wants(
    untouched: Any,
) -> None:
    wanted = {
        "model": {"encoder": "resnet18.tv_in1k", "embed_dim": None},
        "preprocessing": {"mean": None, "std": None},
    }
    config = untouched.context(None, wanted).state.config
    assert config.preprocessing.mean == pytest.approx((0.449,))
    assert config.preprocessing.std == pytest.approx((0.226,))


def test_a_number_for_each_channel_is_asked_for_before_anything_is_read(
    untouched: Any,
) -> None:
    three = {"mean": [0.5] * 3, "std": [0.2] * 3}
    message = (
        r"preprocessing\.mean = \[0.5, 0.5, 0.5\] has 3 channels; images of digits"
    )
    with pytest.raises(UsageError, match=message):
        untouched.context(None, {"preprocessing": three})


POD = {"pooled_distillation": {"weight": 0.1}}
TIMM = {"encoder": "tf_efficientnet_lite0", "encoder_settings": {"weights": "none"}}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"model": {"embed_dim": 10, "num_heads": 3}},
            r"^model\.num_heads = 3 does not .*model\.embed_dim = 10; allowed: 1, 2, 5",
        ),
        (
            {"model": {"depth": 2}, "losses": POD},
            r"^losses\.pooled_distillation compares .*model\.depth = 2 .*least 3, or",
        ),
        (
            {"model": TIMM, "losses": POD},
            r"^losses\.pooled_distillation compares .*encoder = tf_efficientnet_lite0",
        ),
    ],
)
def test_what_the_model_cannot_be_is_said_before_anything_runs(
    untouched: Any, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        untouched.context(params=params)


def test_heads_are_of_no_concern_where_nothing_has_any(untouched: Any) -> None:
    model = {**TIMM, "decoder": "mean", "embed_dim": 11, "num_heads": 2}
    assert untouched.context(params={"model": model}).state.config.model.num_heads == 2
