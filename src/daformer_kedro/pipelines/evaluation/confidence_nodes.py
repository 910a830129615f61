"""Nodes that measure how reliable the final model's answers are.

In a module of their own, so that a change of calibration evaluates nothing again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from daformer_kedro.config.run import Config, result_settings, run_key, run_name
from daformer_kedro.evaluation.calibration import (
    Calibration,
    expected_calibration_error,
    fit_calibration,
)
from daformer_kedro.evaluation.out_of_distribution import (
    distance_to_bank,
    energy,
    measure_detection,
    threshold_of,
)
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.pipelines.extraction import Extractor, targets_of
from daformer_kedro.scenario.embedded_images import EmbeddedImages
from daformer_kedro.scenario.images import Images
from daformer_kedro.scenario.samples import of_split, sample_index
from daformer_kedro.serving.exemplar_bank import (
    ExemplarBank,
    best_exemplars,
    choose_examples,
)

Parameters = dict[str, Any]


def calibrate_node(
    images: Images,
    samples: pd.DataFrame,
    checkpoint: Checkpoint,
    evaluation: Parameters,
    device: str,
    exemplars: pd.DataFrame | None = None,
    embedded: EmbeddedImages | None = None,
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Calibrate probabilities on the rehearsal memory, and make the exemplar bank.

    Test images measure the calibration; nothing is fitted on them.
    """
    extractor = Extractor.of(checkpoint, evaluation, device)
    model = extractor.model
    tests = of_split(samples, "test")
    sizes = model.task_sizes
    calibration, threshold, num_exemplars = Calibration(), None, 0
    memory_errors = {}
    embeddings, own_targets = torch.empty(0, 0), torch.empty(0)
    pixels = torch.empty(0, model.image_size, model.image_size, model.in_channels)
    if exemplars is not None:
        best = best_exemplars(exemplars)
        num_exemplars = len(best)
        embeddings, own_logits = extractor.extract(
            embedded or images, "train", sample_index(best)
        )
        own_targets = targets_of(best)
        calibration = fit_calibration(own_logits, own_targets, sizes)
        threshold = threshold_of(embeddings.half())
        pixels = _pixels(images, "train", best)
        memory_errors["memory"] = _errors(calibration, own_logits, own_targets, sizes)
    _, logits = extractor.extract(embedded or images, "test", sample_index(tests))
    test_errors = _errors(calibration, logits, targets_of(tests), sizes)
    shown = choose_examples(tests)
    bank = ExemplarBank.of(
        embeddings,
        own_targets,
        pixels.to(torch.uint8),
        examples=_pixels(images, "test", shown),
        example_targets=targets_of(shown),
    )
    about = {
        **calibration.to_json(),
        "expected_calibration_error": {"test": test_errors, **memory_errors},
        "num_exemplars": num_exemplars,
        "unknown_threshold": threshold,
    }
    return about, bank.tensors()


def measure_unknown_node(
    images: Images,
    samples: pd.DataFrame,
    checkpoint: Checkpoint,
    evaluation: Parameters,
    device: str,
    exemplars: pd.DataFrame | None = None,
    embedded: EmbeddedImages | None = None,
) -> dict[str, Any]:
    """Measure how well an earlier task's model detects classes of later tasks.

    ``samples`` are the last task's: they hold test images of all classes.
    """
    extractor = Extractor.of(checkpoint, evaluation, device)
    num_tasks = extractor.model.num_tasks
    tests = of_split(samples, "test")
    embeddings, logits = extractor.extract(
        embedded or images, "test", sample_index(tests)
    )
    later = torch.from_numpy((tests["task"] >= num_tasks).to_numpy(copy=True))
    if exemplars is None:
        found = measure_detection(energy(logits), later, None)
    else:
        best = best_exemplars(exemplars)
        known, _ = extractor.extract(embedded or images, "train", sample_index(best))
        bank = known.half()
        scores = distance_to_bank(embeddings, bank)
        found = measure_detection(scores, later, threshold_of(bank))
    return {"task": num_tasks - 1, **found}


def summarise_confidence_node(
    calibration: dict[str, Any], *unknown: dict[str, Any]
) -> dict[str, Any]:
    """Collect calibration of the final model, and AUROC after each earlier task."""
    areas = [found["auroc"] for found in unknown]
    return {
        "calibration": calibration,
        "unknown": {
            "score": "distance" if calibration["num_exemplars"] else "energy",
            "average_auroc": sum(areas) / len(areas) if areas else None,
            "after_task": list(unknown),
        },
    }


def describe_model_node(
    metrics: dict[str, Any],
    confidence: dict[str, Any],
    run_command: str,
    **settings: Any,
) -> dict[str, Any]:
    """Collect a model's metadata: settings, results and how to repeat them."""
    config = Config.from_parameters(settings)
    return {
        "run_key": run_key(config),
        "run_name": run_name(config),
        "run_command": run_command,
        "settings": result_settings(config),
        "metrics": metrics,
        "confidence": confidence,
    }


def _errors(
    calibration: Calibration, logits: Tensor, targets: Tensor, sizes: tuple[int, ...]
) -> dict[str, float]:
    return {
        when: expected_calibration_error(used.probabilities(logits, sizes), targets)
        for when, used in (("before", Calibration()), ("after", calibration))
    }


def _pixels(images: Images, split: Any, rows: pd.DataFrame) -> Tensor:
    pixels = images.view(split, sample_index(rows).to_numpy())
    return torch.from_numpy(np.ascontiguousarray(pixels))
