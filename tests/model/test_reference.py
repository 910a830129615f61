"""Reading checkpoints of the released code."""

import argparse
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from daformer_kedro.errors import InputError
from daformer_kedro.model.reference import (
    from_reference_state_dict,
    load_reference_checkpoint,
    own_name,
)

FIXTURE = Path(__file__).parents[1] / "reference" / "daformer_s_3tasks.npz"


@pytest.fixture(scope="module")
def stored():
    with np.load(FIXTURE) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in ("x", "logits")}


@pytest.fixture(scope="module")
def weights():
    with np.load(FIXTURE) as arrays:
        return {
            name.removeprefix("param/"): torch.from_numpy(arrays[name])
            for name in arrays.files
            if name.startswith("param/")
        }


def test_a_checkpoint_with_its_arguments(tmp_path, weights, stored):
    path = tmp_path / "checkpoint_2.pth"
    prefixed = {f"module.{name}": value for name, value in weights.items()}
    torch.save({"model": prefixed, "args": argparse.Namespace(lr=1e-3)}, path)
    model = load_reference_checkpoint(path).eval()
    assert model.task_sizes == (4, 3, 2)
    assert (model.image_size, model.config.patch_size) == (16, 4)
    assert (model.config.num_heads, model.config.depth) == (4, 3)
    torch.testing.assert_close(
        model(stored["x"]).logits, stored["logits"], atol=1e-5, rtol=0
    )


def test_names():
    assert own_name("duals.0.attn.to_q.weight") == "decoder.attn.query.weight"
    assert own_name("duals.0.attn.proj.bias") is None
    assert own_name("sabs.1.attn.proj.bias") == "encoder.blocks.1.attn.proj.bias"
    assert own_name("head.10.head.bias") == "heads.10.linear.bias"


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({"image_size": 32}, "image_size = 32"),
        ({"patch_size": 8}, r"model\.patch_size = 8"),
        ({"num_heads": 6}, r"model\.num_heads = 6"),
    ],
)
def test_sizes_that_contradict_the_weights(weights, size, message):
    with pytest.raises(InputError, match=message):
        from_reference_state_dict(weights, **size)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pos_embed": None}, "pos_embed"),
        ({"sabs.1.norm2.bias": None}, r"encoder\.blocks\.1\.norm2\.bias"),
        ({"keys.2.bias": torch.zeros(3)}, r"internal_biases\.2"),
        ({"patch_embed.proj.weight": torch.zeros(3)}, "shapes"),
        ({"surprise": torch.zeros(3)}, "surprise"),
    ],
)
def test_weights_that_do_not_fit(weights, changes, message):
    changed = {n: v for n, v in (weights | changes).items() if v is not None}
    with pytest.raises(InputError, match=message):
        from_reference_state_dict(changed)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("the file was executed",))


@pytest.mark.parametrize("content", [Trap(), [1, 2], {"model": {"a": 1}}, {"b": 1}])
def test_files_of_another_kind(tmp_path, content):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(InputError, match=r"other\.pth"):
        load_reference_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", pickle.dumps({"model": 1})])
def test_damaged_files(tmp_path, content):
    path = tmp_path / "damaged.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged\.pth"):
        load_reference_checkpoint(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="absent"):
        load_reference_checkpoint(tmp_path / "absent.pth")
