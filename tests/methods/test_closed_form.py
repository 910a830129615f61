"""Methods in closed form against the solution for all images at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.linear_model import Ridge as SklearnRidge

from daformer_kedro.errors import InputError
from daformer_kedro.learning.class_balance import image_weights
from daformer_kedro.methods import METHODS, ClosedFormMethod
from daformer_kedro.methods.closed_form import Statistics, TaskFeatures, held_out_of

NUM_CLASSES, WIDTH, SEED = 6, 12, 3
DIVISIONS = [[[0, 1, 2, 3, 4, 5]], [[0, 1], [2, 3], [4, 5]], [[5, 2], [0], [4, 3, 1]]]


def all_images() -> tuple[torch.Tensor, torch.Tensor]:
    """Features and labels of 150 images, of unequal classes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.repeat_interleave(
        torch.arange(NUM_CLASSES), torch.tensor([5, 40, 20, 30, 35, 20])
    )
    centres = torch.randn(NUM_CLASSES, WIDTH, generator=generator)
    noise = torch.randn(len(labels), WIDTH, generator=generator)
    order = torch.randperm(len(labels), generator=generator)
    return (centres[labels] + noise)[order].relu(), labels[order]


def in_order(tasks: list[list[int]]) -> list[int]:
    """Columns of the labels 0 to 5 where the classes came in these tasks."""
    order = [label for task in tasks for label in task]
    return [order.index(label) for label in range(NUM_CLASSES)]


def statistics_of(
    method: ClosedFormMethod, tasks: list[list[int]], class_balance: str = "none"
) -> Statistics:
    """The statistics after all tasks."""
    features, labels = all_images()
    order = [label for task in tasks for label in task]
    statistics: Statistics | None = None
    seen = 0
    for task in tasks:
        seen += len(task)
        rows = torch.isin(labels, torch.tensor(task)).nonzero()[:, 0]
        targets = torch.tensor([order.index(int(label)) for label in labels[rows]])
        weights = image_weights(class_balance, targets)
        added = TaskFeatures(features[rows], targets, rows, seen, SEED, weights)
        statistics = method.add_task(statistics, added)
    assert statistics is not None
    return statistics


def learn(
    method: ClosedFormMethod, tasks: list[list[int]], class_balance: str = "none"
) -> torch.Tensor:
    """Logits (150, C) after all tasks, in the order of the labels."""
    features, _ = all_images()
    final = method.classifiers(statistics_of(method, tasks, class_balance)).final
    return final(features[None])[:, in_order(tasks)]


def held_out_rows() -> torch.Tensor:
    """The third, eighth, … image of each class."""
    _, labels = all_images()
    return torch.cat(
        [(labels == label).nonzero()[2::5, 0] for label in range(NUM_CLASSES)]
    )


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("prototypes", {}),
        ("ridge", {}),
        ("ridge", {"num_random_features": 40}),
        ("ridge", {"ridge": 0.01}),
    ],
)
def test_the_classifier_depends_on_no_order_or_division(name, settings) -> None:
    first, *others = (learn(METHODS[name](settings), tasks) for tasks in DIVISIONS)
    for logits in others:
        torch.testing.assert_close(logits, first, atol=1e-5, rtol=1e-5)


def test_ridge_is_the_batch_solution() -> None:
    features, labels = all_images()
    relative = 0.01
    targets = np.eye(NUM_CLASSES)[labels]
    strength = relative * float((features.double() ** 2).sum(0).mean())
    batch = SklearnRidge(alpha=strength, fit_intercept=False)
    batch.fit(features.double().numpy(), targets)
    expected = torch.from_numpy(batch.predict(features.double().numpy()))
    logits = learn(METHODS["ridge"]({"ridge": relative}), DIVISIONS[2])
    torch.testing.assert_close(logits.double() / 10, expected, atol=1e-5, rtol=1e-5)


