"""Metadata of a run: its settings, and the code, machine and data it came from."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from daformer_kedro.config.run import Config, settings_key
from daformer_kedro.learning.devices import describe_precision, resolve_device
from daformer_kedro.reuse.code import code_fingerprint
from daformer_kedro.run_state import RunState
from daformer_kedro.scenario.image_files import ImageFiles
from daformer_kedro.scenario.images import Images
from daformer_kedro.storage.processes import identity

_DIGEST_LENGTH = 16
_BLOCK_BYTES = 1 << 24


PROCESS_TAG = "daformer.process"
PROJECT_TAG = "daformer.project"
RUN_KEY_TAG = "run_key"
STUDY_TAG = "study"


def settings_tags(state: RunState) -> dict[str, str]:
    """Return the settings that name a run, and the process that makes it."""
    config = state.config
    device, training = resolve_device(config.training.device), config.training
    width = config.model.embed_dim
    return {
        "protocol": config.protocol,
        "edition": config.model.edition,
        "baseline": config.baseline,
        "encoder": config.model.encoder,
        "schedule": config.training.schedule,
        "class_order": str(config.scenario.class_order),
        "seed": str(config.seed),
        RUN_KEY_TAG: state.run_key,
        "device": str(device),
        "precision": describe_precision(training.precision, device, width),
        PROCESS_TAG: identity(),
        PROJECT_TAG: state.project.as_posix(),
    }


def metadata_tags(config: Config) -> dict[str, str]:
    """Return tags to find runs by, besides the settings that name a run."""
    return {
        "settings_key": settings_key(config),
        "memory_keep": config.memory.keep,
        "torch": torch.__version__,
        "code_fingerprint": code_fingerprint(),
        **_git_tags(),
    }


def _git_tags() -> dict[str, str]:
    """Return the commit, and whether tracked files differ from it; none outside git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            encoding="utf-8",
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    commit, _, is_dirty = done.stdout.strip().partition("-")
    return {"git_commit": commit, "git_dirty": str(bool(is_dirty)).lower()}


def image_inputs(images: Images, config: Config) -> list[DatasetInput]:
    """Describe the images of both splits as MLflow datasets, each with a digest.

    The digest of images that stay files is of their paths and labels.
    """
    inputs = []
    for split, context in (("train", "training"), ("test", "evaluation")):
        labels: np.ndarray = getattr(images, f"{split}_labels")
        if isinstance(images, ImageFiles):
            content = np.char.encode(getattr(images, f"{split}_paths"), "utf-8")
        else:
            content = getattr(images, f"{split}_images")
        digest = _digest_of_arrays(content, labels)
        source = {"source": config.source.name, "path": config.source.path}
        side = images.image_size
        shape = [side, side, images.num_channels]
        profile = {"num_images": len(labels), "image_shape": shape}
        name = f"{config.source.name}_{split}"
        inputs.append(_input(name, context, digest, source, profile))
    return inputs


def table_input(name: str, context: str, table: pd.DataFrame) -> DatasetInput:
    """Describe samples as an MLflow dataset; the digest is of the rows, in order."""
    rows = pd.util.hash_pandas_object(table, index=False).to_numpy()
    profile = {"num_rows": len(table), "columns": [str(c) for c in table.columns]}
    return _input(name, context, _digest_of_arrays(rows), {"table": name}, profile)


def _input(
    name: str, context: str, digest: str, source: Any, profile: Any
) -> DatasetInput:
    dataset = Dataset(
        name,
        digest,
        source_type="local",
        source=json.dumps(source, allow_nan=False),
        profile=json.dumps(profile, allow_nan=False),
    )
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, context)])


def _digest_of_arrays(*arrays: np.ndarray) -> str:
    """Digest shapes, types and values, in blocks: arrays may be files."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        rows = max(1, _BLOCK_BYTES // max(1, array[:1].nbytes))
        for start in range(0, len(array), rows):
            digest.update(np.ascontiguousarray(array[start : start + rows]).data)
    return digest.hexdigest()[:_DIGEST_LENGTH]
