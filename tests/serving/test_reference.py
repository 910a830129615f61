"""The answers that a model keeps to compare streams with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import save_file

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.monitoring.observations import Observations
from daformer_kedro.serving import reference
from daformer_kedro.serving.finished_runs import read_newest_run
from daformer_kedro.serving.reference import Reference


def of(targets: list[int]) -> Reference:
    num = len(targets)
    rows = np.arange(num)
    return Reference(
        Observations(
            rows % 3,
            rows / num,
            rows / 7,
            np.tile(rows[:, None], (1, 4)).astype(np.float32),
            np.array(targets),
        ),
        np.array([5, 6]),
    )


def test_what_is_stored_is_read(tmp_path: Path) -> None:
    made = of([0, 1, 0])
    save_file(made.tensors(), tmp_path / "reference.safetensors")
    read = Reference.read(tmp_path / "reference.safetensors")
    for name in ("predicted", "confidences", "unknown_scores", "embeddings", "targets"):
        stored, given = (getattr(r.observed, name) for r in (read, made))
        assert np.array_equal(stored, given)
        assert stored.dtype == given.dtype
    assert read.training_counts.tolist() == [5, 6]
    (tmp_path / "reference.safetensors").write_bytes(b"short")
    with pytest.raises(InputError, match=r"reference\.safetensors is damaged"):
        Reference.read(tmp_path / "reference.safetensors")


def test_of_many_images_some_of_every_class_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reference, "MOST_IMAGES", 10)
    kept = Reference.from_tensors(of([0, 1] * 20).tensors()).observed
    assert np.bincount(kept.target).tolist() == [5, 5]
    # Their answers are still theirs.
    assert (kept.embeddings[:, 0] % 2 == kept.target).all()  # type: ignore[index]


def test_a_run_keeps_the_answers_for_all_its_test_images(finished: Any) -> None:
    kept = read_newest_run(finished.path / "data").reference
    assert kept is not None
    stored = pd.read_parquet(
        finished.folder("07_model_output") / "task_02" / "predictions.parquet"
    )
    assert kept.observed.predicted.tolist() == stored["predicted"].tolist()
    assert kept.observed.target.tolist() == stored["target"].tolist()
    # 1,797 digits, a fifth of each class held out.
    assert kept.training_counts.sum() == 1437
    assert ((kept.observed.confidences > 0) & (kept.observed.confidences <= 1)).all()
