"""Parts of ``gpu.py check``: does the device compute what it should?"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from parity import Comparison, Parity, read_fixture

from daformer_kedro.learning.devices import autocast, rounding_to_tf32
from daformer_kedro.learning.optimisation import set_rate
from daformer_kedro.model import DAFormer, DAFormerOutput
from daformer_kedro.model.freezing import freeze_for_training
from daformer_kedro.objectives import Batch, Objective, terms_of
from on_gpu.bench import Bench, relative
from on_gpu.recipe import configuration
from on_gpu.report import listed

_FIXTURE = Path(__file__).parents[2] / "tests" / "reference" / "daformer_s_3tasks.npz"
_FORMS = {
    "S": {},
    "M": {"edition": "M"},
    "DyTox": {"decoder": "task_attention"},
}
_NUM_OLD_TASKS, _NUM_OLD, _NUM_CLASSES = 2, 20, 30
Evaluated = tuple[DAFormerOutput, dict[str, torch.Tensor], torch.Tensor]


def _tf32_choices(bench: Bench) -> tuple[bool, ...]:
    """Return whether products may round to TF32: both on a GPU."""
    return (True, False) if bench.on_gpu else (False,)


def released_numbers(bench: Bench) -> None:
    """Compare with the released code's fixture, with and without TF32."""
    found = {}
    for tf32 in _tf32_choices(bench):
        with rounding_to_tf32(tf32):
            fixture = read_fixture(_FIXTURE, str(bench.device))
            errors: dict[str, float] = {}
            for result in Parity(fixture).run():
                if isinstance(result, Comparison):
                    group = result.name.partition("/")[0]
                    errors[group] = max(errors.get(group, 0.0), result.error)
        found[f"tf32={tf32}"] = errors
        bench.report.row(
            f"released numbers, float32, TF32 {tf32}: largest absolute errors "
            + listed(errors, ".1e")
        )
    bench.report.keep("released_numbers", found)


class _Case:
    """A student, its teacher and one batch, in float64 on the CPU."""

    def __init__(self, bench: Bench, form: dict[str, str]) -> None:
        self.bench = bench
        batch = 8 if bench.tiny else 16
        generator = torch.Generator().manual_seed(2)
        shape = (batch, 3, 32, 32)
        self.images = torch.randn(shape, generator=generator, dtype=torch.float64)
        self.targets = torch.rand(
            batch, _NUM_CLASSES, generator=generator, dtype=torch.float64
        )
        self.student = bench.model(_NUM_OLD_TASKS + 1, **form).cpu()
        self.teacher = bench.model(_NUM_OLD_TASKS, **form).cpu()
        with torch.no_grad():  # away from the start, where internal keys are zero
            for model in (self.student, self.teacher):
                for parameter in model.parameters():
                    parameter += 0.02 * torch.randn(
                        parameter.shape, generator=generator
                    )
        freeze_for_training(self.student)

    def evaluate(
        self, device: torch.device, kind: torch.dtype, precision: torch.dtype
    ) -> Evaluated:
        """Return output, loss terms and all gradients in one vector."""
        student, teacher = (
            self._moved(model, device, kind) for model in (self.student, self.teacher)
        )
        images = self.images.to(device, kind)
        with autocast(device, precision):
            with torch.inference_mode():
                expected = teacher(images)
            output = student(images)
        if kind == torch.float32:
            output, expected = output.float(), expected.float()
        given = {"teacher", "blocks", "divergence_head"}
        objective = Objective(terms_of(configuration({}).losses), frozenset(given))
        batch = Batch.unmixed(
            output,
            self.targets.to(device, kind),
            torch.arange(len(images), device=device),
            teacher=expected,
            num_old_classes=_NUM_OLD,
            num_old_tasks=_NUM_OLD_TASKS,
        )
        terms = objective(batch)
        terms.total.backward()
        gradients = [p.grad for p in student.parameters() if p.grad is not None]
        return output, terms, torch.cat([g.double().cpu().flatten() for g in gradients])

    @staticmethod
    def _moved(model: DAFormer, device: torch.device, kind: torch.dtype) -> DAFormer:
        return copy.deepcopy(model).to(device=device, dtype=kind).eval()


def _errors(actual: Evaluated, expected: Evaluated) -> dict[str, float]:
    terms = {
        f"loss_{name}": relative(value, expected[1][name])
        for name, value in actual[1].items()
    }
    return {
        "logits": relative(actual[0].logits, expected[0].logits),
        "embeddings": relative(actual[0].embeddings, expected[0].embeddings),
        **terms,
        "gradients": relative(actual[2], expected[2]),
    }


def parity(bench: Bench) -> None:
    """Compare with float64 on the CPU: outputs, losses, gradients of each network."""
    found = {}
    for form, settings in _FORMS.items():
        case = _Case(bench, settings)
        expected = case.evaluate(torch.device("cpu"), torch.float64, torch.float32)
        trials = [("bfloat16", torch.bfloat16, True)]
        for tf32 in _tf32_choices(bench):
            trials.append((f"float32 tf32={tf32}", torch.float32, tf32))
        for label, precision, tf32 in trials:
            with rounding_to_tf32(tf32):
                actual = case.evaluate(bench.device, torch.float32, precision)
            errors = _errors(actual, expected)
            found[f"{form} {label}"] = errors
            bench.report.row(f"parity {form} {label}: {listed(errors, '.1e')}")
    bench.report.keep("parity", found)


def graph_parity(bench: Bench) -> None:
    """Compare captured steps with ordinary ones, chance included."""
    rate, num_steps = 1e-4, 8
    losses = {}
    for label, graph in (("eager", "off"), ("graph", "auto")):
        trainer = bench.trainer(3, rho=3.0, graph=graph)
        for group in trainer.optimiser.param_groups:
            set_rate(group, rate)
        totals = []
        for number in range(num_steps):
            generator = torch.Generator().manual_seed(number)
            rows = torch.randperm(bench.num_images, generator=generator)
            rows = rows[: bench.batch_size].to(bench.device)
            given = bench.given(trainer, rows, bench.normal(number))
            totals.append(trainer._take_step(given)["total"].clone())
        losses[label] = torch.stack(totals).tolist()
    pairs = zip(losses["eager"], losses["graph"], strict=True)
    worst = max(abs(a - b) / abs(a) for a, b in pairs)
    bench.report.keep("graph_parity", {**losses, "worst": worst})
    bench.report.row(
        f"graph against eager over {num_steps} steps: worst relative difference of the "
        f"loss {worst:.1e}"
    )


def repeatable(bench: Bench) -> None:
    """Take the same steps twice from the same state: are they the same to the bit?"""
    found = {}
    for precision in ("float32", "bfloat16"):
        weights = []
        for _ in range(2):
            trainer = bench.trainer(3, rho=3.0, precision=precision)
            step = bench.step(trainer)
            for _ in range(2):
                step()
            parameters = trainer.model.parameters()
            weights.append(torch.cat([p.detach().flatten() for p in parameters]))
        found[precision] = float((weights[0] - weights[1]).abs().max())
    bench.report.keep("repeatable", found)
    bench.report.row(
        f"two steps twice, largest difference of a weight: {listed(found)}"
    )
