"""Finished runs of an MLflow experiment as a table."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from kedro.io import AbstractDataset, DatasetError

from daformer_kedro.errors import InputError
from daformer_kedro.evaluation.comparison import MEASURES
from daformer_kedro.evaluation.costs import COSTS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_TAGS = (
    "protocol",
    "edition",
    "baseline",
    "settings_key",
    "run_key",
    "class_order",
    "seed",
)
_SERIES = ("accuracy_after_task", "num_classes_seen")
_PAGE = 500
_EVALUATION = ("mlflow.data.context", "evaluation")
_PARENT_TAG = "mlflow.parentRunId"
_TRIAL_TAG = "trial"
_LOGGER = logging.getLogger(__name__)


class MlflowRunsDataset(AbstractDataset[None, pd.DataFrame]):
    """Runs that are finished and have results; read only.

    Trials of studies are left out unless ``run_keys`` names them.

    Loads a table as :mod:`daformer_kedro.evaluation.repeats` describes it.

    Args:
        experiment: name of the experiment.
        filter: MLflow search filter; empty for all.
        run_keys: take only runs with these keys; ``None`` for all.
        tracking_uri: ``None`` for the one that the session has set.
        metadata: for plugins such as Kedro-Viz.
    """

    def __init__(
        self,
        *,
        experiment: str,
        filter: str = "",
        run_keys: Sequence[str] | None = None,
        tracking_uri: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._experiment = experiment
        self._filter = filter
        self._run_keys = None if run_keys is None else set(run_keys)
        self._tracking_uri = tracking_uri
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Search the experiment.

        Raises:
            InputError: the experiment is not found, MLflow does not understand the
                filter, or no finished run matches it.
        """
        # MLflow takes more than a second to import, also for predict.
        from mlflow import MlflowClient

        client = MlflowClient(self._tracking_uri)
        found = self._search(client)
        rows = [_row(client, run) for run in found if self._is_wanted(run)]
        if not rows:
            keys = "" if self._run_keys is None else " and comparison.run_keys"
            raise InputError(
                f"comparison.filter = {self._filter!r}{keys} matches no finished run "
                f"with results in the experiment {self._experiment!r} ({len(found)} "
                "runs were found in all). Runs are made by kedro run and listed by "
                "kedro mlflow ui."
            )
        missing = (self._run_keys or set()) - {row["run_key"] for row in rows}
        if missing:
            _LOGGER.warning(
                "Not compared, since MLflow has no finished run of: %s",
                ", ".join(sorted(missing)),
            )
        return pd.DataFrame(rows)

    def _is_wanted(self, run: Run) -> bool:
        tags = run.data.tags
        if not _has_results(run):
            return False
        if self._run_keys is None:
            return _PARENT_TAG not in tags
        # A trial of a study is a run like others where it is asked for by name.
        is_whole = _PARENT_TAG not in tags or _TRIAL_TAG in tags
        return is_whole and tags["run_key"] in self._run_keys

    def _search(self, client: MlflowClient) -> list[Run]:
        experiment = client.get_experiment_by_name(self._experiment)
        if experiment is None:
            raise InputError(
                f"comparison.experiment = {self._experiment!r} is not in MLflow; the "
                "first kedro run makes the experiment that conf/base/mlflow.yml names"
            )
        from mlflow.exceptions import MlflowException

        found: list[Run] = []
        token = None
        while True:
            try:
                page = client.search_runs(
                    [experiment.experiment_id],
                    self._filter,
                    max_results=_PAGE,
                    page_token=token,
                )
            except MlflowException as error:
                raise InputError(
                    f"comparison.filter = {self._filter!r} is not a filter that MLflow "
                    "understands, such as tags.protocol = 'digits' and "
                    f"tags.edition = 'S': {error.message}"
                ) from error
            found += page
            token = page.token
            if not token:
                return found

    def save(self, data: None) -> None:
        """Refuse: runs are written by runs."""
        raise DatasetError("MlflowRunsDataset is read only")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"experiment": self._experiment, "filter": self._filter}


def _has_results(run: Run) -> bool:
    return (
        run.info.status == "FINISHED"
        and "average_incremental_accuracy" in run.data.metrics
        and all(tag in run.data.tags for tag in _TAGS)
    )


def _row(client: MlflowClient, run: Run) -> dict[str, Any]:
    tags, metrics, params = run.data.tags, run.data.metrics, run.data.params
    return {
        "run_id": run.info.run_id,
        "start_time": run.info.start_time,
        **{tag: tags[tag] for tag in _TAGS},
        "schedule": tags.get("schedule", "published"),
        "memory": _memory(tags.get("memory_keep", "exemplars"), params),
        "device": tags.get("device", "unknown"),
        **{name: metrics.get(name) for name in (*MEASURES, *COSTS)},
        **{name: _series(client, run.info.run_id, name) for name in _SERIES},
        "settings": dict(params),
        "test_images": _test_images(run),
    }


def _memory(keep: str, params: dict[str, str]) -> str:
    """The budget in the words of the published table."""
    if keep != "exemplars":
        return {"everything": "all data", "nothing": "0"}[keep]
    total = params.get("memory.total", "None")
    if total != "None":
        return total
    return f"{params.get('memory.per_class', '?')} per class"


def _test_images(run: Run) -> str | None:
    """Return the digest of the images that a run was tested on, if it logged one."""
    given = run.inputs.dataset_inputs if run.inputs is not None else []
    found = {
        one.dataset.digest
        for one in given
        if any((tag.key, tag.value) == _EVALUATION for tag in one.tags)
    }
    return found.pop() if len(found) == 1 else None


def _series(client: MlflowClient, run_id: str, name: str) -> list[float]:
    """A metric over the tasks; the last value where one was logged twice."""
    history = client.get_metric_history(run_id, name)
    values = {m.step: m.value for m in sorted(history, key=lambda m: m.timestamp)}
    return [values[step] for step in sorted(values)]
