"""The check of a GPU and the timed run, on a CPU and on tiny networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from daformer_kedro.scenario.sources.cifar import CIFAR100

TINY = {
    "model.embed_dim": 24,
    "model.depth": 2,
    "model.num_heads": 4,
    "memory.total": 20,
    "finetuning.epochs": 2,
}
PARAMS = ",".join(f"{key}={value}" for key, value in TINY.items())


@pytest.fixture
def gpu(benchmark_module):
    return benchmark_module("gpu")


def test_every_part_of_the_check_works(gpu, tmp_path, capsys):
    arguments = ["check", "--device", "cpu", "--tiny", "--out", str(tmp_path)]

    assert gpu.main(arguments) == 0

    found = json.loads((tmp_path / "check.json").read_text())
    on_gpus_alone = {"synchronisation"}
    assert set(found) == set(gpu.PARTS) - on_gpus_alone
    (errors,) = found["released_numbers"].values()
    assert max(errors.values()) < 1e-4
    for form in ("S", "M", "DyTox"):
        assert found["parity"][f"{form} float32 tf32=False"]["gradients"] < 1e-5
        assert found["parity"][f"{form} bfloat16"]["gradients"] < 0.05
    assert found["augmentation"]["different_levels"] == 0
    assert found["graph_parity"]["worst"] == 0
    assert found["encoder"]["TFLOP"] > 0
    assert found["repeatable"] == {"float32": 0, "bfloat16": 0}
    assert "released numbers" in capsys.readouterr().out.partition("== summary ==")[2]


def test_goals_are_worked_out_by_hand(benchmark_module):
    goals = benchmark_module("on_gpu.goals")
    steps = {
        "eager T=1 rho=0": {"ms": 4.0},
        "graph T=1 rho=0": {"ms": 2.0},
        "graph T=10 rho=0": {"ms": 5.0},
        "graph T=2 rho=3": {"ms": 3.0},
        "graph T=10 rho=3": {"ms": 7.0},
        "compiled T=10 rho=3": {"error": "no compiler"},
    }
    results = {
        "steps": steps,
        "textbook": {"textbook T=1 float32": 30.0, "package T=1 float32": 3.0},
        "augmentation": {"ms_a_step": 0.5},
        "encoder": {"of_peak": 0.4},
    }
    found = goals.reached(results)
    # 2.5 ms in the first task; 3.5 to 7.5 ms in nine others, 49.5 ms in all:
    # 500 (39 * 2.5 + 54 * 49.5) + 20 * 15 * 49.5 = 1,400,100 ms, and 30 s beside.
    assert found["published_minutes"] == pytest.approx(1430.1 / 60)
    assert found["images_against_textbook_T1"] == 15.0
    assert found["encoder_of_peak"] == 0.4
    assert "images_against_textbook_T10" not in found


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="the check itself: this machine has no GPU"
)
def test_a_gpu_waits_nowhere_and_replays_to_the_bit(gpu, tmp_path):
    parts = "released_numbers,parity,synchronisation,graph_parity,repeatable"
    arguments = ["check", "--tiny", "--only", parts, "--out", str(tmp_path)]

    assert gpu.main(arguments) == 0

    found = json.loads((tmp_path / "check.json").read_text())
    (errors,) = found["released_numbers"].values()
    assert max(errors.values()) < 1e-3
    assert found["synchronisation"] == {}
    assert found["graph_parity"]["worst"] == 0
    assert found["repeatable"] == {"float32": 0, "bfloat16": 0}


def test_a_part_that_fails_costs_no_other(gpu, tmp_path, monkeypatch):
    def broken(bench):
        raise RuntimeError("no such kernel")

    monkeypatch.setitem(gpu.PARTS, "ceilings", broken)
    arguments = ["check", "--device", "cpu", "--only", "ceilings,machine"]

    assert gpu.main([*arguments, "--out", str(tmp_path)]) == 1

    found = json.loads((tmp_path / "check.json").read_text())
    assert "no such kernel" in found["ceilings"]["error"]
    assert found["machine"]["cores"] > 0


def test_an_unknown_part_is_refused(gpu, capsys):
    with pytest.raises(SystemExit):
        gpu.main(["check", "--only", "machine,speed"])
    assert "speed: not a part; allowed: machine, ceilings" in capsys.readouterr().err


@pytest.fixture
def packed(gpu, tmp_path) -> list[Path]:
    """A tiny CIFAR-100, three training images and a test image a class."""
    rng = np.random.default_rng(0)
    for name in CIFAR100.class_names:
        for split, num in (("train", 3), ("test", 1)):
            folder = tmp_path / "cifar" / split / name
            folder.mkdir(parents=True)
            for number in range(num):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png", compress_level=0)
    folders = [tmp_path / "a", tmp_path / "b"]
    gpu.main(["pack", str(tmp_path / "cifar"), *map(str, folders)])
    return folders


def test_packing_keeps_every_pixel(benchmark_module, packed, tmp_path):
    packing = benchmark_module("on_gpu.packing")

    both, first = packing.unpack(packed), packing.unpack(packed[:1])

    assert both.tasks == tuple(range(10))
    assert first.tasks == (0, 1, 2, 3, 4)
    label = both.class_order[0]
    name = CIFAR100.class_names[label]
    assert both.class_names[0] == name
    stored = both.images.train_images[both.images.train_labels == label]
    for number, pixels in enumerate(stored):
        path = tmp_path / "cifar" / "train" / name / f"{number}.png"
        assert (np.asarray(Image.open(path)) == pixels).all()
    samples = both.samples()
    own = samples[(samples["task"] == 0) & (samples["split"] == "train")]
    assert len(own) == 30
    assert set(own["target"]) == set(range(10))


def test_a_timed_run_resumes_as_if_it_had_not_stopped(
    gpu, benchmark_module, packed, tmp_path, monkeypatch
):
    report = benchmark_module("on_gpu.report").Report

    def train(name: str) -> dict:
        folder = tmp_path / name
        arguments = ["train", "--device", "cpu", "--tasks", "2", "--params", PARAMS]
        arguments += [
            "--data",
            *map(str, packed),
            "--epochs",
            "2",
            "--out",
            str(folder),
        ]
        arguments += ["--run-dir", str(folder), "--checked", str(folder / "none")]
        assert gpu.main(arguments) == 0
        return json.loads((folder / "train.json").read_text())

    whole = train("whole")
    with monkeypatch.context() as patch:
        # Over after the first of two epochs of the second task.
        asked = iter([100] * 3 + [-1] * 100)
        patch.setattr(report, "left", lambda self: next(asked))
        assert len(train("halves")["accuracies"]) == 1
    assert list((tmp_path / "halves").glob("task_01_*.state"))
    resumed = train("halves")

    assert len(whole["accuracies"]) == 2
    assert resumed["accuracies"] == whole["accuracies"]
    models = [tmp_path / name / "task_01_model" for name in ("whole", "halves")]
    assert models[0].read_bytes() == models[1].read_bytes()
    part = tmp_path / "whole" / "task_01_model.safetensors.00"
    assert part.read_bytes() == models[0].read_bytes()


def test_the_fastest_way_that_is_trusted_is_taken(benchmark_module, tmp_path):
    plans = benchmark_module("on_gpu.plans")
    names = ("eager", "compiled", "graph")
    results = {
        "steps": {
            "eager T=1 rho=0": {"ms": 4.0},
            "eager T=10 rho=3": {"ms": 20.0},
            "graph T=1 rho=0": {"ms": 2.0},
            "graph T=10 rho=3": {"ms": 10.0},
            "compiled T=10 rho=3": {"error": "no compiler"},
        },
        "graph_parity": {"worst": 1e-6},
        "augmentation": {"ms_a_step": 1.0},
    }
    path = tmp_path / "check.json"
    assert plans.fastest_pace(path, 3.0, names).plan == "eager"
    path.write_text(json.dumps(results))

    pace = plans.fastest_pace(path, 3.0, names)

    assert pace == plans.Pace("graph", 3.0, 11.0)
    # Later tasks take 3 + 8 t / 9 ms a step, t = 1 to 9: 67 ms in all. An epoch is then
    # 39 * 3 + 54 * 67 = 3,735 ms, finetuning 20 * 15 * 67 ms = 20.1 s, and of 480 s are
    # left 0.93 * 480 - 30 - 20.1 = 396.3 s: 106 epochs.
    assert pace.epochs_within(480, most=500) == 106
    assert pace.epochs_within(480, most=100) == 100
    results["graph_parity"]["worst"] = 0.5
    path.write_text(json.dumps(results))
    assert plans.fastest_pace(path, 3.0, names).plan == "eager"
