"""A stream of images after a run, as an engineer watches it."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from daformer_kedro import cli
from daformer_kedro.errors import InputError
from daformer_kedro.pipelines.monitor.nodes import compare_days_node, read_stream_node
from daformer_kedro.serving.finished_runs import read_newest_run


@pytest.fixture(scope="module")
def photos(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of test digits, and one of noise, labelled by their folders."""
    folder = tmp_path_factory.mktemp("stream")
    stored = finished.folder("02_intermediate") / "images"
    pixels = np.load(stored / "test_images.npy")[..., 0]
    labels = np.load(stored / "test_labels.npy")
    rows = np.random.default_rng(0).permutation(len(pixels))[:60]
    noise = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    days = {
        "2026-11-23": [(labels[row], pixels[row]) for row in rows[:30]],
        "2026-11-24": [(labels[row], pixels[row]) for row in rows[30:]],
        "2026-11-25": [("noise", image) for image in noise],
    }
    for day, images in days.items():
        for number, (label, image) in enumerate(images):
            path = folder / day / str(label) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    (folder / "2026-11-23" / "0" / "broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def watched(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A copy of the finished project: its runs of ``monitor`` are not for others."""
    return finished.copy(tmp_path_factory.mktemp("watched") / "project")


@pytest.fixture
def here(watched: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(watched.path)
    return watched


def test_a_day_of_something_else_is_found_and_logged_apart(
    here: Any, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    locks = {f.name for f in here.path.glob("data/journal/*")}
    settings = {"images": str(photos), "output": str(tmp_path)}
    result = here.run("monitor", params={"monitor": settings})
    assert result["days_differ"].load() is True
    said = capsys.readouterr().out
    assert "Left out: 1 could not be read" in said
    assert "1 of 3 days differs: 2026-11-25 (" in said
    assert said.count("Model: ") == 1
    days = pd.read_csv(tmp_path / "days.csv")
    assert days["num_images"].tolist() == [30, 30, 30]
    assert days["differs"].tolist() == [False, False, True]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["labels_not_learnt"] == {"noise": 30}
    assert summary["left_out"] == {"could not be read": 1}
    assert summary["reference"]["num_images"] == 360  # all test images
    assert summary["next_task_is_due"]
    classes = pd.read_csv(tmp_path / "classes.csv", dtype={"class": "string"})
    training = classes[classes["day"] == "2026-11-23"].set_index("class")
    assert training["training_share"].sum() == pytest.approx(1)
    assert training.loc["0", "training_share"] == pytest.approx(142 / 1437)
    # In MLflow it is a run of an experiment of its own.
    with sqlite3.connect(here.path / "mlflow.db") as database:
        runs = dict(
            database.execute(
                "select name, run_uuid from runs where experiment_id in "
                "(select experiment_id from experiments where name='daformer_monitor')"
            )
        )
        tags = dict(
            database.execute(
                "select key, value from tags where run_uuid = ?", (runs["monitor"],)
            )
        )
        shares = dict(
            database.execute(
                "select step, value from metrics where run_uuid = ? "
                "and key = 'share_unknown'",
                (runs["monitor"],),
            )
        )
    assert tags["differs"] == "true"
    assert tags["model"] == here.folder("06_models").name
    assert "protocol" not in tags
    assert shares == pytest.approx(dict(enumerate(days["share_unknown"])))
    attached = here.path / "mlartifacts" / runs["monitor"] / "artifacts"
    assert {f.name for f in attached.iterdir()} == {
        *("days.csv", "classes.csv", "summary.json", "days.png"),
    }
    assert {f.name for f in here.path.glob("data/journal/*")} == locks


def test_a_table_of_predictions_and_a_reference_of_ones_own(
    here: Any, photos: Path, tmp_path: Path
) -> None:
    """What the inference pipeline writes, with times; no embeddings are in it."""
    model = read_newest_run(here.path / "data")
    inference = {"images": str(photos), "output": str(tmp_path)}
    here.run("inference", params={"inference": inference})
    table = pd.read_csv(tmp_path / "predictions.csv")
    table["time"] = table["image"].map(lambda path: Path(path).parts[-3])
    table.to_csv(tmp_path / "timed.csv", index=False)
    monitor = here.sections()["monitor"]
    timed = str(tmp_path / "timed.csv")
    quiet = replace(monitor, images=timed, until=date(2026, 11, 24))
    stream, left_out = read_stream_node(model, quiet)
    days, _, summary, differs, is_tested = compare_days_node(
        model, stream, left_out, quiet
    )
    assert days["p_embeddings"].isna().all()
    assert days["p_unknown"].notna().all()
    assert not differs
    assert is_tested
    assert summary["sentence"] == "None of 2 days differs from the reference"
    # Compared with the second day's images in place of the stored answers.
    reference = str(photos / "2026-11-24")
    other = replace(quiet, images=str(photos), reference=reference)
    stream, left_out = read_stream_node(model, other)
    summary = compare_days_node(model, stream, left_out, other)[2]
    assert summary["reference"] == {
        "origin": reference,
        "num_images": 30,
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images": None}, "monitor.images is not set"),
        ({"images": "absent"}, "absent: does not exist"),
        ({"images": "conf/base"}, "conf/base: has no image"),
        ({"images": "pyproject.toml"}, "pyproject.toml: is not a folder of images"),
        ({"model": "nothing"}, "no finished run of that key"),
        ({"reference": "absent"}, "monitor.reference = absent: does not exist"),
    ],
)
def test_what_cannot_be_used_is_named(
    here: Any, photos: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    given = {"images": str(photos / "2026-11-23"), "output": str(tmp_path), **settings}
    with pytest.raises(InputError, match=message):
        here.run("monitor", params={"monitor": given})
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_a_threshold_gets_that_of_the_reference(here: Any) -> None:
    model = replace(read_newest_run(here.path / "data"), threshold=None)
    assert model.reference is not None
    scores = model.reference.observed.unknown_scores
    monitor = here.sections()["monitor"]
    stream = pd.DataFrame(
        {
            "day": "2026-11-24",
            "class_1": ["0", "1"],
            "probability_1": [0.5, 0.5],
            "unknown_score": [scores.min(), scores.max()],
        }
    )
    days, _, summary, *said = compare_days_node(model, stream, {}, monitor)
    # Five per cent of the reference's 360 images are above it.
    assert (scores > summary["unknown_threshold"]).sum() == 18
    assert days["share_unknown"].tolist() == [0.5]
    assert said == [False, False]
    assert (
        summary["sentence"] == "No day could be tested; 1 day has fewer than 20 images"
    )


def test_a_model_of_an_earlier_version_has_no_reference(here: Any) -> None:
    model = replace(read_newest_run(here.path / "data"), reference=None)
    monitor = replace(here.sections()["monitor"], images="conf")
    with pytest.raises(
        InputError, match="only-missing-outputs adds it; or name images"
    ):
        read_stream_node(model, monitor)


def test_predictions_of_another_model_are_not_stored(here: Any, tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "time": ["2026-11-24"],
            "class_1": ["zebra"],
            "probability_1": [0.5],
            "unknown_score": [0.1],
        }
    )
    table.to_csv(tmp_path / "other.csv")
    output = tmp_path / "report"
    given = {"images": str(tmp_path / "other.csv"), "output": str(output)}
    with pytest.raises(InputError, match="'zebra' is not a class of the model"):
        here.run("monitor", params={"monitor": given})
    assert not output.exists()


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ({"days_differ": True, "days_tested": True}, 3),
        ({"days_differ": True, "days_tested": False}, 3),  # by labels never learnt
        ({"days_differ": False, "days_tested": False}, 4),
        ({"days_differ": False, "days_tested": True}, None),
        ({}, None),
    ],
)
def test_the_exit_status_says_whether_days_differ(
    monkeypatch: pytest.MonkeyPatch, result: dict[str, bool], status: int | None
) -> None:
    monkeypatch.setattr(cli, "_kedros", lambda **_: result)
    run = cli.run.callback
    assert run is not None
    options: dict[str, Any] = {"runner": None, "runner_params": {}}
    if status is None:
        assert run(**options) == result
    else:
        with pytest.raises(click.exceptions.Exit) as error:
            run(**options)
        assert error.value.exit_code == status
