"""Parts of ``gpu.py check``: waiting, augmentation, and the decoder by itself."""

from __future__ import annotations

import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from daformer_kedro.augmentation.rand_augment import RandAugment, parse_policy
from daformer_kedro.augmentation.rand_augment_operations import (
    apply_operations,
)
from daformer_kedro.augmentation.transform import Augmentation
from daformer_kedro.learning.devices import autocast
from daformer_kedro.model import DAFormer
from daformer_kedro.model.decoders import dual_attention_decoder
from daformer_kedro.model.decoders.dual_attention import (
    AttentionWeights,
    SharedAttention,
)
from daformer_kedro.model.freezing import freeze_for_training
from on_gpu.bench import Action, Bench, relative
from on_gpu.recipe import configuration
from on_gpu.report import listed

_SECONDS_PER_DECODER = 25


def synchronisation(bench: Bench) -> None:
    """Find where a step and augmentation wait for the device, as CUDA notices it."""
    if not bench.on_gpu:
        return
    found: Counter[str] = Counter()
    for rho, num_tasks in ((0.0, 1), (3.0, 3)):
        trainer = bench.trainer(num_tasks, rho=rho)
        step = bench.step(trainer)
        step()
        bench.wait()
        with _waits(found):
            step()
    batches = trainer.data.images.split(bench.batch_size)
    list(trainer.batches.augmented(batches))
    with _waits(found):
        list(trainer.batches.augmented(batches))
    bench.report.keep("synchronisation", found)
    places = listed(dict(found)) or "none"
    bench.report.row(f"places that wait for the device in a step: {places}")


@contextmanager
def _waits(found: Counter[str]) -> Iterator[None]:
    """Count each place that waits for the device inside the block."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for warning in caught:
        if "synchroniz" in str(warning.message):
            found[f"{Path(warning.filename).name}:{warning.lineno}"] += 1


def augmentation(bench: Bench) -> None:
    """Compare the device's RandAugment with the CPU's on equal draws, and time it."""
    config = configuration({})
    num = 64 if bench.tiny else 2048
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(
        256, (num, 3, 32, 32), dtype=torch.uint8, generator=generator
    )
    policy = parse_policy("rand-m9-mstd0.5-inc1-p1.0")
    host = RandAugment(policy, config.preprocessing.mean, "cpu")
    drawn = host.draw(num, generator)
    here = images.to(bench.device), *drawn, host._fill.to(bench.device)
    expected = apply_operations(images, *drawn, host._fill)
    actual = apply_operations(*here).cpu()
    augment = Augmentation(
        config.augmentation,
        image_size=32,
        preprocessing=config.preprocessing,
        device=bench.device,
    )
    own = torch.Generator(bench.device).manual_seed(0)

    def whole() -> None:
        pixels = here[0].split(bench.batch_size)
        for _ in augment.batches(pixels, own, generator):
            pass

    ms = bench.milliseconds(whole, 5)
    with torch.inference_mode():
        operations_ms = bench.milliseconds(lambda: apply_operations(*here), 5)
    found = {
        "different_levels": float((actual != expected).float().mean()),
        "largest_difference": float((actual.int() - expected.int()).abs().max()),
        "ms_a_step": ms * bench.batch_size / num,
        "images_per_s": num / ms * 1e3,
        "rand_augment_ms": operations_ms,
        **bench.kernels(whole, num // bench.batch_size),
    }
    bench.report.keep("augmentation", found)
    bench.report.row(f"augmentation: {listed(found, '.4g')}")


def decoder(bench: Bench) -> None:
    """Time the decoder by itself, forward and backward: as it is, and candidates.

    Through scaled_dot_product_attention, with the bias as a mask, no scores are stored,
    and queries and values are repeated for each task.
    """
    trial = _DecoderTrial(bench, num_tasks=3 if bench.tiny else 10)
    ways = {"as it is": trial.as_it_is, "sdpa": trial.through_sdpa}
    if bench.on_gpu:
        ways["compiled"] = trial.compiled
    found: dict[str, dict[str, float]] = {}
    expected = None
    for name, way in ways.items():
        if bench.report.left() < _SECONDS_PER_DECODER:
            bench.report.row(f"no time left for decoder {name}")
            continue
        try:
            started = time.perf_counter()
            output = trial.both_ways(way).detach().float()
            bench.wait()
            found[name] = {"ready_s": time.perf_counter() - started}
            expected = output if expected is None else expected
            found[name] |= trial.measured(way)
            found[name]["difference"] = relative(output, expected)
            bench.report.row(f"decoder {name}: {listed(found[name])}")
        except Exception as error:  # of the compiler: the others still count
            traceback.print_exc()
            bench.report.row(f"decoder {name}: FAILED {type(error).__name__}: {error}")
        bench.report.keep("decoder", found)


class _DecoderTrial:
    """A decoder after some tasks, and tokens for it."""

    def __init__(self, bench: Bench, num_tasks: int) -> None:
        self.bench = bench
        model: DAFormer = bench.model(num_tasks)
        freeze_for_training(model)
        self.decoder = model.decoder
        attention = self.decoder.attn
        with torch.no_grad():  # away from zero, where they start
            for parameter in (*attention.internal_keys, *attention.internal_biases):
                parameter += 0.1 * torch.randn_like(parameter)
        shape = (bench.batch_size, 64, model.config.embed_dim)
        self.x = torch.randn(shape, device=bench.device, requires_grad=True)
        self.keep = torch.ones(2, num_tasks, bench.batch_size, device=bench.device)

    def as_it_is(self) -> Tensor:
        """Return the embeddings, (T, B, D)."""
        return self.decoder(self.x, self.keep)

    def through_sdpa(self) -> Tensor:
        """Return them by the fused kernel."""
        with mock.patch.object(dual_attention_decoder, "attend", _fused):
            return self.as_it_is()

    def compiled(self) -> Tensor:
        """Return them by compiled kernels."""
        for module in self.decoder.repeated_modules():
            module.compile()
        return self.as_it_is()

    def both_ways(self, way: Callable[[], Tensor]) -> Tensor:
        """Run forward and backward; return the output."""
        with autocast(self.bench.device, torch.bfloat16):
            output = way()
        output.float().square().sum().backward()
        self.decoder.zero_grad(set_to_none=True)
        self.x.grad = None
        return output

    def measured(self, way: Callable[[], Tensor]) -> dict[str, float]:
        """Return milliseconds and kernels."""
        action: Action = lambda: self.both_ways(way)  # noqa: E731
        ms = self.bench.milliseconds(action, 2 if self.bench.tiny else 10)
        return {"ms": ms, **self.bench.kernels(action)}


def _fused(shared: SharedAttention, weights: AttentionWeights) -> Tensor:
    """Internal attention through scaled_dot_product_attention, (B, H, N, T, d)."""
    query, value, num_tasks = shared.query, shared.value, len(weights.keys)
    batch, heads, tokens, width = query.shape
    shape = (num_tasks, batch * heads, tokens, width)
    q, v = (
        t[None].expand(num_tasks, -1, -1, -1, -1).reshape(shape) for t in (query, value)
    )
    k = weights.keys[:, None].expand(-1, shape[1], -1, -1)
    mask = weights.biases[:, None, None].expand(-1, shape[1], tokens, -1)
    # The keys are already over the root of their width.
    attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)
    return attended.view(num_tasks, *query.shape).permute(1, 2, 3, 0, 4)
