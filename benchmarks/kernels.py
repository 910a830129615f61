"""Kernels, bytes and FLOP of an optimisation step on a GPU, counted without one.

    python benchmarks/kernels.py                      # CIFAR-100's network, batch 128
    python benchmarks/kernels.py --tasks 10 --rho 3 --precision bfloat16 --operations

Steps run on meta tensors, which have a shape and a type but no values, with CUDA's
autocast imitated (``on_gpu/meta_step.py``). Views and allocations are left out;
operations of several kernels count as so many. The time is a model: of each operation
the longest of 2.2 us a kernel, its bytes over the memory's rate, and its FLOP over the
rate of products. It says what to look for on a GPU, not what would be measured there.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
from on_gpu.meta_step import Case, run_epoch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

# A kernel's least time; bytes a second out of the cache and out of the memory; FLOP a
# second of products by half and by whole precision. Of an H100, rounded.
_SECONDS_A_KERNEL = 2.2e-6
_CACHE_RATE, _MEMORY_RATE, _CACHE_BYTES = 5e12, 2.6e12, 60e6
_HALF_RATE, _WHOLE_RATE = 400e12, 45e12

_WITHOUT_KERNEL = (
    *("empty", "new_empty", "empty_like", "detach", "alias", "lift_fresh", "view"),
    *("_unsafe_view", "_reshape_alias", "as_strided", "is_same_size"),
)
_KERNELS = {
    "native_layer_norm_backward": 2,
    "convolution_backward": 3,
    "topk": 2,
    "sort": 3,
    "argsort": 3,
    "randperm": 4,
    "_foreach_norm": 3,
}
"""Operations of more than one kernel."""

_SORTED_ACCUMULATION = 10  # kernels
# Numbers a block, blocks a kernel, and tensors a kernel by the lists that it goes over.
_FOREACH_BLOCK, _FOREACH_BLOCKS = 65536, 320
_FOREACH_TENSORS = {1: 110, 2: 64, 3: 48, 4: 36}


@dataclass
class Totals:
    """Sums over the operations of some steps."""

    kernels: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    flop: float = 0.0
    product_bytes: float = 0.0
    other_bytes: float = 0.0
    product_seconds: float = 0.0
    seconds: float = 0.0


class Count(TorchDispatchMode):
    """Counts what runs inside."""

    def __init__(self) -> None:
        super().__init__()
        self.totals = Totals()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        formula = flop_registry.get(func) or flop_registry.get(func._overloadpacket)
        if formula is None:
            with self:  # inference mode hands on what consists of other operations
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        if not _is_free(func):
            flop = formula(*args, **kwargs, out_val=result) if formula else 0
            self._add(func, args, kwargs, result, flop)
        return result

    def _add(self, func: Any, args: Any, kwargs: Any, result: Any, flop: float) -> None:
        totals, name = self.totals, _name(func)
        read = (args, {key: value for key, value in kwargs.items() if key != "out"})
        leaves = [t for t in tree_leaves(read) if torch.is_tensor(t)]
        is_half = any(t.dtype == torch.bfloat16 for t in leaves)
        leaves += [t for t in tree_leaves(result) if torch.is_tensor(t)]
        if all(tensor.device.type == "cpu" for tensor in leaves):
            return  # draws that the host has to know
        size = sum(_bytes_read(tensor) for tensor in leaves)
        num_kernels = _num_kernels(name, args)
        totals.kernels[name] += num_kernels
        totals.bytes[name] += size
        totals.flop += flop
        if flop:
            totals.product_bytes += size
        else:
            totals.other_bytes += size
        product_seconds = flop / (_HALF_RATE if is_half else _WHOLE_RATE)
        totals.product_seconds += product_seconds
        rate = _MEMORY_RATE if size > _CACHE_BYTES else _CACHE_RATE
        totals.seconds += max(
            _SECONDS_A_KERNEL * num_kernels, size / rate, product_seconds
        )


def _name(func: Any) -> str:
    return str(func._schema.name).split("::")[1]


def _is_free(func: Any) -> bool:
    return func.is_view or _name(func) in _WITHOUT_KERNEL


def _num_kernels(name: str, args: Any) -> int:
    if name in ("index_put_", "_index_put_impl_", "index_put"):
        accumulates = len(args) > 3 and args[3]
        return _SORTED_ACCUMULATION if accumulates else 1
    if name.startswith("_foreach") and name not in _KERNELS:
        blocks = sum(-(-t.numel() // _FOREACH_BLOCK) for t in args[0])
        lists = sum(isinstance(argument, list | tuple) for argument in args)
        lists += not name.endswith("_")  # what is made
        most = _FOREACH_TENSORS[lists]
        return max(-(-len(args[0]) // most), -(-blocks // _FOREACH_BLOCKS))
    return _KERNELS.get(name, 1)


def _bytes_read(tensor: torch.Tensor) -> int:
    """Return the bytes behind a tensor; expanded axes count once."""
    pairs = zip(tensor.shape, tensor.stride(), strict=True)
    return (
        torch.Size(n for n, stride in pairs if stride).numel() * tensor.element_size()
    )


_COLUMNS = (
    *("phase", "T, rho", "precision", "kernels", "TFLOP", "GB of products"),
    *("other GB", "products", "step", "kernels beside a step", "time beside"),
)


def count(case: Case, num_batches: int, **form: Any) -> tuple[Totals, Totals]:
    """Return the sums of some steps, and of the whole epoch of them.

    Args:
        case: what to count.
        num_batches: steps.
        form: section ``model`` of the parameters, where it is another than published.
    """
    step, epoch = Count(), Count()
    run_epoch(case, num_batches, form, step=step, epoch=epoch)
    return step.totals, epoch.totals


def row(case: Case, num_batches: int, operations: bool) -> str:
    """Count a case and return its line of the table, with its operations below."""
    step, epoch = count(case, num_batches)
    beside = sum(epoch.kernels.values()) - sum(step.kernels.values())
    cells = (
        case.phase,
        f"{case.num_tasks}, {case.rho:g}",
        case.precision,
        f"{sum(step.kernels.values()) / num_batches:,.0f}",
        f"{step.flop / num_batches / 1e12:.2f}",
        f"{step.product_bytes / num_batches / 1e9:.1f}",
        f"{step.other_bytes / num_batches / 1e9:.1f}",
        f"{1e3 * step.product_seconds / num_batches:.1f} ms",
        f"{1e3 * step.seconds / num_batches:.1f} ms",
        f"{beside / num_batches:.0f}",
        f"{1e3 * (epoch.seconds - step.seconds) / num_batches:.1f} ms",
    )
    lines = [f"| {' | '.join(cells)} |"]
    if operations:
        for name, number in step.kernels.most_common(40):
            size = step.bytes[name] / num_batches / 1e6
            lines.append(f"    {name:40} {number / num_batches:7.1f} {size:9.1f} MB")
    return "\n".join(lines)


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", default="1,2,5,10")
    parser.add_argument("--rho", default="0,3")
    parser.add_argument("--precision", default="bfloat16,float32")
    parser.add_argument("--phase", default="train", choices=("train", "finetune"))
    parser.add_argument("--batches", type=int, default=16)
    parser.add_argument("--operations", action="store_true", help="of each case")
    options = parser.parse_args()
    print(f"| {' | '.join(_COLUMNS)} |")
    print("| --- " * len(_COLUMNS) + "|")
    lists = (t.split(",") for t in (options.tasks, options.precision, options.rho))
    for tasks, precision, rho in itertools.product(*lists):
        case = Case(int(tasks), precision, float(rho), options.phase)
        print(row(case, options.batches, options.operations), flush=True)


if __name__ == "__main__":
    main()
