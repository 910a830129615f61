"""Settings of the watch over a model in use; no training reads them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from daformer_kedro.validation import STRICT, Device, PositiveInt

TestName = Literal["unknown", "embeddings", "class_mix", "accuracy"]
TESTS: tuple[str, ...] = get_args(TestName)
"""Names of the tests, in the order in which they are reported."""

_Name = Annotated[str, Field(min_length=1)]


def _day(value: object) -> object:
    """Take a date as YAML and as ``--params`` give it."""
    if value is None or type(value) is date:
        return value
    try:
        if len(str(value)) != len("2026-11-24"):  # ISO 8601 knows other forms
            raise ValueError
        return date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{value!r} must be a date such as 2026-11-24") from None


Day = Annotated[date | None, BeforeValidator(_day)]


@dataclass(frozen=True, config=STRICT)
class MonitorConfig:
    """Input of the pipeline ``monitor``, and when a day differs.

    Attributes:
        images: a folder of images, a table of predictions (``.csv``, ``.parquet``), or
            a request log (``.jsonl``, or a folder of such).
        model: as in :class:`~daformer_kedro.config.InferenceConfig`.
        reference: images to compare with, given like ``images``; ``None`` for the
            held-out images that the model was tested on.
        time_column: of a table, when an image arrived.
        label_column: of a table, the true class; need not be there.
        period: what counts as a day: days, weeks from Monday, or months.
        since: first day to report; ``None`` for all.
        until: last day to report; ``None`` for all.
        level: share of false alarms: of the days that are said to differ, and the
            probability of any in a stream in which nothing has changed.
        tests: those that decide whether a day differs.
        least_images: days with fewer images are measured and not tested.
        output: folder of the report.
        batch_size: images at a time, at most.
        device: ``auto`` takes a GPU where there is one.
        experiment: the MLflow experiment, apart from that of training runs.
    """

    images: _Name | None = None
    model: _Name | None = None
    reference: _Name | None = None
    time_column: _Name = "time"
    label_column: _Name = "label"
    period: Literal["day", "week", "month"] = "day"
    since: Day = None
    until: Day = None
    level: Annotated[float, Field(gt=0, lt=1)] = 0.01
    tests: tuple[TestName, ...] = ("unknown", "embeddings", "accuracy")
    least_images: PositiveInt = 20
    output: _Name = "data/08_reporting/monitor"
    batch_size: PositiveInt = 64
    device: Device = "auto"
    experiment: _Name = "daformer_monitor"

    @model_validator(mode="after")
    def _check(self) -> MonitorConfig:
        if self.since and self.until and self.until < self.since:
            raise ValueError(
                f"monitor.until = {self.until} is before monitor.since = {self.since}"
            )
        if not self.tests:
            raise ValueError(
                f"monitor.tests = [] names no test; allowed: {', '.join(TESTS)}"
            )
        if len(set(self.tests)) < len(self.tests):
            raise ValueError(
                f"monitor.tests = {list(self.tests)} names a test more than once"
            )
        return self