def test_prototypes_are_the_nearest_class_means() -> None:
    features, labels = all_images()
    means = torch.stack([features[labels == c].mean(0) for c in range(NUM_CLASSES)])
    expected = torch.cosine_similarity(features[:, None], means[None], dim=2)
    logits = learn(METHODS["prototypes"](), DIVISIONS[1])
    torch.testing.assert_close(logits / 10, expected, atol=1e-5, rtol=1e-5)


def test_lambda_is_the_one_that_tells_held_out_images_apart(caplog) -> None:
    """The estimate image by image, with scikit-learn's weights."""
    features, labels = all_images()
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(NUM_CLASSES):
        held[(labels == label).nonzero()[2::5, 0]] = True
    errors = {}
    scale = float((features[~held].double() ** 2).sum(0).mean())
    for exponent in range(-8, 2):
        batch = SklearnRidge(alpha=scale * 10.0**exponent, fit_intercept=False)
        batch.fit(features[~held].double(), np.eye(NUM_CLASSES)[labels[~held]])
        scores, own = batch.predict(features[held].double()), labels[held].numpy()
        means = np.stack([scores[own == c].mean(0) for c in range(NUM_CLASSES)])
        around = scores - means[own]
        losses = []
        for c in own:
            rivals = [r for r in range(NUM_CLASSES) if r != c]
            deviations = (around[:, [c]] - around[:, rivals]).std(axis=0)
            losses.append(norm.cdf((means[c, rivals] - means[c, c]) / deviations).max())
        errors[10.0**exponent] = np.mean(losses)
    best = min(errors, key=errors.__getitem__)
    assert 1e-8 < best < 10  # the choice is not at an end of the range
    with caplog.at_level("INFO"):
        learn(METHODS["ridge"](), DIVISIONS[0])
    assert f"ridge: {best:g} of the mean squared feature" in caplog.text
    assert "chosen on one in 5 training images" in caplog.text


def test_equal_classes_are_the_solution_with_weighted_images() -> None:
    features, labels = all_images()
    relative = 0.01
    weights = 1 / np.sqrt(np.bincount(labels))[labels]  # of square-root balance
    scale = float((features.double() ** 2 * torch.from_numpy(weights)[:, None]).sum())
    batch = SklearnRidge(alpha=relative * scale / WIDTH, fit_intercept=False)
    batch.fit(features.double(), np.eye(NUM_CLASSES)[labels], sample_weight=weights)
    expected = torch.from_numpy(batch.predict(features.double().numpy()))
    for tasks in DIVISIONS:
        logits = learn(METHODS["ridge"]({"ridge": relative}), tasks, "sqrt")
        torch.testing.assert_close(logits.double() / 10, expected, atol=1e-5, rtol=0)


def test_a_class_of_one_image_is_learnt_without_a_held_out_one() -> None:
    features = torch.eye(WIDTH)[:2]
    task = TaskFeatures(features, torch.tensor([0, 1]), torch.arange(2), 2, SEED)
    method = METHODS["ridge"]()
    statistics = method.add_task(None, task)
    logits = method.classifiers(statistics).final(features[None])
    assert logits.argmax(1).tolist() == [0, 1]
    assert len(held_out_of(statistics).targets) == 0


@pytest.mark.parametrize("name", ["prototypes", "ridge"])
@pytest.mark.parametrize("tasks", DIVISIONS)
def test_held_out_images_are_kept_apart_from_what_they_calibrate(name, tasks) -> None:
    features, labels = all_images()
    rows = held_out_rows()
    others = torch.ones(len(labels), dtype=torch.bool)
    others[rows] = False
    method = METHODS[name]({"ridge": 0.01} if name == "ridge" else {})
    statistics = statistics_of(method, tasks)
    held, columns = held_out_of(statistics), in_order(tasks)

    by_label = torch.argsort(torch.tensor(columns)[labels[rows]], stable=True)
    torch.testing.assert_close(
        held.features, features[rows[by_label]].half().float(), atol=0, rtol=0
    )
    for means, chosen in (
        (held.fitted_means, others),
        (held.means, torch.ones_like(others)),
    ):
        expected = [features[chosen & (labels == c)].mean(0) for c in range(6)]
        torch.testing.assert_close(
            means[columns], torch.stack(expected), atol=1e-3, rtol=1e-3
        )
    logits = method.classifiers(statistics).fitted(features[None])[:, columns] / 10
    if name == "ridge":
        strength = 0.01 * float((features[others].double() ** 2).sum(0).mean())
        batch = SklearnRidge(alpha=strength, fit_intercept=False)
        batch.fit(features[others].double(), np.eye(6)[labels[others]])
        expected_logits = torch.from_numpy(batch.predict(features.double())).float()
        torch.testing.assert_close(logits, expected_logits, atol=1e-5, rtol=1e-5)
    else:
        expected_logits = torch.cosine_similarity(
            features[:, None], held.fitted_means[columns][None], dim=2
        )
        torch.testing.assert_close(logits, expected_logits, atol=1e-5, rtol=1e-5)


