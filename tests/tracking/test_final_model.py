"""The logged model, loaded as a stranger would load it."""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.tracking import MlflowClient

from daformer_kedro.model.encoders import encoder_class


def model_folder(project: Any) -> Any:
    (found,) = (project.path / "mlartifacts" / "models").iterdir()
    return found / "artifacts"


def test_the_model_predicts_what_the_last_task_predicted(finished: Any) -> None:
    model = mlflow.pyfunc.load_model(str(model_folder(finished)))
    images = np.load(finished.folder("02_intermediate") / "images" / "test_images.npy")
    stored = pd.read_parquet(
        finished.folder("07_model_output") / "task_02" / "predictions.parquet"
    )
    answers = model.predict(images[stored["sample_index"]])
    assert answers["class_name"].tolist() == stored["predicted"].astype(str).tolist()
    assert answers["probability"].between(0.1, 1).all()
    assert (answers["probability"] == answers["probability_1"]).all()
    assert answers["unknown_score"].notna().all()


def test_the_model_is_data_code_and_pinned_requirements(finished: Any) -> None:
    folder = model_folder(finished)
    about = yaml.safe_load((folder / "MLmodel").read_text())
    assert about["metadata"] == {"image_shape": [8, 8, 1]}
    assert '"unknown_score"' in about["signature"]["outputs"]
    assert about["saved_input_example_info"]
    assert not [*folder.rglob("*.pkl"), *folder.rglob("*.pickle")]
    assert not about["flavors"]["python_function"].get("python_model")
    lines = (folder / "requirements.txt").read_text().split()
    assert all("==" in line for line in lines)
    assert any(line.startswith("torch==") for line in lines)


def test_the_model_is_registered_on_request_alone(project: Any, finished: Any) -> None:
    uri = f"sqlite:///{finished.path}/mlflow.db"
    assert not MlflowClient(uri, uri).search_registered_models()
    project.run(params={"mlflow": {"register_model_as": "digits"}})
    uri = f"sqlite:///{project.path}/mlflow.db"
    (model,) = MlflowClient(uri, uri).search_registered_models()
    assert model.name == "digits"


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 9, 8, 1)])
def test_images_of_another_shape_are_refused(finished: Any, shape: Any) -> None:
    model = mlflow.pyfunc.load_model(str(model_folder(finished)))
    with pytest.raises(Exception, match="shape"):
        model.predict(np.zeros(shape, np.uint8))


def test_networks_of_timm_need_timm_and_no_other_model_does() -> None:
    assert encoder_class("gated_attention").requirements == ()
    assert encoder_class("tf_efficientnet_lite0").requirements == ("timm",)
