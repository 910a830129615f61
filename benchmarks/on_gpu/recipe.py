"""Settings of an environment, without Kedro."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from daformer_kedro.config.run import Config, apply_overlays, lay_over, merge
from daformer_kedro.learning.phase import LearningSettings

PROTOCOL = "cifar100_10-10"
_CONF = Path(__file__).parents[2] / "conf"


def configuration(overrides: Mapping[str, Any], environment: str = PROTOCOL) -> Config:
    """Return what ``kedro run --env ENVIRONMENT --params ...`` would be validated to.

    Args:
        overrides: nested settings, as ``--params`` gives them.
        environment: one that extends nothing but the base.
    """
    parameters: dict[str, Any] = {}
    for path in sorted((_CONF / "base").glob("parameters*.yml")):
        parameters = merge(parameters, _read(path))
    for path in sorted((_CONF / environment).glob("parameters*.yml")):
        parameters = lay_over(parameters, _read(path))
    parameters = lay_over(parameters, overrides)
    return Config.from_parameters(apply_overlays(parameters, overrides))


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def learning_settings(config: Config) -> LearningSettings:
    """Return the sections that training reads."""
    return LearningSettings(
        config.training,
        config.losses,
        config.augmentation,
        config.preprocessing,
        config.seed,
    )
