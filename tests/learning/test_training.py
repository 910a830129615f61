"""Training and finetuning of a small model on made-up images."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from daformer_kedro.config import (
    AugmentationConfig,
    FinetuningConfig,
    ModelConfig,
    PreprocessingConfig,
    SharpnessConfig,
    TrainingConfig,
)
from daformer_kedro.config.run import LossesConfig
from daformer_kedro.learning import trainer
from daformer_kedro.learning.epoch_totals import DivergenceError
from daformer_kedro.learning.extraction import extract
from daformer_kedro.learning.phase import LearningSettings
from daformer_kedro.learning.progress import EpochRecord, observed_by
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.learning.training import finetune_on_memory, train_task
from daformer_kedro.model import DAFormer
from daformer_kedro.objectives.neighbourhood import find_neighbours

SETTINGS = LearningSettings(
    training=TrainingConfig(
        epochs=4,
        batch_size=16,
        learning_rate=0.1,
        warmup_epochs=1,
        device="cpu",
        precision="float32",
    ),
    losses=LossesConfig(),
    augmentation=AugmentationConfig(mixup_alpha=0.2),
    preprocessing=PreprocessingConfig(),
    seed=0,
)


def images_of(classes: list[int], each: int = 24) -> TaskImages:
    """Noise around a bright quarter of the image that tells the class."""
    generator = torch.Generator().manual_seed(sum(classes))
    targets = torch.tensor(classes).repeat_interleave(each)
    images = torch.randint(0, 90, (len(targets), 1, 8, 8), generator=generator)
    for row, target in enumerate(targets.tolist()):
        y, x = divmod(target, 2)
        images[row, 0, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4] += 150
    return TaskImages(images.to(torch.uint8), targets)


def new_model(task_sizes: list[int], **changes: object) -> DAFormer:
    config = ModelConfig(patch_size=4, embed_dim=16, depth=2, num_heads=2)
    return DAFormer(
        replace(config, **changes),
        image_size=8,
        in_channels=1,
        task_sizes=task_sizes,
        generator=torch.Generator().manual_seed(0),
    )


def weights(model: DAFormer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.fixture(scope="module")
def teacher() -> DAFormer:
    model = new_model([2])
    long = replace(SETTINGS, training=replace(SETTINGS.training, epochs=25))
    train_task(model, images_of([0, 1]), long)
    return model


def grown(teacher: DAFormer) -> DAFormer:
    model = copy.deepcopy(teacher)
    model.add_task(2, generator=torch.Generator().manual_seed(1))
    return model


def test_the_first_task_is_learnt(teacher: DAFormer) -> None:
    data = images_of([0, 1])
    _, logits = extract(teacher, data.images, SETTINGS.preprocessing)
    assert float((logits.argmax(1) == data.targets).float().mean()) > 0.95


@pytest.mark.parametrize("scope", ["batch", "dataset"])
def test_a_second_task_trains_beside_its_teacher(teacher: DAFormer, scope: str) -> None:
    data = images_of([0, 1, 2, 3], each=8)
    features, _ = extract(teacher, data.images, SETTINGS.preprocessing)
    bank = {"features": features, "neighbours": find_neighbours(features, 3)}
    before, model = weights(teacher), grown(teacher)
    records = train_task(
        model,
        data,
        SETTINGS,
        teacher=teacher,
        **(bank if scope == "dataset" else {}),
    )
    assert set(records[0].losses) == {
        "classification",
        "logit_distillation",
        "knn_distillation",
        "divergence",
        "total",
    }
    after = weights(teacher)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("scope", ["batch", "dataset"])
def test_equal_models_have_no_knn_loss_whatever_the_augmentation(
    scope: str,
) -> None:
    # A rate so small that no float32 weight moves: student and teacher stay equal.
    teacher = new_model([2], stochastic_depth=0.0).eval()
    data = images_of([0, 1, 2, 3], each=8)
    still = replace(
        SETTINGS,
        training=replace(
            SETTINGS.training,
            learning_rate=1e-30,
            min_learning_rate=0.0,
            warmup_learning_rate=0.0,
            weight_decay=0.0,
        ),
        augmentation=AugmentationConfig(
            crop_padding=1, horizontal_flip=0.5, mixup_alpha=0.8, repeats=2
        ),
    )
    features, _ = extract(teacher, data.images, SETTINGS.preprocessing)
    bank = {"features": features, "neighbours": find_neighbours(features, 3)}
    model = grown(teacher)
    before = weights(model)
    records = train_task(
        model, data, still, teacher=teacher, **(bank if scope == "dataset" else {})
    )
    for name, value in weights(model).items():
        torch.testing.assert_close(value, before[name], rtol=0.0, atol=1e-24)
    losses = [record.losses["knn_distillation"] for record in records]
    assert len(losses) == 4
    assert losses == pytest.approx([0.0] * 4, abs=1e-6)
    # The loss is there to see: another student has one.
    other = new_model([2, 2], stochastic_depth=0.0)
    for parameter in other.encoder.parameters():
        parameter.data += 0.1 * torch.randn(
            parameter.shape, generator=torch.Generator().manual_seed(3)
        )
    records = train_task(
        other, data, still, teacher=teacher, **(bank if scope == "dataset" else {})
    )
    assert min(record.losses["knn_distillation"] for record in records) > 1e-3


def test_finetuning_sees_each_exemplar_once_an_epoch_whatever_the_repeats(
    teacher: DAFormer, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = images_of([0, 1, 2, 3], each=8)
    seen: list[list[int]] = []
    batches = TaskImages.batches

    def watched(self, rows, generator):
        seen.append(torch.cat(rows).tolist())
        return batches(self, rows, generator)

    monkeypatch.setattr(TaskImages, "batches", watched)
    often = replace(SETTINGS, augmentation=replace(SETTINGS.augmentation, repeats=3))
    model = grown(teacher)
    model.remove_divergence_head()
    finetuning = FinetuningConfig(epochs=2, batch_size=16)
    finetune_on_memory(model, data, often, finetuning)
    assert [sorted(epoch) for epoch in seen] == [list(range(32))] * 2
    assert seen[0] != seen[1]
    seen.clear()
    train_task(grown(teacher), data, often, teacher=teacher)
    assert all(len(set(epoch)) <= 11 for epoch in seen)  # a third, three times each


def test_keys_and_heads_of_old_tasks_stay_and_the_rest_moves(teacher: DAFormer) -> None:
    model = grown(teacher)
    before = weights(model)
    train_task(model, images_of([2, 3]), SETTINGS, teacher=teacher)
    frozen = {
        name
        for name, value in weights(model).items()
        if torch.equal(before[name], value)
    }
    assert frozen == {
        "decoder.attn.internal_keys.0",
        "decoder.attn.internal_biases.0",
        "heads.0.norm.weight",
        "heads.0.norm.bias",
        "heads.0.linear.weight",
        "heads.0.linear.bias",
    }


def test_finetuning_moves_decoder_and_heads_alone(teacher: DAFormer) -> None:
    model = grown(teacher)
    model.remove_divergence_head()
    before = weights(model)
    records = finetune_on_memory(
        model,
        images_of([0, 1, 2, 3], each=5),
        SETTINGS,
        FinetuningConfig(epochs=2, batch_size=8, learning_rate=0.1),
    )
    assert set(records[0].losses) == {"classification", "total"}
    assert {record.learning_rate for record in records} == {0.1 * 8 / 512}
    moved = {n for n, v in weights(model).items() if not torch.equal(before[n], v)}
    assert moved
    assert all(name.startswith(("decoder.", "heads.")) for name in moved)
    assert {name.split(".")[1] for name in moved if name.startswith("heads")} == {
        "0",
        "1",
    }


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"sharpness": SharpnessConfig(rho=1.0, first_task=True)},
        {"clip_norm": 0.1},
        {"precision": "bfloat16"},
    ],
)
def test_equal_seeds_give_equal_weights_and_the_global_state_is_left_alone(
    change: dict[str, object],
) -> None:
    settings = replace(SETTINGS, training=replace(SETTINGS.training, **change))
    before = torch.get_rng_state()
    results = []
    for _ in range(2):
        model = new_model([2])
        train_task(model, images_of([0, 1]), settings)
        results.append(weights(model))
    assert all(torch.equal(results[0][n], results[1][n]) for n in results[0])
    assert torch.equal(torch.get_rng_state(), before)
    other = new_model([2])
    train_task(other, images_of([0, 1]), replace(settings, seed=1))
    assert not all(torch.equal(results[0][n], v) for n, v in weights(other).items())


def test_sharpness_aware_steps_differ_and_skip_the_first_task_unless_asked() -> None:
    plain, asked, skipped = (new_model([2]) for _ in range(3))
    data = images_of([0, 1])
    train_task(plain, data, SETTINGS)
    for model, first in ((asked, True), (skipped, False)):
        sharpness = SharpnessConfig(rho=1.0, first_task=first)
        training = replace(SETTINGS.training, sharpness=sharpness)
        train_task(model, data, replace(SETTINGS, training=training))
    assert all(torch.equal(weights(plain)[n], v) for n, v in weights(skipped).items())
    assert not all(torch.equal(weights(plain)[n], v) for n, v in weights(asked).items())


def test_every_epoch_is_announced_with_what_it_did() -> None:
    class Listener:
        def __init__(self) -> None:
            self.records: list[EpochRecord] = []

        def on_epoch(self, record: EpochRecord) -> None:
            self.records.append(record)

    listener = Listener()
    with observed_by(listener):
        returned = train_task(new_model([2]), images_of([0, 1]), SETTINGS)
    train_task(new_model([2]), images_of([0, 1]), SETTINGS)
    assert listener.records == returned
    assert [record.epoch for record in returned] == [0, 1, 2, 3]
    assert {record.num_images for record in returned} == {48}
    for record in returned:
        parts = sum(v for name, v in record.losses.items() if name != "total")
        assert record.losses["total"] == pytest.approx(parts, rel=1e-5)
        assert record.images_per_second == record.num_images / record.seconds
        assert set(record.as_row()) >= {"task", "phase", "loss", "loss_classification"}


def test_a_loss_that_is_not_finite_ends_training_by_name() -> None:
    model = new_model([2])
    with torch.no_grad():
        model.encoder.pos_embed.fill_(float("nan"))
    with pytest.raises(
        DivergenceError, match=r"task 0, train epoch 0: the loss is not"
    ):
        train_task(model, images_of([0, 1]), SETTINGS)


def test_an_interrupted_phase_goes_on_to_the_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = new_model([2])
    train_task(whole, images_of([0, 1]), SETTINGS)

    states: list[dict[str, object]] = []
    epoch = trainer.Trainer._run_epoch

    def stopping(self: trainer.Trainer, number: int, rate: float) -> EpochRecord:
        if number == 2 and not states:
            states.append(copy.deepcopy(self.state_dict()))
            raise KeyboardInterrupt
        return epoch(self, number, rate)

    monkeypatch.setattr(trainer.Trainer, "_run_epoch", stopping)
    with pytest.raises(KeyboardInterrupt):
        train_task(new_model([2]), images_of([0, 1]), SETTINGS)

    run = trainer.Trainer.run

    def continuing(self: trainer.Trainer, *arguments: object) -> list[EpochRecord]:
        self.load_state_dict(states[0])
        return run(self, *arguments)

    monkeypatch.setattr(trainer.Trainer, "run", continuing)
    resumed = new_model([2])
    records = train_task(resumed, images_of([0, 1]), SETTINGS)
    assert len(records) == 4
    assert all(torch.equal(weights(whole)[n], v) for n, v in weights(resumed).items())


def test_extraction_does_not_depend_on_the_batch_size_or_change_the_mode() -> None:
    model = new_model([2, 3]).train()
    images = images_of([0, 1]).images
    whole = extract(model, images, SETTINGS.preprocessing, batch_size=48)
    parts = extract(model, images, SETTINGS.preprocessing, batch_size=7)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert whole[0].shape == (48, 32)
    assert whole[1].shape == (48, 5)
    assert model.training
