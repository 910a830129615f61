"""Methods that are more than parameters, worked out by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import pytest
import torch
from torch import nn

from daformer_kedro import methods
from daformer_kedro.config import (
    MemoryConfig,
    ModelConfig,
    PreprocessingConfig,
    TrainingConfig,
)
from daformer_kedro.config.run import Config, apply_overlays
from daformer_kedro.config.sections import check_own_steps
from daformer_kedro.errors import InputError
from daformer_kedro.learning.extraction import extract
from daformer_kedro.methods import METHODS
from daformer_kedro.methods.classifiers import LinearClassifier, NearestMeans
from daformer_kedro.methods.method import Method
from daformer_kedro.methods.nearest_mean import NearestMean
from daformer_kedro.methods.weight_alignment import WeightAlignment
from daformer_kedro.model import DAFormer
from daformer_kedro.model.checkpoint import Checkpoint

if TYPE_CHECKING:
    import pandas as pd

    from daformer_kedro.learning.candidates import Candidates
    from daformer_kedro.learning.task import LearningTask

NOTHING = torch.empty(0)


def _model(task_sizes: list[int]) -> DAFormer:
    return DAFormer(
        ModelConfig(patch_size=4, embed_dim=16, depth=2, num_heads=2),
        image_size=8,
        in_channels=1,
        task_sizes=task_sizes,
        generator=torch.Generator().manual_seed(0),
    ).eval()


def _set_weights(model: DAFormer, task: int, rows: list[list[float]]) -> None:
    weight = torch.zeros_like(model.heads.tasks()[task].linear.weight)
    for number, row in enumerate(rows):
        weight[number, : len(row)] = torch.tensor(row)
    model.heads.tasks()[task].linear.weight.data.copy_(weight)


def test_the_newest_heads_weights_get_the_older_ones_mean_norm() -> None:
    model = _model([2, 1, 2])
    _set_weights(model, 0, [[3, 4], [0, 1]])  # norms 5 and 1
    _set_weights(model, 1, [[0, 0, 3]])  # 3: the mean of the older ones is 3
    _set_weights(model, 2, [[8, 6], [0, 2]])  # 10 and 2, mean 6: a factor of 1/2
    before = {name: value.clone() for name, value in model.state_dict().items()}
    WeightAlignment().finish(model, NOTHING, NOTHING)
    newest = model.heads.tasks()[2].linear.weight
    assert newest[:, :2].tolist() == [[4, 3], [0, 1]]
    after = model.state_dict()
    changed = {n for n, v in after.items() if not torch.equal(v, before[n])}
    assert changed == {"heads.2.linear.weight"}


def test_the_first_task_has_nothing_to_align_with() -> None:
    model = _model([2])
    before = model.heads.tasks()[0].linear.weight.clone()
    WeightAlignment().finish(model, NOTHING, NOTHING)
    assert torch.equal(model.heads.tasks()[0].linear.weight, before)


def test_an_image_belongs_to_the_class_with_the_nearest_mean() -> None:
    model = _model([1, 1])
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (5, 1, 8, 8), generator=generator).to(torch.uint8)
    features, heads = extract(model, images, PreprocessingConfig())
    # Two exemplars of class 0 of very unequal length, one of class 1.
    exemplars = torch.stack((9 * features[0], features[1], features[2]))
    NearestMean().finish(model, exemplars, torch.tensor([0, 0, 1]))
    _, logits = extract(model, images, PreprocessingConfig())
    assert not torch.allclose(logits, heads)
    unit = [row / row.norm() for row in features]
    mean = (unit[0] + unit[1]) / 2
    expected = [[float(u @ mean / mean.norm()), float(u @ unit[2])] for u in unit]
    torch.testing.assert_close(logits / 10, torch.tensor(expected))
    assert math.isclose(float(logits[2, 1]), 10, abs_tol=1e-5)


def test_class_means_are_stored_with_the_model_and_end_with_the_next_task() -> None:
    model = _model([1, 1])
    width = 2 * 16
    NearestMean().finish(model, torch.eye(width)[:2], torch.tensor([1, 0]))
    checkpoint = Checkpoint.of(
        model, preprocessing=PreprocessingConfig(), class_names=("a", "b")
    )
    again = checkpoint.build()
    assert isinstance(again.closed_form, NearestMeans)
    assert torch.equal(again.closed_form.means, torch.eye(width)[[1, 0]])
    image = torch.zeros(1, 1, 8, 8)
    assert torch.equal(again(image).logits, model(image).logits)
    again.add_task(1)
    assert again.closed_form is None
    assert again(image).logits.shape == (1, 3)


class Constant(nn.Module):
    """A classifier in a method's own file."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(embeddings.shape[1], -1)


