"""What the demo page says of a model before an image is asked about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from daformer_kedro.serving import Classifier
from daformer_kedro.serving.demo.knowledge import describe

METRICS = {
    "accuracy_matrix": [[1.0, None], [0.5, 0.75]],
    "last_accuracy": 0.625,
    "average_incremental_accuracy": 0.8125,
    "forgetting": 0.5,
}


def with_metadata(classifier: Classifier, **metadata: Any) -> Classifier:
    model = replace(
        classifier.model, metadata=metadata, made=datetime(2026, 3, 1, 12, tzinfo=UTC)
    )
    return Classifier(model)


def test_classes_come_by_task_with_the_final_accuracy(classifier: Classifier) -> None:
    about = describe(with_metadata(classifier, metrics=METRICS, run_key="key"))
    assert [task.accuracy for task in about.tasks] == [50.0, 75.0]
    assert about.accuracy == 62.5
    names = [[known.name for known in task.classes] for task in about.tasks]
    assert names == [["zebra", "ape", "ärmel", "cat"], ["dog", "eel", "fox"]]
    # The fixture keeps two exemplars of each class, one after another.
    assert [known.exemplar for known in about.tasks[1].classes] == [8, 10, 12]
    assert about.num_classes == 7
    assert about.key == "key"
    assert about.made is not None
    assert ("Forgetting", "50.0 points") in about.details


def test_test_images_come_with_their_class_where_it_is_known(
    classifier: Classifier,
) -> None:
    examples = describe(classifier).examples
    assert [(e.row, e.name) for e in examples[:3]] == [
        (0, "zebra"),
        (1, "zebra"),
        (2, "ape"),
    ]
    known = classifier.model.bank
    assert known is not None
    earlier = replace(known, example_targets=known.example_targets[:0])
    older = Classifier(replace(classifier.model, bank=earlier))
    assert [e.name for e in describe(older).examples] == [None] * 5


def test_results_of_another_number_of_tasks_are_left_out(
    classifier: Classifier,
) -> None:
    metrics = {**METRICS, "accuracy_matrix": [[1.0]]}
    about = describe(with_metadata(classifier, metrics=metrics))
    assert about.accuracy is None
    assert [task.accuracy for task in about.tasks] == [None, None]


def test_a_model_of_which_nothing_is_known_has_its_classes(
    without_dual_attention: Classifier,
) -> None:
    about = describe(without_dual_attention)
    assert about.title == about.key == "grey"
    assert about.made is None
    assert about.examples == ()
    assert not about.has_exemplars
    assert not about.is_calibrated
    assert ("Reads", "8 × 8 pixels, grey") in about.details


@pytest.mark.parametrize("kept", [True, False])
def test_exemplars_are_there_or_not(
    classifier: Classifier, without_exemplars: Classifier, kept: bool
) -> None:
    about = describe(classifier if kept else without_exemplars)
    assert about.has_exemplars == about.tells_unknown == kept
    found = {c.exemplar is not None for task in about.tasks for c in task.classes}
    assert found == {kept}


def test_class_means_tell_unknown_images_and_show_none(
    with_class_means: Classifier,
) -> None:
    about = describe(with_class_means)
    assert about.tells_unknown
    assert not about.has_exemplars
    assert {c.exemplar for task in about.tasks for c in task.classes} == {None}