def test_twenty_held_out_images_of_a_class_are_kept() -> None:
    """Of 1,000 images 200 are held out, and every tenth of these is kept."""
    features = torch.arange(1000.0)[:, None]
    task = TaskFeatures(features, torch.zeros(1000).long(), torch.arange(1000), 1, 0)
    kept = held_out_of(METHODS["prototypes"]().add_task(None, task)).features[:, 0]
    assert kept.tolist() == list(range(2, 1000, 50))


@pytest.mark.parametrize("name", ["prototypes", "ridge"])
def test_a_class_is_added_from_five_images(name) -> None:
    """Two new classes beside four of 100 images; fresh images of all six."""
    generator = torch.Generator().manual_seed(1)
    centres = 2 * torch.randn(6, WIDTH, generator=generator)

    def draw(labels: torch.Tensor) -> torch.Tensor:
        return centres[labels] + torch.randn(len(labels), WIDTH, generator=generator)

    old = torch.arange(4).repeat_interleave(100)
    new = torch.arange(4, 6).repeat_interleave(5)
    fresh = torch.arange(6).repeat_interleave(200)
    method = METHODS[name]()
    rows = torch.arange(len(old))
    statistics = method.add_task(None, TaskFeatures(draw(old), old, rows, 4, SEED))
    before = method.classifiers(statistics).final
    task = TaskFeatures(draw(new), new, 400 + torch.arange(len(new)), 6, SEED)
    after = method.classifiers(method.add_task(statistics, task)).final
    features = draw(fresh)
    right = after(features[None]).argmax(1) == fresh
    known_before = before(features[None])[fresh < 4].argmax(1) == fresh[fresh < 4]
    assert right[fresh >= 4].double().mean() > 0.9
    assert right[fresh < 4].double().mean() > known_before.double().mean() - 0.05


def test_settings_are_the_methods_own() -> None:
    with pytest.raises(InputError, match=r"baseline_settings\.lam is not a parameter"):
        METHODS["ridge"]({"lam": 1})
    with pytest.raises(InputError, match=r"baseline_settings\.ridge is not"):
        METHODS["replay"]({"ridge": 1.0})


@pytest.mark.parametrize("name", ["prototypes", "ridge"])
def test_versions_of_an_image_count_as_images(name) -> None:
    """Three equal versions change nothing; the held-out ones leave together."""
    features, labels = all_images()
    rows = torch.arange(len(labels))
    method = METHODS[name]()
    once = TaskFeatures(features, labels, rows, NUM_CLASSES, SEED)
    thrice = replace(once, views=(features, features))
    found = []
    for task in (once, thrice):
        statistics = method.add_task(None, task)
        classifiers = method.classifiers(statistics)
        held = held_out_of(statistics)
        logits = [c(features[None]) for c in (classifiers.final, classifiers.fitted)]
        found.append((*logits, held.means, held.fitted_means, held.features))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    mixed = method.add_task(None, replace(once, views=(3 * features,)))
    expected = [2 * features[labels == c].mean(0) for c in range(NUM_CLASSES)]
    torch.testing.assert_close(held_out_of(mixed).means, torch.stack(expected))
