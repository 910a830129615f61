"""Choice of the shrinkage of calibration, on training images held out.

    python benchmarks/calibration.py digits cifar100_mini=DIR --seeds 10,11 --store DIR

The network was trained on its memory, so what is fitted there is too much; which part
of it suits new images must be learnt from new images, and those of the test set are for
measuring. Each run here trains without a fifth of the training images of every class,
which then stand in for new ones. The first table gives the log-loss on them, with a
column for each factor of the temperature's logarithm and a row for each factor of the
biases, as a mean over all runs; the second the expected calibration error of each run
with the pair of least log-loss. The log-loss chooses, since it is a proper score and
smooth; the calibration error is neither.

With ``--store``, logits of finished runs are kept, and none is trained again.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bare_run import inputs_of
from kedro.framework.project import pipelines, settings
from kedro.framework.startup import bootstrap_project
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from daformer_kedro.evaluation.calibration import (
    Calibration,
    Shrinkage,
    expected_calibration_error,
    fit_calibration,
)
from daformer_kedro.learning.extraction import extract
from daformer_kedro.learning.task_images import select_images
from daformer_kedro.scenario.images import ImageArrays

ROOT = Path(__file__).parents[1]
_HELD_OUT = 5  # one training image in so many
_TEMPERATURE_FACTORS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 1.0)
_BIAS_FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0)
_VARIANTS: dict[str, dict[str, Any]] = {
    "S": {},
    "M": {"model": {"edition": "M"}},
    "replay": {"baseline": "replay"},
    "DyTox's decoder": {
        "model": {"decoder": "task_attention"},
        "losses": {"knn_distillation": {"weight": 0.0}},
    },
}


def hold_out(images: ImageArrays, seed: int) -> ImageArrays:
    """Training images divided by class; the part held out stands in for test images."""
    random = np.random.default_rng(seed)
    held = np.zeros(len(images.train_labels), dtype=bool)
    for label in range(images.num_classes):
        rows = random.permutation(np.flatnonzero(images.train_labels == label))
        held[rows[: max(1, len(rows) // _HELD_OUT)]] = True
    return ImageArrays(
        train_images=images.train_images[~held],
        train_labels=images.train_labels[~held],
        test_images=images.train_images[held],
        test_labels=images.train_labels[held],
        class_names=images.class_names,
    )


def train(parameters: dict[str, Any]) -> dict[str, Tensor]:
    """Train on what is not held out; logits of the memory and of the rest.

    Returns:
        ``memory``, ``memory_targets``, ``new``, ``new_targets`` and ``task_sizes``.
    """
    pipeline = pipelines["__default__"]
    (last,) = (node for node in pipeline.nodes if node.name == "calibrate")
    checkpoint, exemplars, samples = (
        next(name for name in last.inputs if name.endswith(ending))
        for ending in (".checkpoint", ".exemplars", ".samples")
    )
    values: dict[str, Any] = {"parameters": parameters}
    for node in pipeline.to_outputs(checkpoint, exemplars).nodes:
        values |= node.run(inputs_of(node, values, parameters))
        if "images" in node.outputs:
            values["images"] = hold_out(values["images"], parameters["seed"])
    model = values[checkpoint].build("cpu")
    table = values[samples]
    parts = {
        "memory": ("train", values[exemplars]),
        "new": ("test", table[table["split"] == "test"]),
    }
    found = {"task_sizes": torch.tensor(model.task_sizes)}
    for name, (split, rows) in parts.items():
        chosen = select_images(values["images"], split, rows["sample_index"])
        found[name] = extract(model, chosen, values[checkpoint].preprocessing, 512)[1]
        found[f"{name}_targets"] = torch.tensor(rows["target"].to_numpy(copy=True))
    return found


def scores_of(
    run: dict[str, Tensor], shrinkage: Shrinkage | None
) -> tuple[float, float]:
    """Return log-loss and calibration error in % on the images held out.

    Args:
        run: see :func:`train`.
        shrinkage: ``None`` for probabilities as the network gives them.
    """
    sizes, targets = run["task_sizes"].tolist(), run["new_targets"].long()
    calibration = Calibration()
    if shrinkage is not None:
        calibration = fit_calibration(
            run["memory"], run["memory_targets"], sizes, shrinkage
        )
    logits = calibration.logits(run["new"].double(), sizes)
    loss = float(F.cross_entropy(logits, targets))
    return loss, 100 * expected_calibration_error(logits.softmax(dim=1), targets)


def main() -> None:
    """Train what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("environments", nargs="+", metavar="ENV[=SOURCE_PATH]")
    parser.add_argument("--seeds", default="10,11")
    parser.add_argument("--store", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    bootstrap_project(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        store = options.store or Path(folder)
        store.mkdir(parents=True, exist_ok=True)
        seeds = [int(seed) for seed in options.seeds.split(",")]
        cells = itertools.product(options.environments, _VARIANTS, seeds)
        runs = {
            f"{environment.partition('=')[0]} {variant} ({seed})": _logits(
                store, environment, variant, seed
            )
            for environment, variant, seed in cells
        }
    print("\n".join(_tables(runs)))


def _logits(
    store: Path, environment: str, variant: str, seed: int
) -> dict[str, Tensor]:
    env, _, path = environment.partition("=")
    stored = store / f"{env}_{variant}_{seed}.safetensors"
    if not stored.exists():
        given: dict[str, Any] = {"seed": seed, **_VARIANTS[variant]}
        if path:
            given["source"] = {"path": path}
        session = settings.SESSION_CLASS.create(
            ROOT, env=None if env == "digits" else env, runtime_params=given
        )
        save_file(train(session.load_context().config_loader["parameters"]), stored)
    return load_file(stored)


def _tables(runs: dict[str, dict[str, Tensor]]) -> Iterator[str]:
    pairs = [
        Shrinkage(*p) for p in itertools.product(_TEMPERATURE_FACTORS, _BIAS_FACTORS)
    ]
    scores = {pair: [scores_of(run, pair) for run in runs.values()] for pair in pairs}
    losses = {
        pair: statistics.fmean(loss for loss, _ in found)
        for pair, found in scores.items()
    }
    columns = " | ".join(map(str, _TEMPERATURE_FACTORS))
    yield f"| biases \\ log temperature | {columns} |"
    yield "| ---: " * (len(_TEMPERATURE_FACTORS) + 1) + "|"
    for bias in _BIAS_FACTORS:
        cells = (f"{losses[Shrinkage(t, bias)]:.4f}" for t in _TEMPERATURE_FACTORS)
        yield f"| {bias} | " + " | ".join(cells) + " |"
    best = min(pairs, key=lambda pair: losses[pair])
    yield ""
    yield f"Best: {best.log_temperature} of the log temperature, {best.bias} of biases."
    yield ""
    yield "| run (seed) | calibration error before (%) | after (%) |"
    yield "| --- | ---: | ---: |"
    for (name, run), (_, after) in zip(runs.items(), scores[best], strict=True):
        yield f"| {name} | {scores_of(run, None)[1]:.2f} | {after:.2f} |"


if __name__ == "__main__":
    main()
