"""Compare this package with numbers that the released DAFormer code produced.

    python benchmarks/parity.py FILE.npz [FILE.npz ...]
    python benchmarks/parity.py FILE.npz --device cuda

Beside each file lies a JSON file of the same name with the sizes. Every quantity that
the file holds gets one line with the largest absolute error; what it does not hold is
reported as absent. The exit status is 1 where an error is above 1e-5 (1e-4 for the
weights after the step) and 2 where a file cannot be read.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from daformer_kedro.errors import InputError
from daformer_kedro.learning.memory import herding_order
from daformer_kedro.learning.sharpness import Ascent
from daformer_kedro.model import DAFormer, DAFormerOutput
from daformer_kedro.model.freezing import freeze_for_training
from daformer_kedro.model.reference import (
    from_reference_state_dict,
    own_name,
    own_state_dict,
)
from daformer_kedro.objectives.classification import classification_loss
from daformer_kedro.objectives.divergence import divergence_loss
from daformer_kedro.objectives.logit_distillation import (
    distillation_weight,
    logit_distillation_loss,
)
from daformer_kedro.objectives.pooled_distillation import pooled_distillation_loss

TOLERANCE = 1e-5
STEP_TOLERANCE = 1e-4
DIVERGENCE_WEIGHT = 0.1
RHO = 3.0
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-6


@dataclass(frozen=True)
class Comparison:
    """One quantity: its largest absolute error and what is allowed."""

    name: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Return whether the error is small enough; not a number is not."""
        return self.error <= self.tolerance


@dataclass
class Fixture:
    """The arrays of one file, and which of them were asked for."""

    arrays: dict[str, torch.Tensor]
    frozen: list[str] | None
    sizes: dict[str, int]
    device: torch.device
    used: set[str] = field(default_factory=set)

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __getitem__(self, name: str) -> torch.Tensor:
        self.used.add(name)
        return self.arrays[name]

    def group(self, prefix: str) -> dict[str, torch.Tensor]:
        """Arrays under ``prefix/``, without it, numbers in their order."""
        names = [name for name in self.arrays if name.startswith(f"{prefix}/")]
        names.sort(key=lambda name: [int(n) for n in re.findall(r"\d+", name)])
        return {name.removeprefix(f"{prefix}/"): self[name] for name in names}

    def unused(self) -> list[str]:
        """Arrays that nothing was compared with."""
        return sorted(set(self.arrays) - self.used)


Result = Comparison | str
"""A comparison, or the name of a group that the file does not hold."""


def read_fixture(path: Path, device: str = "cpu") -> Fixture:
    """Read a file and its sizes.

    Args:
        path: the file; its sizes lie in a JSON file of the same name.
        device: where to compute.

    Raises:
        InputError: either cannot be read.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        sizes = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} and its .json cannot be read: {error}") from error
    frozen = arrays.pop("frozen", None)
    return Fixture(
        arrays={
            name: torch.from_numpy(value).to(device)
            for name, value in arrays.items()
            if value.dtype.kind in "fiu"
        },
        frozen=None if frozen is None else [str(name) for name in frozen],
        sizes=sizes,
        device=torch.device(device),
    )


def compare(
    name: str,
    actual: torch.Tensor,
    expected: torch.Tensor,
    tolerance: float = TOLERANCE,
) -> Comparison:
    """Largest absolute error; different shapes are infinitely far apart."""
    if actual.shape != expected.shape:
        return Comparison(name, float("inf"), tolerance)
    difference = (actual.detach().double().cpu() - expected.double().cpu()).abs()
    return Comparison(
        name, difference.max().item() if difference.numel() else 0.0, tolerance
    )


def compare_weights(
    prefix: str,
    actual: Mapping[str, torch.Tensor],
    expected: Mapping[str, torch.Tensor],
    tolerance: float = TOLERANCE,
) -> Iterator[Comparison]:
    """One comparison a weight, by the released code's names."""
    for reference_name in expected:
        renamed = own_state_dict({reference_name: expected[reference_name]})
        for name, value in renamed.items():
            found = actual.get(name, torch.empty(0))
            yield compare(f"{prefix}/{reference_name}", found, value, tolerance)


