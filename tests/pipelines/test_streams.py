"""Folders that arrive over time, as files from disk to the report."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

pytestmark = pytest.mark.slow
LINE = re.compile(r"^((?:task_\d\d\.)?[a-z_]+(?:_\d\d)?): (.+)$", re.M)
SMALL = {
    "model": {"embed_dim": 16, "depth": 2, "num_heads": 2},
    "preprocessing": {"image_size": 16, "resize": 16},
    "training": {"epochs": 1, "device": "cpu"},
    "finetuning": {"epochs": 1},
    "memory": {"per_class": 3},
    "losses": {"knn_distillation": {"num_neighbours": 3}},
}


def deliver(folder: Path, *classes: str) -> None:
    """Twelve images per class, of mixed sizes; one file is no image."""
    generator = np.random.default_rng(len(classes[0]))
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(12):
            height, width = generator.integers(17, 40, 2)
            pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.jpg")
    (folder / classes[0] / "broken.jpg").write_bytes(b"no image")


INGESTION = {
    "read_images",
    "order_classes",
    "divide_images",
    "split_tasks",
    "list_skipped",
}
NEW_TASK = {
    f"task_01.{name}"
    for name in (
        "assemble_task_data",
        "find_teacher_neighbours",
        "train_task",
        "select_exemplars",
        "finetune_on_memory",
        "evaluate_task",
        "draw_exemplars",
    )
}
EVALUATION = {
    "summarise",
    "tabulate",
    "join_histories",
    "draw_accuracy",
    "draw_confusion",
    "draw_training",
    "draw_attention",
    "write_report",
    "calibrate",
    "measure_unknown_00",
    "summarise_confidence",
    "describe_model",
}


@pytest.mark.parametrize("arrives", ["later", "before it is listed"])
def test_a_new_folder_is_learnt_and_nothing_else(
    project: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], arrives: str
) -> None:
    photos = tmp_path / "photos"
    deliver(photos / "january", "cat", "dog")
    if arrives != "later":
        deliver(photos / "february", "bird")
    source: dict[str, Any] = {"path": str(photos), "on_error": "skip"}
    if arrives == "later":
        source["cache_size"] = 20

    def learn(*folders: str) -> dict[str, str]:
        capsys.readouterr()
        project.run(
            env="image_folder_scratch",
            params={**SMALL, "source": source, "scenario": {"tasks": list(folders)}},
            only_missing_outputs=True,
        )
        return dict(LINE.findall(capsys.readouterr().out))

    learn("january")
    if arrives == "later":
        deliver(photos / "february", "bird")
    said = learn("january", "february")
    ran = {name for name, why in said.items() if not why.startswith("reused")}
    assert ran == INGESTION | NEW_TASK | EVALUATION
    assert len({n for n in said if n.startswith("task_00.")} - ran) == 5

    folder = project.folder("08_reporting")  # one for both months
    results = pd.read_csv(folder / "results.csv")
    assert results["num_classes_seen"].tolist() == [2, 3]
    skipped = pd.read_csv(folder / "skipped_files.csv")
    assert skipped["file"].tolist() == [
        "february/bird/broken.jpg",
        "january/cat/broken.jpg",
    ]
    assert "Images left out: 2" in (folder / "report.html").read_text()
    exemplars = project.folder("05_model_input") / "task_01" / "exemplars.parquet"
    assert len(pd.read_parquet(exemplars)) == 9
