"""Nodes that measure how reliable the final model's answers are.

In a module of their own, so that a change of calibration evaluates nothing again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from daformer_kedro.config import EvaluationConfig
from daformer_kedro.config.run import Config, result_settings, run_key, run_name
from daformer_kedro.evaluation.calibration import (
    Calibration,
    expected_calibration_error,
)
from daformer_kedro.evaluation.monitoring.observations import Observations
from daformer_kedro.evaluation.out_of_distribution import measure_detection
from daformer_kedro.model import DAFormer
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.pipelines.evaluation.references import references_of
from daformer_kedro.pipelines.extraction import Extractor, targets_of
from daformer_kedro.scenario.embedded_images import EmbeddedImages
from daformer_kedro.scenario.images import Images
from daformer_kedro.scenario.samples import of_split, sample_index
from daformer_kedro.serving.exemplar_bank import (
    ExemplarBank,
    best_exemplars,
    choose_examples,
)
from daformer_kedro.serving.reference import Reference


def calibrate_node(
    images: Images,
    samples: pd.DataFrame,
    checkpoint: Checkpoint,
    evaluation: EvaluationConfig,
    device: str,
    exemplars: pd.DataFrame | None = None,
    embedded: EmbeddedImages | None = None,
    held_out: dict[str, Tensor] | None = None,
    **earlier_samples: pd.DataFrame,
) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """Calibrate probabilities, and keep what images are compared with.

    Calibration and exemplar bank come from the rehearsal memory, or of what a method in
    closed form keeps; where validation images are set aside, the calibration is fitted
    on those. Test images measure it; nothing is fitted on them. The answers for them
    are the reference of streams of later images. ``earlier_samples`` are those of the
    other tasks, whose training images are counted.
    """
    extractor = Extractor.of(checkpoint, evaluation, device)
    sizes = extractor.model.task_sizes
    best = None if exemplars is None else best_exemplars(exemplars)
    known = references_of(
        extractor, embedded or images, best, held_out, of_split(samples, "validation")
    )
    calibration = known.calibration(sizes)
    tests = of_split(samples, "test")
    answers = extractor.extract(embedded or images, "test", sample_index(tests))
    logits = answers[1]
    errors = {"test": _errors(calibration, logits, targets_of(tests), sizes)}
    if len(known.logits):
        errors[known.fitted_on] = _errors(
            calibration, known.logits, known.logit_targets, sizes
        )
    shown = choose_examples(tests)
    bank = ExemplarBank.of(
        known.embeddings,
        known.targets,
        _thumbnails(images, best, extractor.model),
        examples=_pixels(images, "test", shown),
        example_targets=targets_of(shown),
    )
    about = {
        **calibration.to_json(),
        "expected_calibration_error": errors,
        "num_exemplars": 0 if best is None else len(best),
        "unknown_score": known.score,
        "unknown_threshold": known.threshold,
    }
    reference = Reference(
        Observations(
            *_likeliest(calibration.probabilities(logits, sizes)),
            known.scores(*answers).double().numpy(),
            answers[0].float().numpy(),
            targets_of(tests).numpy(),
        ),
        _training_counts([samples, *earlier_samples.values()], sum(sizes)),
    )
    return about, bank.tensors(), reference.tensors()


def measure_unknown_node(
    images: Images,
    samples: pd.DataFrame,
    checkpoint: Checkpoint,
    evaluation: EvaluationConfig,
    device: str,
    exemplars: pd.DataFrame | None = None,
    embedded: EmbeddedImages | None = None,
    held_out: dict[str, Tensor] | None = None,
) -> dict[str, Any]:
    """Measure how well an earlier task's model detects classes of later tasks.

    ``samples`` are the last task's: they hold test images of all classes.
    """
    extractor = Extractor.of(checkpoint, evaluation, device)
    best = None if exemplars is None else best_exemplars(exemplars)
    known = references_of(extractor, embedded or images, best, held_out)
    num_tasks = extractor.model.num_tasks
    tests = of_split(samples, "test")
    scores = known.scores(
        *extractor.extract(embedded or images, "test", sample_index(tests))
    )
    later = torch.from_numpy((tests["task"] >= num_tasks).to_numpy(copy=True))
    found = measure_detection(scores, later, known.threshold)
    return {"task": num_tasks - 1, **found}


def summarise_confidence_node(
    calibration: dict[str, Any], *unknown: dict[str, Any]
) -> dict[str, Any]:
    """Collect calibration of the final model, and AUROC after each earlier task."""
    areas = [found["auroc"] for found in unknown]
    return {
        "calibration": calibration,
        "unknown": {
            "score": calibration["unknown_score"],
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


def _likeliest(
    probabilities: Tensor,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the likeliest class of each image (N,) and its probability (N,)."""
    found = probabilities.max(dim=1)
    return found.indices.numpy(), found.values.double().numpy()


def _training_counts(
    samples: Sequence[pd.DataFrame], num_classes: int
) -> NDArray[np.int64]:
    targets = [of_split(table, "train")["target"].to_numpy() for table in samples]
    return np.bincount(np.concatenate(targets), minlength=num_classes)


def _thumbnails(
    images: Images, exemplars: pd.DataFrame | None, model: DAFormer
) -> Tensor:
    """Pixels (M, H, W, C) of exemplars; M is 0 where no image is kept."""
    if exemplars is not None:
        return _pixels(images, "train", exemplars)
    side = model.image_size
    return torch.empty(0, side, side, model.in_channels, dtype=torch.uint8)


def _pixels(images: Images, split: Any, rows: pd.DataFrame) -> Tensor:
    pixels = images.view(split, sample_index(rows).to_numpy())
    return torch.from_numpy(np.ascontiguousarray(pixels))
