"""The rehearsal memory: how many exemplars, which ones, in which order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from daformer_kedro.config import MemoryConfig
from daformer_kedro.errors import InputError

_MAX_HERDING_STEPS = 1000


def exemplars_per_class(memory: MemoryConfig, num_classes_seen: int) -> int:
    """Quota of each class once ``num_classes_seen`` classes share the memory.

    Raises:
        InputError: ``memory.total`` is too small to give every class one exemplar.
    """
    if memory.per_class is not None:
        return memory.per_class
    total = memory.total or 0
    if total < num_classes_seen:
        raise InputError(
            f"memory.total = {total} is too small: {num_classes_seen} classes need "
            "at least one exemplar each"
        )
    return total // num_classes_seen


def herding_order(features: Tensor, num: int) -> Tensor:
    """Order in which herding takes the samples of one class.

    Greedy matching of the class mean (Rebuffi et al., iCaRL, CVPR 2017, algorithm 4;
    Welling, ICML 2009): with unit features ``f_i`` and mean ``m``, start at ``w = m``,
    take ``i = argmax <w, f_i>``, then ``w += m - f_i``. As in the released code, a
    sample may be met again; it moves ``w`` but is listed once.

    Args:
        features: (n, E), one row per sample; rows are brought to unit length here.
        num: how many to take; more than ``n`` takes all.

    Returns:
        (min(num, n),) positions, best first. A shorter list is a prefix of a longer
        one, so a memory shrinks by cutting its tail.
    """
    # float64 on the CPU: near-ties must not depend on device or number of threads.
    unit = F.normalize(features.detach().double().cpu(), dim=1).numpy()
    mean = unit.mean(axis=0)
    num = min(num, len(unit))
    direction = mean.copy()
    taken: dict[int, None] = {}
    for _ in range(max(_MAX_HERDING_STEPS, 10 * num)):
        if len(taken) == num:
            break
        best = int(np.argmax(unit @ direction))
        taken.setdefault(best)
        direction += mean - unit[best]
    # Samples that herding never meets follow by their closeness to the mean.
    for position in np.argsort(-(unit @ mean), kind="stable"):
        if len(taken) == num:
            break
        taken.setdefault(int(position))
    return torch.tensor(list(taken), dtype=torch.int64)


def closest_order(features: Tensor, num: int) -> Tensor:
    """Samples of one class by cosine similarity to the class mean, best first.

    Args:
        features: (n, E), one row per sample.
        num: how many to take.
    """
    unit = F.normalize(features.detach().double().cpu(), dim=1)
    similarity = unit @ unit.mean(dim=0)
    return torch.argsort(similarity, descending=True, stable=True)[:num]


def random_order(num_samples: int, num: int, generator: torch.Generator) -> Tensor:
    """``num`` of ``num_samples`` positions, drawn without replacement."""
    return torch.randperm(num_samples, generator=generator)[:num]


def update_memory(
    previous: pd.DataFrame | None,
    candidates: pd.DataFrame,
    features: Tensor,
    quota: int,
    selection: str,
    generator: torch.Generator,
) -> pd.DataFrame:
    """Cut the memory of old classes to the new quota and add the new classes.

    Args:
        previous: exemplars so far: ``index`` (row of the training images),
            ``target`` and ``rank`` (0 is the best of its class); ``None`` at first.
        candidates: the new classes' samples: ``index`` and ``target``.
        features: (n, E), embeddings of the candidates, row by row.
        quota: exemplars per class, see :func:`exemplars_per_class`.
        selection: ``herding``, ``closest`` or ``random``.
        generator: used by ``random`` alone.

    Returns:
        The new memory, sorted by target and rank.

    Raises:
        InputError: ``selection`` is unknown.
    """
    tables = [] if previous is None else [previous[previous["rank"] < quota]]
    targets = candidates["target"].to_numpy()
    for target in np.unique(targets):
        rows = np.flatnonzero(targets == target)
        own = features[torch.from_numpy(rows)]
        if selection == "herding":
            order = herding_order(own, quota)
        elif selection == "closest":
            order = closest_order(own, quota)
        elif selection == "random":
            order = random_order(len(rows), quota, generator)
        else:
            raise InputError(
                f"memory.selection = {selection!r} is unknown; "
                "allowed: herding, closest, random"
            )
        chosen = candidates.iloc[rows[order.numpy()]]
        tables.append(chosen[["index", "target"]].assign(rank=range(len(chosen))))
    memory = pd.concat(tables, ignore_index=True)
    memory = memory.sort_values(["target", "rank"], ignore_index=True)
    largest = memory.groupby("target").size().max()
    if largest > quota or memory["index"].duplicated().any():
        raise AssertionError(
            f"the rehearsal memory holds {largest} exemplars of a class, "
            f"quota {quota}, or one image twice"
        )
    return memory.astype({"index": "int64", "target": "int64", "rank": "int64"})


def keep_everything(
    previous: pd.DataFrame | None, candidates: pd.DataFrame
) -> pd.DataFrame:
    """A memory without a budget: all samples of all classes (joint training).

    Args:
        previous: the memory so far, ``None`` at first.
        candidates: the new classes' samples: ``index`` and ``target``.
    """
    new = candidates[["index", "target"]]
    new = new.assign(rank=new.groupby("target").cumcount())
    tables = [new] if previous is None else [previous, new]
    return pd.concat(tables, ignore_index=True)