class Guesses(Method):
    label = "guesses"
    classifier_types = (Constant,)


def test_a_methods_own_classifier_is_built_again_from_a_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = _model([1, 1])
    model.closed_form = Constant(torch.tensor([1.0, 2.0]))
    checkpoint = Checkpoint.of(
        model, preprocessing=PreprocessingConfig(), class_names=("a", "b")
    )
    with pytest.raises(InputError, match="'Constant' is not a classifier of any"):
        checkpoint.build()
    monkeypatch.setattr(methods, "METHODS", {**METHODS, "guesses": Guesses})
    again = checkpoint.build()
    assert again(torch.zeros(3, 1, 8, 8)).logits.tolist() == [[1, 2]] * 3


def test_checkpoints_that_do_not_name_their_classifier_load() -> None:
    model = _model([1, 1])
    NearestMean().finish(model, torch.eye(32)[:2], torch.tensor([1, 0]))
    about = {"preprocessing": PreprocessingConfig(), "class_names": ("a", "b")}
    for classifier in (
        model.closed_form,
        LinearClassifier(torch.ones(2, 5), torch.ones(32, 5)),
    ):
        model.closed_form = classifier
        checkpoint = Checkpoint.of(model, **about)  # type: ignore[arg-type]
        named = dict(checkpoint.description)
        assert named.pop("closed_form") == type(classifier).__name__
        again = Checkpoint(checkpoint.weights, named).build()
        assert type(again.closed_form) is type(classifier)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize(
    ("supports_ranks", "name"), [(False, "own"), (True, "own"), (False, "replay")]
)
def test_a_way_to_learn_that_knows_no_ranks_is_refused_on_several_devices(
    supports_ranks: bool, name: str, devices: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(Method):
        label = "own"

        def learn(self, task: LearningTask) -> None:
            """Do nothing."""

    monkeypatch.setattr(Own, "supports_ranks", supports_ranks)
    monkeypatch.setitem(cast("dict[str, type[Method]]", METHODS), "own", Own)
    training = TrainingConfig(devices=devices)
    if devices == 1 or supports_ranks or name == "replay":
        check_own_steps(name, training, MemoryConfig(total=100))
        return
    with pytest.raises(ValueError, match=r"own learns in its own way.*devices = 2"):
        check_own_steps(name, training, MemoryConfig(total=100))


@pytest.mark.parametrize(
    ("training", "memory", "message"),
    [
        ({"patience": 3}, {}, "training.patience = 3 does not end; allowed: null"),
        ({"max_minutes": 0.5}, {}, r"training.max_minutes = 0\.5 does not end"),
        ({}, {"allocation": "proportional"}, "memory.allocation = proportional"),
    ],
)
def test_what_own_steps_would_ignore_is_refused(
    training: Any, memory: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(Method):
        label = "own"

        def learn(self, task: LearningTask) -> None:
            """Do nothing."""

        def choose(self, candidates: Candidates) -> pd.DataFrame:
            """Choose nothing."""
            return candidates.samples.head(0)

    monkeypatch.setitem(cast("dict[str, type[Method]]", METHODS), "own", Own)
    given = TrainingConfig(**training), MemoryConfig(total=100, **memory)
    check_own_steps("replay", *given)
    with pytest.raises(ValueError, match=message):
        check_own_steps("own", *given)


@pytest.mark.parametrize("name", METHODS)
def test_every_methods_overlay_fits_the_parameters(name: str) -> None:
    merged = apply_overlays({"baseline": name, "memory": {"total": 100}}, {})
    if merged.get("model", {}).get("embed_dim", 0) is None:
        merged["model"]["embed_dim"] = 1280  # the encoder's, which fills it in a run
    assert Config.from_parameters(merged).method.__class__ is METHODS[name]
    assert METHODS[name].label.format(edition="S")


def test_a_method_that_needs_exemplars_is_refused_without_a_memory() -> None:
    parameters = {"baseline": "nearest_mean", "memory": {"keep": "nothing"}}
    with pytest.raises(InputError, match=r"nearest_mean needs exemplars, and memory"):
        Config.from_parameters(apply_overlays(parameters, parameters))