class Parity:
    """All comparisons of one fixture."""

    def __init__(self, fixture: Fixture) -> None:
        self.fixture = fixture

    def run(self) -> Iterator[Result]:
        """Yield every comparison, and the groups that are absent."""
        if self.fixture.group("param") and "x" in self.fixture:
            yield from self._model()
        else:
            yield "model"
        yield from self._herding()
        yield from self._pooled_distillation()

    def _load(self, group: str) -> DAFormer:
        sizes = self.fixture.sizes
        model = from_reference_state_dict(
            self.fixture.group(group),
            image_size=sizes["img"],
            patch_size=sizes["patch"],
            num_heads=sizes["heads"],
        )
        return model.to(self.fixture.device).eval()

    def _model(self) -> Iterator[Result]:
        self.student = self._load("param")
        self.teacher_logits: torch.Tensor | None = None
        output = self.student(self.fixture["x"])
        yield from self._outputs("", output)
        if self.fixture.group("teacher"):
            with torch.no_grad():
                teacher_output = self._load("teacher")(self.fixture["x"])
            self.teacher_logits = teacher_output.logits
            yield from self._outputs("teacher_", teacher_output)
        else:
            yield "teacher"
        freeze_for_training(self.student)
        yield from self._frozen()
        if "targets" in self.fixture:
            yield from self._losses(self._terms(output))
            yield from self._steps()
        else:
            yield "targets"

    def _outputs(self, prefix: str, output: DAFormerOutput) -> Iterator[Result]:
        for name, actual in (
            ("logits", output.logits),
            ("logits_div", output.divergence_logits),
        ):
            if prefix + name in self.fixture and actual is not None:
                yield compare(prefix + name, actual, self.fixture[prefix + name])
            else:
                yield prefix + name
        expected = self.fixture.group(f"{prefix}embedding")
        if not expected:
            yield f"{prefix}embedding"
        for task, embedding in expected.items():
            actual = output.embeddings[int(task) : int(task) + 1].flatten(0, 1)
            yield compare(f"{prefix}embedding/{task}", actual, embedding)

    def _frozen(self) -> Iterator[Result]:
        if self.fixture.frozen is None:
            yield "frozen"
            return
        expected = {own_name(name) for name in self.fixture.frozen} - {None}
        actual = {
            name
            for name, parameter in self.student.named_parameters()
            if not parameter.requires_grad
        }
        # The error is the number of names that only one side has.
        yield Comparison("frozen", float(len(actual ^ expected)), 0.0)

    def _terms(self, output: DAFormerOutput) -> dict[str, torch.Tensor]:
        """Every loss term by the fixture's name; ``total`` sums the weighted ones."""
        targets = self.fixture["targets"]
        plain = classification_loss(output.logits, targets, "binary")
        weighted = {"classification": plain}
        num_old = self.student.num_classes - self.student.task_sizes[-1]
        if self.teacher_logits is not None:
            share = distillation_weight(num_old, self.student.num_classes)
            weighted["classification"] = (1 - share) * plain
            weighted["distillation"] = share * logit_distillation_loss(
                output.logits[:, :num_old], self.teacher_logits, 1.0
            )
        if output.divergence_logits is not None and num_old > 0:
            weighted["divergence"] = DIVERGENCE_WEIGHT * divergence_loss(
                output.divergence_logits, targets, num_old
            )
        total = torch.stack(list(weighted.values())).sum()
        return {"classification_unweighted": plain, **weighted, "total": total}

    def _losses(self, terms: dict[str, torch.Tensor]) -> Iterator[Result]:
        for name in (
            "classification_unweighted",
            "classification",
            "distillation",
            "divergence",
            "total",
        ):
            if f"loss/{name}" in self.fixture:
                # A term that does not apply may be stored as 0.
                actual = terms.get(name, torch.zeros(()))
                yield compare(f"loss/{name}", actual, self.fixture[f"loss/{name}"])
            else:
                yield f"loss/{name}"

    def _total(self) -> torch.Tensor:
        return self._terms(self.student(self.fixture["x"]))["total"]

    def _steps(self) -> Iterator[Result]:
        """Gradients, the adaptive-SAM ascent, and the weights after one step."""
        named = dict(self.student.named_parameters())
        self._total().backward()
        expected = self.fixture.group("grad")
        gradients = {n: p.grad for n, p in named.items() if p.grad is not None}
        yield from (
            compare_weights("grad", gradients, expected) if expected else ["grad"]
        )
        ascent = self.fixture.group("asam_ascent")
        if ascent:
            moved = [p for p in named.values() if p.grad is not None]
            worse = Ascent(RHO, adaptive=True)
            worse.climb(moved)
            yield from compare_weights("asam_ascent", named, ascent)
            self.student.zero_grad()
            total = self._total()
            total.backward()
            worse.return_to_start()
            if "loss/total_at_ascent" in self.fixture:
                name = "loss/total_at_ascent"
                yield compare(name, total, self.fixture[name])
        else:
            yield "asam_ascent"
        yield from self._after_step(named)

    def _after_step(self, named: Mapping[str, torch.Tensor]) -> Iterator[Result]:
        # The true gradient of this bias is zero, so its stored step is noise.
        expected = {
            name: value
            for name, value in self.fixture.group("after_step").items()
            if not name.endswith("pos_proj.bias")
        }
        if not expected:
            yield "after_step"
            return
        optimiser = torch.optim.AdamW(
            named.values(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
        )
        optimiser.step()
        yield from compare_weights("after_step", named, expected, STEP_TOLERANCE)

    def _herding(self) -> Iterator[Result]:
        orders = [name for name in self.fixture.arrays if "herding/order_" in name]
        if not orders:
            yield "herding"
            return
        features = self.fixture["herding/features"]
        for name in orders:
            expected = self.fixture[name]
            order = herding_order(features, int(name.rpartition("_")[2]))
            yield compare(name, order, expected, tolerance=0.0)

    def _pooled_distillation(self) -> Iterator[Result]:
        if "pod/loss_scale1" not in self.fixture:
            yield "pod"
            return
        new, old = (self._maps(f"pod/{side}") for side in ("new", "old"))
        actual = pooled_distillation_loss(new, old)
        yield compare("pod/loss_scale1", actual, self.fixture["pod/loss_scale1"])

    def _maps(self, name: str) -> list[torch.Tensor]:
        if name in self.fixture:
            return list(self.fixture[name])
        return list(self.fixture.group(name).values())


def check(
    path: Path, device: str = "cpu", report: Callable[[str], object] = print
) -> bool:
    """Compare one file, report each quantity, and say whether all are near enough.

    Raises:
        InputError: the file cannot be used.
    """
    fixture = read_fixture(path, device)
    report(f"{path}")
    passed, num_compared = True, 0
    try:
        for result in Parity(fixture).run():
            if isinstance(result, str):
                report(f"  {result:<48} absent")
                continue
            mark = "ok" if result.passed else f"ABOVE {result.tolerance:.0e}"
            report(f"  {result.name:<48} {result.error:.2e} {mark}")
            passed, num_compared = passed and result.passed, num_compared + 1
    except KeyError as error:
        raise InputError(f"{path}: {error} is missing in it or its .json") from error
    for name in fixture.unused():
        report(f"  {name:<48} not compared")
    report(f"  {num_compared} quantities: {'all near enough' if passed else 'FAILED'}")
    return passed and num_compared > 0


def main(arguments: list[str] | None = None) -> int:
    """Check the files of the command line and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    try:
        passed = [check(path, options.device) for path in options.files]
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
