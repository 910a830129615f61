"""Settings of the watch over a model in use."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from daformer_kedro.config import MonitorConfig, validated
from daformer_kedro.errors import InputError


def test_days_are_read_as_yaml_and_the_terminal_give_them() -> None:
    for value in ("2026-11-24", date(2026, 11, 24)):
        config = validated(MonitorConfig, {"since": value}, "monitor")
        assert config.since == date(2026, 11, 24)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"since": "2026-13-01"}, "'2026-13-01' must be a date such as 2026-11-24"),
        ({"until": "20261124"}, "'20261124' must be a date such as 2026-11-24"),
        (
            {"since": "2026-11-24", "until": "2026-11-23"},
            "monitor.until = 2026-11-23 is before monitor.since = 2026-11-24",
        ),
        ({"level": 0}, "monitor.level = 0 must be greater than 0"),
        ({"level": float("nan")}, "monitor.level = nan"),
        ({"tests": []}, "monitor.tests = [] names no test"),
        ({"tests": ["mmd"]}, "monitor.tests.0 = 'mmd' must be 'unknown'"),
        ({"tests": ["unknown", "unknown"]}, "names a test more than once"),
        ({"least_images": 0}, "monitor.least_images = 0"),
        ({"period": "year"}, "monitor.period = 'year'"),
        ({"treshold": 1}, "monitor.treshold is not a parameter"),
    ],
)
def test_impossible_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        validated(MonitorConfig, settings, "monitor")
    assert message in str(error.value)
