"""Finished runs of MLflow as a table: which ones, and what is known of them."""

from __future__ import annotations

from typing import Any

import pytest
from kedro.io import DatasetError
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.tracking import MlflowClient

from daformer_kedro.datasets import MlflowRunsDataset

# MLflow's own.
pytestmark = pytest.mark.filterwarnings("ignore")

TAGS = dict.fromkeys(
    ["protocol", "edition", "baseline", "settings_key", "class_order", "seed"], "0"
)


class Server:
    """Runs in MLflow, made by hand."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.client = MlflowClient(uri)
        self.experiment = self.client.create_experiment("daformer")

    def add(self, key: str, digest: str = "", **tags: str) -> None:
        """Add a finished run that was tested on the images of a digest."""
        tags |= {**TAGS, "run_key": key}
        run_id = self.client.create_run(self.experiment, tags=tags).info.run_id
        self.client.log_metric(run_id, "average_incremental_accuracy", 0.5)
        if digest:
            inputs = [
                DatasetInput(
                    Dataset(context, f"{digest}{context}", "local", "{}"),
                    [InputTag("mlflow.data.context", context)],
                )
                for context in ("training", "evaluation")
            ]
            self.client.log_inputs(run_id, inputs)
        self.client.set_terminated(run_id)

    def load(self, **arguments: Any) -> dict[str, Any]:
        """Return the digest of the test images by run key."""
        runs = MlflowRunsDataset(
            experiment="daformer", tracking_uri=self.uri, **arguments
        ).load()
        return dict(zip(runs["run_key"], runs["test_images"], strict=True))


@pytest.fixture
def server(project: Any) -> Server:
    project._provide_database()
    return Server(f"sqlite:///{project.path}/mlflow.db")


def test_a_trial_is_loaded_where_it_is_named_and_its_tasks_never(
    server: Server,
) -> None:
    nested = {"mlflow.parentRunId": "above"}
    server.add("run")
    server.add("trial", trial="0", **nested)
    server.add("trial", **nested)  # a task of it
    assert set(server.load()) == {"run"}
    assert set(server.load(run_keys=["trial"])) == {"trial"}
    assert set(server.load(run_keys=["trial", "run"])) == {"run", "trial"}
    with pytest.raises(
        DatasetError, match=r"'' and comparison.run_keys matches no fin"
    ):
        server.load(run_keys=["other"])


def test_the_images_of_a_run_are_known_by_their_digest(server: Server) -> None:
    server.add("cats", "cats_")
    server.add("dogs", "dogs_")
    server.add("unknown")
    found = server.load()
    assert found["cats"] == "cats_evaluation"
    assert found["dogs"] == "dogs_evaluation"
    assert not isinstance(found["unknown"], str)
    chosen = "dataset.digest = 'dogs_evaluation'"
    assert set(server.load(filter=chosen)) == {"dogs"}
