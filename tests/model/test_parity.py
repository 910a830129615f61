"""Numbers of the released code, through the benchmark that compares them."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
FIXTURE = ROOT / "tests" / "reference" / "daformer_s_3tasks.npz"


@pytest.fixture(scope="module")
def parity():
    location = ROOT / "benchmarks" / "parity.py"
    spec = importlib.util.spec_from_file_location("parity", location)
    module = importlib.util.module_from_spec(spec)
    sys.modules["parity"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["parity"]


@pytest.fixture(scope="module")
def arrays():
    with np.load(FIXTURE) as stored:
        return {name: stored[name] for name in stored.files}


def write(folder, arrays, sizes=None):
    path = folder / "fixture.npz"
    np.savez(path, **arrays)
    text = FIXTURE.with_suffix(".json").read_text() if sizes is None else sizes
    path.with_suffix(".json").write_text(text)
    return path


def without(arrays, *prefixes):
    return {n: v for n, v in arrays.items() if not n.startswith(prefixes)}


def test_everything_in_the_fixture_is_matched(parity, capsys):
    assert parity.main([str(FIXTURE)]) == 0
    report = capsys.readouterr().out
    for name in ("logits_div", "teacher_embedding/1", "loss/total_at_ascent", "frozen"):
        assert f"  {name} " in report
    for group, count in (("grad/", 54), ("asam_ascent/", 54), ("after_step/", 64)):
        assert report.count(f"  {group}") == count
    assert "not compared" not in report


@pytest.mark.parametrize(
    ("name", "shift"),
    [
        ("logits", 1e-4),
        ("embedding/2", 1e-4),
        ("teacher_logits", 1e-4),
        ("loss/distillation", 1e-4),
        ("grad/sabs.1.attn.gating_param", 1e-4),
        ("grad/keys.2.weight", np.nan),
        ("asam_ascent/head.2.head.bias", 1e-4),
        ("loss/total_at_ascent", 1e-4),
        ("after_step/duals.0.attn.to_k.weight", 1e-3),
        ("herding/order_20", 1),
        ("pod/loss_scale1", 1e-4),
    ],
)
def test_a_disturbed_number_is_found(parity, arrays, tmp_path, capsys, name, shift):
    disturbed = arrays[name].copy()
    disturbed.flat[0] += shift
    path = write(tmp_path, arrays | {name: disturbed})
    assert parity.main([str(path)]) == 1
    failures = [x for x in capsys.readouterr().out.splitlines() if "ABOVE" in x]
    assert [line.split()[0] for line in failures] == [name]


def test_a_name_missing_from_frozen_is_found(parity, arrays, tmp_path):
    path = write(tmp_path, arrays | {"frozen": arrays["frozen"][1:]})
    assert parity.main([str(path)]) == 1


def test_absent_groups_are_reported(parity, arrays, tmp_path, capsys):
    groups = ("teacher", "loss", "grad", "asam", "after", "herding", "pod", "frozen")
    assert parity.main([str(write(tmp_path, without(arrays, *groups)))]) == 0
    report = capsys.readouterr().out
    for name in ("teacher", "loss/total", "grad", "after_step", "herding", "pod"):
        assert any(line.split() == [name, "absent"] for line in report.splitlines())


def test_any_number_of_pooled_maps(parity, arrays, tmp_path):
    # The released loss is a mean over maps, so repeating them all changes nothing.
    doubled = {n: np.concatenate([arrays[n]] * 2) for n in ("pod/new", "pod/old")}
    kept = {n: v for n, v in arrays.items() if n.startswith(("pod", "herding"))}
    assert parity.main([str(write(tmp_path, kept | doubled))]) == 0


def test_sizes_that_differ_from_the_weights(parity, arrays, tmp_path, capsys):
    sizes = json.loads(FIXTURE.with_suffix(".json").read_text()) | {"heads": 6}
    path = write(tmp_path, arrays, json.dumps(sizes))
    assert parity.main([str(path)]) == 2
    assert "model.num_heads = 6" in capsys.readouterr().err


def test_a_damaged_file(parity, tmp_path, capsys):
    path = write(tmp_path, {"x": np.zeros(3)})
    path.write_bytes(path.read_bytes()[:50])
    assert parity.main([str(path)]) == 2
    assert str(path) in capsys.readouterr().err
