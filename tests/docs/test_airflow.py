"""The DAG that ``kedro airflow create`` writes: its steps, and what they leave."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import jinja2
import pytest
from click.testing import CliRunner
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project
from mlflow.tracking import MlflowClient

TEMPLATE = Path(__file__).parents[2] / "deployment" / "airflow_dag.py.j2"
STEPS = ["ingestion", "task_00", "task_01", "task_02", "evaluation"]

# What Kedro's and MLflow's parts say of each other.
pytestmark = pytest.mark.filterwarnings("ignore", "error:::daformer_kedro")


class Dag:
    """Stands for ``airflow.sdk.DAG``: keeps the tasks that are made in it."""

    made: Dag

    def __init__(self, dag_id: str, **options: Any) -> None:
        self.dag_id = dag_id
        self.options = options
        self.tasks: list[Task] = []
        Dag.made = self

    def __enter__(self) -> Dag:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Task:
    """Stands for ``BashOperator``."""

    def __init__(
        self, task_id: str, bash_command: str, env: dict[str, str], append_env: bool
    ) -> None:
        assert append_env
        self.task_id = task_id
        self.command = bash_command
        self.env = env
        self.before: list[str] = []
        Dag.made.tasks.append(self)

    def __rshift__(self, other: Task) -> None:
        other.before.append(self.task_id)


def modules() -> dict[str, ModuleType]:
    """What a DAG file imports of Airflow, which this environment need not have."""
    found = {}
    for name in ("", ".sdk", ".providers", ".providers.standard"):
        found[f"airflow{name}"] = ModuleType(f"airflow{name}")
    for name in ("operators", "operators.bash"):
        name = f"airflow.providers.standard.{name}"
        found[name] = ModuleType(name)
    vars(found["airflow.sdk"]).update(DAG=Dag, Param=lambda value, **_: value)
    vars(found["airflow.providers.standard.operators.bash"]).update(BashOperator=Task)
    return found


@pytest.fixture
def dag(project: Any, monkeypatch: pytest.MonkeyPatch) -> Dag:
    """The DAG of the test environment, as docs/deployment.md writes it."""
    plugin = pytest.importorskip("kedro_airflow.plugin", reason="no kedro-airflow")
    project._provide_database()
    programs = Path(sys.executable).parent
    words = ["airflow", "create", "--env", "test", "--group-by", "namespace"]
    words += ["--jinja-file", str(TEMPLATE), "--target-dir", "dags"]
    words += ["--params", f"project={project.path},programs={programs}"]
    metadata = bootstrap_project(project.path)
    result = CliRunner().invoke(plugin.commands, words, obj=metadata)
    assert result.exit_code == 0, result.output
    for name, module in modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    runpy.run_path(str(project.path / "dags" / "daformer_kedro_test_dag.py"))
    return Dag.made


def test_each_step_of_a_run_is_a_task_that_waits_for_the_one_before(dag: Dag) -> None:
    assert dag.dag_id == "daformer_kedro_test"
    assert [task.task_id for task in dag.tasks] == STEPS
    assert [task.before for task in dag.tasks] == [[], *([step] for step in STEPS[:-1])]
    assert dag.options["max_active_runs"] == 1  # others would find results locked
    nodes = [node for step in STEPS for node in pipelines[step].nodes]
    assert set(nodes) == set(pipelines["__default__"].nodes)
    # Files are all that one of these processes has of another.
    assert {task.env["STEP"] for task in dag.tasks} == set(STEPS)


@pytest.mark.slow
def test_tasks_in_processes_of_their_own_leave_what_one_run_leaves(
    dag: Dag, project: Any, finished: Any
) -> None:
    first = ""
    for task in dag.tasks:
        fields = {
            "params": {"settings": "cache.resume=false"},
            "ti": SimpleNamespace(xcom_pull={"ingestion": first}.get),
        }
        env = {k: jinja2.Template(v).render(fields) for k, v in task.env.items()}
        done = subprocess.run(
            ["bash", "-c", task.command],
            env=os.environ | env,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        assert done.returncode == 0, done.stderr
        first = first or done.stdout.splitlines()[-1]
        assert done.stdout.splitlines()[-1] == first
    for path in finished.files():
        same = (".safetensors", ".json", ".parquet", ".npy")
        if path.suffix in same and path.name != "costs.json":  # holds durations
            wanted = (finished.path / "data" / path).read_bytes()
            assert (project.path / "data" / path).read_bytes() == wanted, path
    client = MlflowClient(f"sqlite:///{project.path}/mlflow.db")
    runs = {run.info.run_id: run for run in client.search_runs(["1"])}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    parent = runs.pop(first)
    assert "average_incremental_accuracy" in parent.data.metrics
    assert sorted(run.info.run_name for run in runs.values()) == STEPS[1:-1]
