"""Nodes that find out how far the final model's answers can be believed.

Apart from the other nodes, so that a change of calibration evaluates nothing anew.
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
from daformer_kedro.evaluation.unknown import (
    distance_to_known,
    energy,
    measure_unknown,
    threshold_of,
)
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.pipelines.extraction import Extractor
from daformer_kedro.scenario.images import Images
from daformer_kedro.serving.known_images import (
    KnownImages,
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
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Fit probabilities on the rehearsal memory, and keep what known images look like.

    Test images measure the calibration; nothing is fitted on them.
    """
    extractor = Extractor.of(checkpoint, evaluation, device)
    model = extractor.model
    tests = samples[samples["split"] == "test"]
    sizes = model.task_sizes
    calibration, threshold, num_exemplars = Calibration(), None, 0
    memory_errors = {}
    embeddings, own_targets = torch.empty(0, 0), torch.empty(0)
    pixels = torch.empty(0, model.image_size, model.image_size, model.in_channels)
    if exemplars is not None:
        best = best_exemplars(exemplars)
        num_exemplars = len(best)
        embeddings, own_logits = extractor.extract(images, "train", best["index"])
        own_targets = _targets(best)
        calibration = fit_calibration(own_logits, own_targets, sizes)
        threshold = threshold_of(embeddings.half())
        pixels = _pixels(images, "train", best["index"])
        memory_errors["memory"] = _errors(calibration, own_logits, own_targets, sizes)
    _, logits = extractor.extract(images, "test", tests["index"])
    test_errors = _errors(calibration, logits, _targets(tests), sizes)
    shown = choose_examples(tests)
    known = KnownImages.of(
        embeddings,
        own_targets,
        pixels.to(torch.uint8),
        examples=_pixels(images, "test", shown["index"]),
        example_targets=_targets(shown),
    )
    about = {
        **calibration.to_json(),
        "expected_calibration_error": {"test": test_errors, **memory_errors},
        "num_exemplars": num_exemplars,
        "unknown_threshold": threshold,
    }
    return about, known.tensors()


def measure_unknown_node(
    images: Images,
    samples: pd.DataFrame,
    checkpoint: Checkpoint,
    evaluation: Parameters,
    device: str,
    exemplars: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Measure how well an earlier task's model tells later tasks' classes from its own.

    ``samples`` are the last task's: they hold test images of all classes.
    """
    extractor = Extractor.of(checkpoint, evaluation, device)
    num_tasks = extractor.model.num_tasks
    tests = samples[samples["split"] == "test"]
    embeddings, logits = extractor.extract(images, "test", tests["index"])
    later = torch.from_numpy((tests["task"] >= num_tasks).to_numpy(copy=True))
    if exemplars is None:
        found = measure_unknown(energy(logits), later, None)
    else:
        best = best_exemplars(exemplars)
        known = extractor.extract(images, "train", best["index"])[0].half()
        scores = distance_to_known(embeddings, known)
        found = measure_unknown(scores, later, threshold_of(known))
    return {"task": num_tasks - 1, **found}


def summarise_confidence_node(
    calibration: dict[str, Any], *unknown: dict[str, Any]
) -> dict[str, Any]:
    """Calibration of the final model, and AUROC after each task that others follow."""
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
    """Collect a model card's facts: settings, results and how to repeat them."""
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


def _targets(rows: pd.DataFrame) -> Tensor:
    return torch.from_numpy(rows["target"].to_numpy(copy=True)).long()


def _pixels(images: Images, split: Any, rows: pd.Series) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.view(split, rows.to_numpy())))
