"""Images that no run has seen, from files to tables and exported files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from daformer_kedro.errors import InputError


@pytest.fixture(scope="module")
def photos(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Test digits as PNG files, named by their rows, and one that is broken."""
    folder = tmp_path_factory.mktemp("photos")
    arrays = finished.folder("02_intermediate") / "images" / "test_images.npy"
    for row, pixels in enumerate(np.load(arrays)[:40]):
        Image.fromarray(pixels[..., 0]).save(folder / f"{row:03}.png")
    (folder / "999.png").write_bytes(b"no image")
    return folder


def infer(
    project: Any, photos: Path, output: Path, env: str = "test", **more: Any
) -> Any:
    settings = {"images": str(photos), "output": str(output), "batch_size": 16, **more}
    project.run("inference", env=env, params={"inference": settings})
    return pd.read_parquet(output / "predictions.parquet")


@pytest.fixture
def here(finished: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(finished.path)
    return finished


def test_files_are_classified_as_the_last_task_was_tested(
    here: Any, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    locks = {f.name: f.stat().st_mtime_ns for f in here.path.glob("data/journal/*")}
    runs = len(MlflowClient(f"sqlite:///{here.path}/mlflow.db").search_runs(["1"]))
    table = infer(here, photos, tmp_path)
    said = capsys.readouterr().out
    key = here.folder("06_models").name
    assert f"Model: {key} (newest finished run)" in said
    assert "40 images classified; 1 could not be read" in said
    tested = here.folder("07_model_output") / "task_02" / "predictions.parquet"
    stored = pd.read_parquet(tested).set_index("sample_index")
    good = table[table["error"].isna()]
    assert len(table) == 41
    assert len(good) == 40
    for path, first, fifth in zip(
        good["image"], good["class_1"], good["class_5"], strict=True
    ):
        row = stored.loc[int(Path(path).stem)]
        assert (first, fifth) == (str(row["top_1"]), str(row["top_5"]))
    assert set(good["task_1"]) <= {0, 1, 2}
    assert table["error"].iloc[-1].startswith("cannot be read as an image")
    text = pd.read_csv(tmp_path / "predictions.csv", dtype={"class_1": "string"})
    assert text["class_1"].equals(table["class_1"])
    # It is no run: nothing is locked, nothing logged.
    after = {f.name: f.stat().st_mtime_ns for f in here.path.glob("data/journal/*")}
    assert after == locks
    client = MlflowClient(f"sqlite:///{here.path}/mlflow.db")
    assert len(client.search_runs(["1"])) == runs


def test_the_images_that_were_learnt_need_not_be_there(
    here: Any, photos: Path, tmp_path: Path
) -> None:
    table = infer(here, photos / "001.png", tmp_path, env="image_folder")
    assert table["class_1"].notna().tolist() == [True]


def test_a_model_is_named_by_run_key_or_by_its_run_in_mlflow(
    here: Any, photos: Path, tmp_path: Path
) -> None:
    key = here.folder("06_models").name
    one = infer(here, photos / "000.png", tmp_path / "a", model=key)
    client = MlflowClient(f"sqlite:///{here.path}/mlflow.db")
    runs = client.search_runs(["1"], "attributes.run_name like 'test_S%'")
    assert len(runs) == 1
    other = infer(here, photos / "000.png", tmp_path / "b", model=runs[0].info.run_id)
    assert one.equals(other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "nothing"}, "no finished run of that key"),
        ({"model": "models:/nothing/1"}, "could not be loaded from MLflow"),
        ({"model": "0" * 32}, "could not be loaded from MLflow"),
        ({"images": None}, "inference.images is not set"),
        ({"images": "absent"}, "absent: does not exist"),
    ],
)
def test_what_cannot_be_found_is_named(
    here: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        here.run("inference", params={"inference": {"images": "conf", **settings}})


def test_without_a_finished_run_there_is_nothing_to_use(project: Any) -> None:
    with pytest.raises(InputError, match="no finished run is in"):
        project.run("inference", params={"inference": {"images": "conf"}})


def test_confidence_is_measured_and_kept_beside_the_model(finished: Any) -> None:
    reporting = finished.folder("08_reporting")
    confidence = json.loads((reporting / "confidence.json").read_text())
    about = confidence["calibration"]
    assert about["temperature"] > 0
    assert set(about["expected_calibration_error"]) == {"test", "memory"}
    assert about["num_exemplars"] == 30
    areas = confidence["unknown"]["after_task"]
    # Test digits of the classes that come later, see the split into tasks.
    assert [(a["task"], a["num_known"], a["num_unknown"]) for a in areas] == [
        (0, 144, 216),
        (1, 253, 107),
    ]
    names = {f.name for f in (finished.folder("06_models") / "task_02").iterdir()}
    assert {
        "checkpoint.safetensors",
        "calibration.json",
        "known_images.safetensors",
        "model_facts.json",
    } <= names
    page = (reporting / "report.html").read_text()
    assert "Calibration error, before → after" in page
    assert "Unknown images, area under ROC" in page
    client = MlflowClient(f"sqlite:///{finished.path}/mlflow.db")
    logged = [
        run.data.metrics.get("unknown_auroc") for run in client.search_runs(["1"])
    ]
    assert confidence["unknown"]["average_auroc"] in logged


WITHOUT_THIS_PACKAGE = """
import json, sys
sys.modules["daformer_kedro"] = None
import numpy as np, onnxruntime, torch
folder = sys.argv[1]
images = np.load(sys.argv[2])
session = onnxruntime.InferenceSession(f"{folder}/model.onnx")
about = session.get_modelmeta().custom_metadata_map
names = json.loads(about["class_names"])
extra = {"metadata.json": ""}
program = torch.export.load(f"{folder}/model.pt2", extra_files=extra).module()
assert json.loads(extra["metadata.json"])["class_names"] == names
for size in (1, 100):
    batch = images[:size]
    first, score = session.run(None, {"images": batch})
    second, other = program(torch.from_numpy(batch))
    assert np.abs(first - second.detach().numpy()).max() < 1e-5
    assert np.abs(score - other.detach().numpy()).max() < 1e-5
print(json.dumps([names[best] for best in first.argmax(1)]))
"""


@pytest.mark.slow
def test_exported_files_run_without_this_package(
    finished: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("onnxruntime")
    here = finished.copy(tmp_path / "project")
    monkeypatch.chdir(here.path)
    here.run("export")
    key = here.folder("06_models").name
    folder = here.path / "data" / "06_models" / key / "export"
    assert f"Exported to data/06_models/{key}/export" in capsys.readouterr().out
    assert {f.name for f in folder.iterdir()} == {
        "model.onnx",
        "model.pt2",
        "metadata.json",
        "MODEL_CARD.md",
    }
    checks = json.loads((folder / "metadata.json").read_text())["largest_difference"]
    assert checks["on_test_images"]
    assert max(checks["onnx"], checks["program"]) < 1e-5
    arrays = here.folder("02_intermediate") / "images" / "test_images.npy"
    script = tmp_path / "use.py"
    script.write_text(WITHOUT_THIS_PACKAGE)
    done = subprocess.run(
        [sys.executable, str(script), str(folder), str(arrays)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tested = here.folder("07_model_output") / "task_02" / "predictions.parquet"
    stored = pd.read_parquet(tested).set_index("sample_index")["top_1"].astype(str)
    assert json.loads(done.stdout) == stored.loc[range(100)].tolist()
    card = (folder / "MODEL_CARD.md").read_text()
    assert "| 0 | 0, 1, 2, 3 |" in card
    assert f"kedro run --pipelines export --params export.model={key}" in card
