"""Facts in a run's log on the code, the machine and the data it came from."""

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
from daformer_kedro.reuse.code import code_fingerprint
from daformer_kedro.scenario.image_files import ImageFiles
from daformer_kedro.scenario.images import Images

_DIGEST_LENGTH = 16
_BLOCK_BYTES = 1 << 24


def fact_tags(config: Config) -> dict[str, str]:
    """Tags to find runs by, beside the settings that name a run."""
    return {
        "settings_key": settings_key(config),
        "memory_keep": config.memory.keep,
        "torch": torch.__version__,
        "code_fingerprint": code_fingerprint(),
        **_git_tags(),
    }


def _git_tags() -> dict[str, str]:
    """The commit, and whether the working tree differs from it; none outside git."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {}
    dirty = bool(_git("status", "--porcelain", "--untracked-files=no"))
    return {"git_commit": commit, "git_dirty": str(dirty).lower()}


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=Path(__file__).parent,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def image_inputs(images: Images, config: Config) -> list[DatasetInput]:
    """The images of both splits as MLflow datasets, each with a digest of its own.

    The digest of images that stay files is of their paths and labels.
    """
    inputs = []
    for split, context in (("train", "training"), ("test", "evaluation")):
        labels: np.ndarray = getattr(images, f"{split}_labels")
        if isinstance(images, ImageFiles):
            content = np.char.encode(getattr(images, f"{split}_paths"), "utf-8")
            shape = [images.image_size, images.image_size, images.num_channels]
        else:
            content = getattr(images, f"{split}_images")
            shape = list(content.shape[1:])
        inputs.append(
            _input(
                name=f"{config.source.name}_{split}",
                context=context,
                digest=_digest_of_arrays(content, labels),
                source={"source": config.source.name, "path": config.source.path},
                profile={"num_images": len(labels), "image_shape": shape},
            )
        )
    return inputs


def table_input(name: str, context: str, table: pd.DataFrame) -> DatasetInput:
    """A table of samples as an MLflow dataset; the digest is of its rows, in order."""
    rows = pd.util.hash_pandas_object(table, index=False).to_numpy()
    profile = {"num_rows": len(table), "columns": [str(c) for c in table.columns]}
    return _input(name, context, _digest_of_arrays(rows), {"table": name}, profile)


def _input(
    name: str,
    context: str,
    digest: str,
    source: dict[str, Any],
    profile: dict[str, Any],
) -> DatasetInput:
    dataset = Dataset(
        name=name,
        digest=digest,
        source_type="local",
        source=json.dumps(source, allow_nan=False),
        profile=json.dumps(profile, allow_nan=False),
    )
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, context)])


def _digest_of_arrays(*arrays: np.ndarray) -> str:
    """SHA-256 of shapes, types and values, read in blocks: arrays may be files."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        rows = max(1, _BLOCK_BYTES // max(1, array[:1].nbytes))
        for start in range(0, len(array), rows):
            digest.update(np.ascontiguousarray(array[start : start + rows]).data)
    return digest.hexdigest()[:_DIGEST_LENGTH]
