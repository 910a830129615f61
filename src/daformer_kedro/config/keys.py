"""Names of result folders: readable, and different for different settings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from daformer_kedro.config.sections import SETTINGS, Config

HARDWARE_SETTINGS = ("device", "devices", "engine", "nnodes", "rendezvous")
"""Settings of ``training`` that say where to train."""

NO_RESULT = (*HARDWARE_SETTINGS, "graph", "save_minutes", "save_every")
"""Settings of ``training`` that change no result."""


def source_key(config: Config) -> str:
    """Folder of the ingested images: the source and a digest of what reads it."""
    settings = _folder_settings(config)
    parts = [
        settings["source"],
        settings["preprocessing"]["image_size"],
        settings["preprocessing"]["resize"],
        settings["scenario"]["tasks"],
    ]
    return f"{config.source.name}_{_digest(parts)}"


def embedding_key(config: Config) -> str:
    """Folder of images as a fixed encoder embeds them, shared by all runs with it."""
    model = asdict(config.model)
    parts = [
        source_key(config),
        asdict(config.preprocessing),
        model["encoder_settings"],
        model["decoder"],  # which may want no more than the mean over the tokens
    ]
    if config.augmentation.stored_views > 1:
        parts.append(asdict(config.augmentation))
    encoder = re.sub(r"[^\w.-]", "-", config.model.encoder)
    return f"{config.source.name}_{encoder}_{_digest(parts)}"


def plain_settings(config: Config) -> dict[str, Any]:
    """Every setting of the sections that shape a result, as plain values."""
    sections = asdict(config)
    return {name: sections[name] for name in SETTINGS}


def result_settings(config: Config) -> dict[str, Any]:
    """Every setting that can change a result, as plain values.

    Devices and machines are left out: they are where, not what. So is what only says
    how to keep results and states.
    """
    settings = plain_settings(config)
    for name in NO_RESULT:
        settings["training"].pop(name)
    return settings


def result_overrides(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given parameters that can change a result, nested as they are.

    See :func:`result_settings`; keys of other names are left to validation.
    """
    kept = {k: v for k, v in overrides.items() if k in SETTINGS}
    training = kept.get("training")
    if isinstance(training, Mapping):
        kept["training"] = {k: v for k, v in training.items() if k not in NO_RESULT}
        if not kept["training"]:
            del kept["training"]
    return kept


def _folder_settings(config: Config) -> dict[str, Any]:
    """The settings that say in which folder results lie.

    Of folders that arrive over time only the first one counts, so that what was
    learnt from it stays where it is when another one comes.
    """
    settings = result_settings(config)
    folders = settings["scenario"]["tasks"]
    settings["scenario"]["tasks"] = None if folders is None else folders[:1]
    return settings


def run_key(config: Config) -> str:
    """Folder of one configuration's results.

    Protocol, edition, baseline (if any), schedule (unless published), ``validation``
    (if test images take no part), class order and seed for the reader, then a digest
    of every setting that can change a result, so that no two configurations share a
    folder but those of a stream of folders that has grown: see
    :func:`result_settings`.
    """
    settings = _folder_settings(config)
    order, schedule = config.scenario.class_order, config.training.schedule
    parts = [
        config.protocol,
        config.model.edition,
        *([] if config.baseline == "none" else [config.baseline]),
        *([] if schedule == "published" else [schedule]),
        *(["validation"] if config.source.on_validation else []),
        f"order-{order if isinstance(order, str | int) else 'custom'}",
        f"seed{config.seed}",
        _digest(settings),
    ]
    return "_".join(parts)


def run_name(config: Config) -> str:
    """Name of the run for people: the run key without its digest."""
    return run_key(config).rsplit("_", 1)[0]


def study_key(config: Config) -> str:
    """Name of a study: other settings, or another space, make it another study.

    How many trials it shall have, and how many run side by side, is left out.
    """
    study = asdict(config.study)
    name = study.pop("name")
    for name_of_place in ("trials", "jobs", "engine"):
        del study[name_of_place]
    return f"{name}_{_digest([result_settings(config), study])}"


def settings_key(config: Config) -> str:
    """The same for runs that are repeats of each other, and different for others.

    Repeats differ in the class order and the seed alone. Where the images lie is
    left out: it is where, not what.
    """
    settings = result_settings(config)
    settings.pop("seed")
    settings["scenario"].pop("class_order")
    settings["source"].pop("path")
    settings["source"].pop("download")
    return _digest(settings)


def _digest(settings: Any) -> str:
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
