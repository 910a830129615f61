"""Models of MLflow, as far as needs no server."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import mlflow
import pytest
import torch
from mlflow.models import Model

from daformer_kedro.config import ModelConfig, PreprocessingConfig
from daformer_kedro.datasets.served_model import find_model
from daformer_kedro.model import DAFormer
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.model.checkpoint_file import write_checkpoint


def test_a_model_of_mlflow_knows_when_it_was_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = DAFormer(
        ModelConfig(embed_dim=8, depth=2, num_heads=2, patch_size=4),
        image_size=8,
        in_channels=1,
        task_sizes=[2],
        generator=torch.Generator().manual_seed(0),
    )
    preprocessing = PreprocessingConfig(mean=(0.5,), std=(0.2,))
    checkpoint = Checkpoint.of(
        network, preprocessing=preprocessing, class_names=("a", "b")
    )
    (tmp_path / "artifacts").mkdir()
    write_checkpoint(checkpoint, tmp_path / "artifacts" / "checkpoint.safetensors")
    Model(utc_time_created="2026-03-01 12:00:00.5").save(str(tmp_path / "MLmodel"))
    monkeypatch.setattr(
        mlflow.artifacts, "download_artifacts", lambda uri: str(tmp_path)
    )
    found = find_model("models:/digits/1", tmp_path)
    assert found.made == datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)
    assert found.origin == "MLflow: models:/digits/1"
