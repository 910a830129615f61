"""All settings of a run together, and what follows from them.

Apart from the single sections, which a process that decodes images reads without the
half second and the memory of PyTorch: the terms of the loss bring their settings along.
"""

from daformer_kedro.config.keys import (
    embedding_key,
    plain_settings,
    result_overrides,
    result_settings,
    run_key,
    run_name,
    settings_key,
    source_key,
    study_key,
)
from daformer_kedro.config.overlays import apply_overlays, check_forms, lay_over, merge
from daformer_kedro.config.schedules import SCHEDULES
from daformer_kedro.config.sections import SETTINGS, Config
from daformer_kedro.objectives import LossesConfig

__all__ = [
    "SCHEDULES",
    "SETTINGS",
    "Config",
    "LossesConfig",
    "apply_overlays",
    "check_forms",
    "embedding_key",
    "lay_over",
    "merge",
    "plain_settings",
    "result_overrides",
    "result_settings",
    "run_key",
    "run_name",
    "settings_key",
    "source_key",
    "study_key",
]
