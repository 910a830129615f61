"""False alarms of the pipeline ``monitor``, and new images that it finds.

    python benchmarks/monitoring.py --project DIR --new digits
    python benchmarks/monitoring.py --project DIR --new cifar100=DIR
    python benchmarks/monitoring.py --project DIR --new FOLDER

``--project`` has a finished run. The images held out of its training are divided at
random, again and again: one half is the reference, days are drawn from the other. The
first table counts days of nothing new for which each test alone has a p-value up to a
level, and streams of five such days in which the corrected tests find any. The second
counts days that are found with a share of images of classes that were never learnt:
digits of the others of scikit-learn's, CIFAR-100's test images, or those of a folder.
The third has streams of five days, of which two have nothing but such images: of the
days that are said to differ, the share in which nothing has changed.

    python benchmarks/monitoring.py --correction

needs no project: it counts the same where p-values are drawn, in streams of twenty
days of which ten have changed, with three tests that do not depend on each other.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from daformer_kedro.config import MonitorConfig
from daformer_kedro.evaluation.monitoring.day_tests import adjust, run_tests
from daformer_kedro.evaluation.monitoring.observations import Baseline, Observations
from daformer_kedro.scenario.image_decoding import open_rgb
from daformer_kedro.serving import Classifier, ServedModel
from daformer_kedro.serving.finished_runs import read_newest_run, read_run
from daformer_kedro.serving.image_paths import find_images

_SIZES = (20, 50, 100, 200)
_SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
_LEVELS = (0.01, 0.05)
_DAYS, _CHANGED = 5, 2
_FALSE_LEVELS = (0.01, 0.1)
_MOST_NEW = 500


def divide(
    observed: Observations, generator: np.random.Generator
) -> tuple[Observations, Observations]:
    """Two halves, at random."""
    rows = generator.permutation(len(observed))
    half = len(rows) // 2
    return observed.select(rows[:half]), observed.select(rows[half:])


def join(first: Observations, second: Observations) -> Observations:
    """Images of both, without labels."""
    assert first.embeddings is not None
    assert second.embeddings is not None
    return Observations(
        np.concatenate([first.predicted, second.predicted]),
        np.concatenate([first.confidences, second.confidences]),
        np.concatenate([first.unknown_scores, second.unknown_scores]),
        np.concatenate([first.embeddings, second.embeddings]),
    )


def quiet(model: ServedModel, repeats: int, generator: np.random.Generator) -> Any:
    """Shares of false alarms, by size of a day."""
    observed = known(model)
    tests = MonitorConfig(tests=("unknown", "embeddings", "class_mix", "accuracy"))
    config = MonitorConfig()
    rows = []
    for size in _SIZES:
        found: list[dict[str, float]] = []
        streams: list[bool] = []
        for _ in range(repeats):
            reference, others = divide(observed, generator)
            if len(others) < size:
                break
            baseline = baseline_of(model, reference)
            day = others.select(np.arange(size))
            p_values = run_tests([day], baseline, tests, generator).iloc[0]
            found.append({test: p_values[f"p_{test}"] for test in tests.tests})
            if len(others) >= _DAYS * size:
                days = [
                    others.select(np.arange(d * size, (d + 1) * size))
                    for d in range(_DAYS)
                ]
                table = run_tests(days, baseline, config, generator)
                streams.append(bool(table["differs"].any()))
        shares = {
            f"{test} {level:.0%}": (pd.DataFrame(found)[test] <= level).mean()
            for test in (found[0] if found else ())
            for level in _LEVELS
        }
        alarms = float(np.mean(streams)) if streams else np.nan
        rows.append({"images a day": size, **shares, "streams": alarms})
    return pd.DataFrame(rows)


def with_new(
    model: ServedModel,
    new: Observations,
    repeats: int,
    generator: np.random.Generator,
) -> Any:
    """Shares of days that are found, by size and share of new images."""
    observed, config = known(model), MonitorConfig()
    rows = []
    for size in _SIZES:
        row: dict[str, Any] = {"images a day": size}
        for share in _SHARES:
            found = []
            for _ in range(repeats):
                reference, others = divide(observed, generator)
                num_new = round(size * share)
                if len(others) < size - num_new or len(new) < num_new:
                    break
                old = others.select(np.arange(size - num_new))
                some = new.select(generator.permutation(len(new))[:num_new])
                table = run_tests(
                    [join(old, some)], baseline_of(model, reference), config, generator
                )
                found.append(bool(table["differs"].iloc[0]))
            row[f"{share:.0%} new"] = float(np.mean(found)) if found else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def among_changed(
    model: ServedModel,
    new: Observations,
    repeats: int,
    generator: np.random.Generator,
) -> Any:
    """Shares of days named wrongly, and of changed days found, by size and level."""
    observed = known(model)
    rows = []
    for size in _SIZES:
        row: dict[str, Any] = {"images a day": size}
        for level in _FALSE_LEVELS:
            config = MonitorConfig(level=level)
            wrong, found = [], []
            for _ in range(repeats):
                reference, others = divide(observed, generator)
                num_quiet = _DAYS - _CHANGED
                if len(others) < num_quiet * size or len(new) < _CHANGED * size:
                    break
                some = new.select(generator.permutation(len(new)))
                days = [
                    kind.select(np.arange(day * size, (day + 1) * size))
                    for kind, number in ((others, num_quiet), (some, _CHANGED))
                    for day in range(number)
                ]
                table = run_tests(
                    days, baseline_of(model, reference), config, generator
                )
                differs = table["differs"].to_numpy()
                wrong.append(differs[:num_quiet].sum() / max(1, differs.sum()))
                found.append(differs[num_quiet:].mean())
            name = f"{level:.0%}"
            row[f"wrong at {name}"] = float(np.mean(wrong)) if wrong else np.nan
            row[f"found at {name}"] = float(np.mean(found)) if found else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def correction(repeats: int, generator: np.random.Generator) -> Any:
    """Shares of days named wrongly among twenty, by level, for drawn p-values."""
    rows = []
    for level in _FALSE_LEVELS:
        shares = []
        for _ in range(repeats):
            p_values = generator.random((20, 3))
            p_values[:10] = 1e-9
            differs = (adjust(p_values) <= level).any(axis=1)
            shares.append(differs[10:].sum() / max(1, differs.sum()))
        rows.append({"level (%)": 100 * level, "named wrongly": np.mean(shares)})
    return pd.DataFrame(rows)


def known(model: ServedModel) -> Observations:
    """The images held out of training."""
    if model.reference is None:
        raise SystemExit(f"{model.name} has no reference: run its project again")
    return model.reference.observed


def baseline_of(model: ServedModel, reference: Observations) -> Baseline:
    """Baseline as the pipeline would make it."""
    assert model.threshold is not None
    names = model.checkpoint.description["class_names"]
    return Baseline(reference, model.threshold, len(names))


def new_images(given: str, names: list[str]) -> Iterator[Image.Image]:
    """Images of classes that are not among ``names``."""
    if given == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        for pixels, label in zip(digits.images, digits.target, strict=True):
            if str(label) not in names:
                levels = (pixels / 16 * 255).round().astype(np.uint8)
                yield Image.fromarray(levels).convert("RGB")
    elif given.startswith("cifar100="):
        (path,) = Path(given.partition("=")[2]).glob("test-*.parquet")
        for image in pd.read_parquet(path, columns=["img"])["img"]:
            yield Image.open(io.BytesIO(image["bytes"])).convert("RGB")
    else:
        for path in find_images(Path(given)):
            yield open_rgb(path)


def observe(model: ServedModel, given: str) -> Observations:
    """The model's answers for new images, at most 500."""
    classifier = Classifier(model)
    images = new_images(given, classifier.class_names)
    views = [classifier.view(image) for image, _ in zip(images, range(_MOST_NEW))]  # noqa: B905
    answers = classifier.answer(np.stack(views), batch_size=64)
    best = answers.probabilities.max(dim=1)
    return Observations(
        best.indices.numpy(),
        best.values.double().numpy(),
        answers.unknown_scores.double().numpy(),
        answers.embeddings.float().numpy(),
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, default=Path.cwd())
    parser.add_argument("--model", help="run key; the newest finished run if unset")
    parser.add_argument("--new", action="append", default=[])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--correction", action="store_true")
    options = parser.parse_args()
    generator = np.random.default_rng(options.seed)
    if options.correction:
        print(shown(correction(options.repeats, generator), digits=2))
        return
    data = options.project / "data"
    model = read_run(data, options.model) if options.model else read_newest_run(data)
    if model.threshold is None:
        model = replace(
            model, threshold=float(np.quantile(known(model).unknown_scores, 0.95))
        )
    held_out = known(model)
    unknown = (held_out.unknown_scores > model.threshold).mean()
    print(f"{model.name}: {len(held_out)} images held out, {unknown:.1%} unknown\n")
    print(shown(quiet(model, options.repeats, generator)))
    for given in options.new:
        new = observe(model, given)
        unknown = (new.unknown_scores > model.threshold).mean()
        print(f"\n{given}: {len(new)} new images, {unknown:.1%} unknown\n")
        print(shown(with_new(model, new, max(1, options.repeats // 10), generator)))
        print()
        own = np.random.default_rng([options.seed, 1])
        print(shown(among_changed(model, new, options.repeats, own)))


def shown(table: pd.DataFrame, digits: int = 1) -> str:
    """A table in Markdown, shares in percent."""
    head = "| " + " | ".join(table.columns) + " |"
    lines = [head, "| " + " | ".join(["---:"] * table.shape[1]) + " |"]
    for row in table.itertuples(index=False):
        cells = [
            f"{row[0]:.0f}",
            *("–" if v != v else f"{100 * v:.{digits}f}" for v in row[1:]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
