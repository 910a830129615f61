"""Single steps, baselines, and settings that change which nodes there are."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import pandas as pd
import pytest
import torch
from kedro.framework.project import pipelines
from safetensors.torch import load_file

from daformer_kedro.errors import InputError
from daformer_kedro.serving import Classifier
from daformer_kedro.serving.served_model import read_model


def node_names(project: Any, pipeline: str, **arguments: Any) -> list[str]:
    project.context(**arguments)
    return [node.name for node in pipelines[pipeline].nodes]


def test_pipelines_follow_the_settings(project: Any) -> None:
    project.context(params={"scenario": {"increment": 5}})
    assert set(pipelines) == {
        "__default__",
        "ingestion",
        "task_00",
        "task_01",
        "evaluation",
        "comparison",
        "export",
        "inference",
        "monitor",
        "study",
    }
    project.context(params={"scenario": {"increment": 1}})
    assert len([name for name in pipelines if name.startswith("task_")]) == 10
    project.context(env="cifar100_10-10")
    assert "task_09" in pipelines
    assert "task_10" not in pipelines


def test_kedro_can_read_the_type_hints_of_every_node(project: Any) -> None:
    # It does so at every start, and warns of each that it cannot read.
    project.context(params={"baseline": "nearest_mean"})
    functions = {
        node.func for pipeline in pipelines.values() for node in pipeline.nodes
    }
    assert len(functions) > 15
    for function in functions:
        assert get_type_hints(function)


def test_a_task_has_a_node_for_each_stage(project: Any) -> None:
    assert node_names(project, "task_01") == [
        "task_01.assemble_task_data",
        "task_01.find_teacher_neighbours",
        "task_01.train_task",
        "task_01.select_exemplars",
        "task_01.draw_exemplars",
        "task_01.finetune_on_memory",
        "task_01.evaluate_task",
    ]


def test_a_task_runs_alone_from_what_the_task_before_left(project: Any) -> None:
    project.run("ingestion", "task_00")
    project.run("task_01")
    metrics = project.folder("08_reporting") / "task_01" / "metrics.json"
    assert json.loads(metrics.read_text())["num_classes_seen"] == 7


def test_a_task_without_the_one_before_is_refused_by_name(project: Any) -> None:
    project.run("ingestion")
    before = project.files()
    with pytest.raises(InputError, match=r"task_01\.checkpoint is needed and not th"):
        project.run("task_02")
    assert project.files() == before


def test_finetune_has_no_memory_no_teacher_signal_and_no_finetuning(
    project: Any,
) -> None:
    names = node_names(project, "task_01", params={"baseline": "finetune"})
    assert names == [
        "task_01.assemble_task_data",
        "task_01.find_teacher_neighbours",
        "task_01.train_task",
        "task_01.evaluate_task",
    ]
    project.run(params={"baseline": "finetune"})
    history = pd.read_csv(project.folder("08_reporting") / "history.csv")
    losses = {name for name in history.columns if name.startswith("loss_")}
    assert losses == {"loss_classification"}
    data = project.folder("05_model_input") / "task_02" / "task_data.parquet"
    assert set(pd.read_parquet(data)["target"]) == {7, 8, 9}


def test_joint_trains_on_all_classes_seen(project: Any) -> None:
    project.run(params={"baseline": "joint"})
    data = project.folder("05_model_input") / "task_02" / "task_data.parquet"
    table = pd.read_parquet(data)
    assert set(table["target"]) == set(range(10))
    assert len(table) == 1437
    # Now every other run of these settings has an upper bound to show.
    bound = project.load("joint_metrics")
    accuracy = json.loads((project.folder("08_reporting") / "metrics.json").read_text())
    assert bound["last_accuracy"] == accuracy["last_accuracy"]


@pytest.mark.parametrize("baseline", ["replay", "dytox", "weight_alignment"])
def test_baselines_run(project: Any, baseline: str) -> None:
    project.run(params={"baseline": baseline})
    history = pd.read_csv(project.folder("08_reporting") / "history.csv")
    assert "loss_knn_distillation" not in history
    assert ("loss_logit_distillation" in history) == (baseline != "replay")
    assert ("finetune" in set(history["phase"])) == (baseline != "weight_alignment")


def test_the_nearest_mean_classifies_from_the_first_task_to_the_served_model(
    project: Any,
) -> None:
    project.run(params={"baseline": "nearest_mean"})
    models = project.folder("06_models")
    for task, classes in enumerate((4, 7, 10)):
        weights = load_file(models / f"task_0{task}" / "checkpoint.safetensors")
        means = weights["closed_form.means"]
        assert means.shape == (classes, 16 * (task + 1))
        assert torch.allclose(means.norm(dim=1), torch.ones(classes))
    predictions = pd.read_parquet(
        project.folder("07_model_output") / "task_02" / "predictions.parquet"
    )
    served = Classifier(read_model(models / "task_02", "nearest"))
    shown = project.load("images").test_images[predictions["sample_index"][:50]]
    answers = served.answer(shown)
    # A bias for each task may have been calibrated: it moves whole tasks alone.
    first = answers.probabilities[:, :4].argmax(axis=1)
    heads_alone = predictions["predicted"][:50].to_numpy()
    own = heads_alone < 4
    assert own.any()
    assert (first[own] == heads_alone[own]).all()


@pytest.mark.parametrize(
    "params",
    [
        {"model": {"edition": "M"}},
        {"losses": {"knn_distillation": {"scope": "batch"}}},
        {"losses": {"pooled_distillation": {"weight": 1.0}}, "model": {"depth": 3}},
        {"training": {"sharpness": {"rho": 1.0}, "clip_norm": 1.0}},
        {"memory": {"total": None, "per_class": 2, "selection": "random"}},
        {"augmentation": {"repeats": 3, "cutmix_alpha": 1.0}},
        {"training": {"precision": "bfloat16"}},
    ],
)
def test_variants_run_to_the_end(project: Any, params: dict[str, Any]) -> None:
    project.run(params=params)
    metrics = json.loads((project.folder("08_reporting") / "metrics.json").read_text())
    assert 0 <= metrics["last_accuracy"] <= 1


def test_results_of_different_settings_lie_side_by_side(project: Any) -> None:
    for epochs in (1, 2):
        params = {"training": {"epochs": epochs}}
        project.run("ingestion", "task_00", params=params)
    folders = list((project.path / "data" / "06_models").iterdir())
    assert len(folders) == 2
    assert len(list((project.path / "data" / "02_intermediate").iterdir())) == 1


REFUSED = [
    ({"trainin": {"epochs": 1}}, r"^trainin is not a parameter"),
    ({"scenario": {"class_order": [0, 1, 1]}}, r"scenario\.class_order"),
    ({"scenario": {"increment": 3}}, r"scenario\.increment = 3 "),
    ({"memory": {"total": 9}}, r"memory\.total = 9 is smaller than the 10 classes"),
    ({"model": {"patch_size": 3}}, r"model\.patch_size = 3 does not divide"),
    ({"memory": {"selection": "best"}}, r"memory\.selection = 'best' must be"),
    ({"model": {"edition": "XL"}}, r"model\.edition = 'XL' must be 'S' or 'M'"),
    ({"baseline": "ewc"}, r"baseline = 'ewc' is unknown"),
    ({"augmentation": {"rand_augment": "rand-x9"}}, r"augmentation\.rand_augment"),
    ({"training": {"device": "cuda:77"}}, r"training\.device = 'cuda:77'"),
    ({"training": {"devices": 3}}, r"batch_size = 64 .*training\.devices = 3"),
    ({"preprocessing": {"mean": [0, 0], "std": [1, 1]}}, r"preprocessing\.mean"),
]


@pytest.mark.parametrize(("params", "message"), REFUSED)
def test_bad_parameters_end_before_anything_is_written(
    project: Any, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        project.run(params=params, given_database=False)
    assert not project.files()
    assert not (project.path / "mlflow.db").exists()


def test_missing_data_says_where_it_looked_and_how_to_get_it(project: Any) -> None:
    params = {"source": {"path": "nowhere"}}
    with pytest.raises(InputError, match=r"(?s)nowhere.*cifar-100-python.*parquet"):
        project.run(env="cifar100_mini", params=params)
    assert not project.files()


def test_a_baseline_and_an_environment_merge_key_by_key(project: Any) -> None:
    merged = project.parameters(training={"epochs": 9}, baseline="replay")
    assert merged["training"]["epochs"] == 9  # --params
    assert merged["training"]["batch_size"] == 64  # conf/test
    assert merged["training"]["weight_decay"] == 1e-4  # conf/base
    assert merged["losses"]["knn_distillation"]["weight"] == 0.0  # the baseline
    assert merged["losses"]["knn_distillation"]["num_neighbours"] == 5


@pytest.mark.parametrize(
    ("params", "drawn"),
    [
        ({"baseline": "dytox"}, False),
        ({"model": {"edition": "M", "attention": ["internal"]}}, True),
    ],
)
def test_attention_is_drawn_where_there_is_dual_attention(
    project: Any, params: dict[str, Any], drawn: bool
) -> None:
    project.run(params=params)
    folder = project.folder("08_reporting")
    assert (folder / "attention.png").exists() == drawn
    assert ("Attention</figcaption>" in (folder / "report.html").read_text()) == drawn
