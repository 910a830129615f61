"""Photographs to a classifier without training, and what is reused of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from daformer_kedro.commands.predict import main as predict
from daformer_kedro.errors import InputError

pytestmark = pytest.mark.slow
LINE = re.compile(r"^((?:task_\d\d\.)?[a-z_]+(?:_\d\d)?): (.+)$", re.M)
COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 230)}
SMALL = {
    "model": {"encoder_settings": {"input_size": 32}},
    "preprocessing": {"image_size": 32, "resize": 32},
    "training": {"device": "cpu"},
}


def photographs(folder: Path, *names: str) -> Path:
    """Ten noisy photographs of one colour for each class."""
    generator = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(10):
            noise = generator.normal(0, 25, (40, 48, 3))
            pixels = np.clip(noise + COLOURS[name], 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.jpg")
    return folder


def params(source: Path, **more: Any) -> dict[str, Any]:
    return {**SMALL, "source": {"path": source.as_posix()}, **more}


def test_photographs_are_classified_without_training(
    project: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = photographs(tmp_path / "photos", *COLOURS)
    project.run(env="image_folder", params=params(photos))
    said_next = capsys.readouterr().out
    assert "python -m daformer_kedro demo" in said_next
    assert "model.edition" not in said_next
    results = pd.read_csv(project.folder("08_reporting") / "results.csv")
    assert results["num_classes_seen"].tolist() == [1, 2, 3]
    assert results["accuracy"].iloc[-1] == 1
    assert (project.folder("08_reporting") / "report.html").exists()
    models = project.folder("06_models")
    assert not list(models.glob("task_*/trained.safetensors"))
    assert not list(project.folder("05_model_input").glob("task_*/exemplars.parquet"))
    metrics = json.loads((project.folder("08_reporting") / "metrics.json").read_text())
    assert metrics["num_parameters"][-1] > 3_000_000  # the encoder and the classifier

    capsys.readouterr()
    wider = {**SMALL["model"], "mlp_ratio": 2.0}  # behind the encoder
    changed = params(photos, baseline="prototypes", seed=3, model=wider)
    project.run(env="image_folder", params=changed, only_missing_outputs=True)
    said = dict(LINE.findall(capsys.readouterr().out))
    assert said["embed_images"].startswith("reused")
    assert not said["task_00.learn_task"].startswith("reused")

    reporting = project.path / "data" / "08_reporting" / models.name
    found = json.loads((reporting / "confidence.json").read_text())
    errors = found["calibration"]["expected_calibration_error"]
    assert errors.keys() == {"test", "held_out"}
    assert errors["test"]["after"] < errors["test"]["before"]
    assert found["unknown"]["score"] == "distance_to_means"
    assert found["unknown"]["average_auroc"] == 1
    assert all("known_kept" in task for task in found["unknown"]["after_task"])

    stripes = tmp_path / "stripes.png"
    pixels = np.zeros((40, 40, 3), dtype=np.uint8)
    pixels[::2] = (255, 255, 0)
    Image.fromarray(pixels).save(stripes)
    image = photos / "green" / "0.jpg"
    words = [str(image), str(stripes), "--project", str(project.path)]
    assert predict([*words, "--model", models.name]) == 0
    said = capsys.readouterr()
    assert "green" in said.out
    assert "?" in said.out
    assert "not calibrated" not in said.err


def test_a_class_that_arrives_is_embedded_alone(
    project: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photographs(photos / "may", "red", "green")
    stream = params(photos, scenario={"tasks": ["may"]})
    project.run(env="image_folder", params=stream)
    photographs(photos / "june", "blue")
    stream["scenario"] = {"tasks": ["may", "june"]}
    capsys.readouterr()
    project.run(env="image_folder", params=stream, only_missing_outputs=True)
    said = dict(LINE.findall(capsys.readouterr().out))
    before = {name: why for name, why in said.items() if "task_00" in name}
    assert before["task_00.learn_task"].startswith("reused")
    assert before["embed_images_task_00"].startswith("reused")
    assert not said["embed_images_task_01"].startswith("reused")
    results = pd.read_csv(project.folder("08_reporting") / "results.csv")
    assert results["accuracy"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"augmentation": {"horizontal_flip": 0.5}, "baseline": "none"},
            r"augmentation\.horizontal_flip = 0\.5: without effect",
        ),
        (
            {"model": {"encoder_settings": {"train": "all", "input_size": 32}}},
            "baseline = ridge trains nothing, so it needs an encoder",
        ),
        ({"model": {"encoder": "tf_efficientnet_lite00"}}, "tf_efficientnet_lite0"),
        (
            {"augmentation": {"stored_views": 2}},
            r"stored_views = 2 would store the same version again: set what changes",
        ),
        (
            {
                "augmentation": {"stored_views": 2, "horizontal_flip": 0.5},
                "baseline": "none",
                "model": {"encoder_settings": {"train": "all", "input_size": 32}},
            },
            r"stored_views = 2 needs an encoder .* that stays as it is",
        ),
        ({"baseline_settings": {"lambda": 1}}, r"baseline_settings\.lambda is not a"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_read(
    project: Any, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    photos = photographs(tmp_path / "photos", *COLOURS)
    with pytest.raises(InputError, match=message):
        project.run(env="image_folder", params=params(photos) | changes)


def test_daformer_learns_from_the_stored_tokens(project: Any, tmp_path: Path) -> None:
    photos = photographs(tmp_path / "photos", *COLOURS)
    short = {
        "training": {"epochs": 2, "device": "cpu"},
        "finetuning": {"epochs": 1},
        "losses": {"knn_distillation": {"num_neighbours": 3}},
        "memory": {"per_class": 3},
        "augmentation": {"stored_views": 3, "horizontal_flip": 0.5},
    }
    project.run(env="image_folder_daformer", params=params(photos) | short)
    results = pd.read_csv(project.folder("08_reporting") / "results.csv")
    assert results["num_classes_seen"].tolist() == [1, 2, 3]
    assert results["num_exemplars"].tolist() == [3, 6, 9]
    (tokens,) = project.path.glob("data/04_feature/image_folder_*/tokens")
    assert np.load(tokens / "train_tokens.npy").shape[1:] == (1, 1280)
    assert np.load(tokens / "train_views.npy").shape[1:] == (2, 1, 1280)
