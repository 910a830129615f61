"""Ranks through Ray Train."""

from __future__ import annotations

from pathlib import Path

from daformer_kedro.config import TrainingConfig


def check() -> None:
    raise NotImplementedError


def run(folder: Path, training: TrainingConfig) -> None:
    raise NotImplementedError
