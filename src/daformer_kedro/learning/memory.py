"""The rehearsal memory: how many exemplars, which ones, in which order."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from daformer_kedro.errors import InputError
from daformer_kedro.learning.apportionment import apportion

_MAX_HERDING_STEPS = 1000


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
    quota: int | Mapping[int, int],
    selection: str,
    generator: torch.Generator,
) -> pd.DataFrame:
    """Cut the memory of old classes to the new quota and add the new classes.

    Args:
        previous: exemplars so far: ``sample_index`` (position in the training images),
            ``target`` and ``rank`` (0 is the best of its class); ``None`` at first.
        candidates: the new classes' samples: ``sample_index`` and ``target``.
        features: (n, E), embeddings of the candidates, row by row.
        quota: exemplars per class, for all alike or by target.
        selection: ``herding``, ``closest`` or ``random``.
        generator: used by ``random`` alone.

    Returns:
        The new memory, sorted by target and rank.

    Raises:
        InputError: ``selection`` is unknown.
    """
    targets = candidates["target"].to_numpy()
    new = np.unique(targets).tolist()
    old = [] if previous is None else previous["target"].unique().tolist()
    quotas = quota if isinstance(quota, Mapping) else dict.fromkeys(old + new, quota)
    tables = []
    if previous is not None:
        tables.append(previous[previous["rank"] < previous["target"].map(quotas)])
    for target in new:
        rows = np.flatnonzero(targets == target)
        own = features[torch.from_numpy(rows)]
        order = _order(own, quotas[target], selection, generator)
        chosen = candidates.iloc[rows[order.numpy()]]
        tables.append(
            chosen[["sample_index", "target"]].assign(rank=range(len(chosen)))
        )
    memory = pd.concat(tables, ignore_index=True)
    memory = memory.sort_values(["target", "rank"], ignore_index=True)
    sizes = memory.groupby("target").size()
    too_many = sizes > sizes.index.map(quotas)
    if too_many.any() or memory["sample_index"].duplicated().any():
        raise AssertionError(
            f"the rehearsal memory holds {sizes.to_dict()} exemplars of the classes, "
            f"quota {quota}, or one image twice"
        )
    return memory.astype({"sample_index": "int64", "target": "int64", "rank": "int64"})


def _order(
    features: Tensor, num: int, selection: str, generator: torch.Generator
) -> Tensor:
    if selection == "herding":
        return herding_order(features, num)
    if selection == "closest":
        return closest_order(features, num)
    if selection == "random":
        return random_order(len(features), num, generator)
    raise InputError(
        f"memory.selection = {selection!r} is unknown; "
        "allowed: herding, closest, random"
    )


def proportional_quotas(
    total: int, previous: pd.DataFrame | None, candidates: pd.DataFrame
) -> dict[int, int]:
    """Return quotas in proportion to the classes' training images, ``total`` in all.

    Every class has at least one exemplar where the total allows it. An old class never
    gets more than it has, since its other images are gone.

    Args:
        total: exemplars in all.
        previous: the memory so far, with ``num_images``, the training images that the
            exemplar's class had; ``None`` at first.
        candidates: the new classes' samples.

    Returns:
        Exemplars by target.
    """
    new = candidates.groupby("target").size()
    classes = pd.DataFrame({"images": new, "limit": new})
    if previous is not None:
        old = previous.groupby("target")["num_images"].agg(images="first", limit="size")
        classes = pd.concat([classes, old]).sort_index()
    shares, limits = classes["images"].tolist(), classes["limit"].tolist()
    quotas = apportion(total, shares, limits, least=1)
    return dict(zip(classes.index.tolist(), quotas, strict=True))


def with_class_sizes(
    memory: pd.DataFrame, previous: pd.DataFrame | None, candidates: pd.DataFrame
) -> pd.DataFrame:
    """Return the memory with the training images of each exemplar's class.

    Args:
        memory: of :func:`update_memory`.
        previous: the memory before, of this function; ``None`` at first.
        candidates: the new classes' samples.
    """
    tables = [candidates.assign(num_images=1).groupby("target")["num_images"].sum()]
    if previous is not None:
        tables.append(previous.groupby("target")["num_images"].first())
    sizes = pd.concat(tables)
    return memory.assign(num_images=memory["target"].map(sizes).astype("int64"))


def keep_everything(
    previous: pd.DataFrame | None, candidates: pd.DataFrame
) -> pd.DataFrame:
    """A memory without a budget: all samples of all classes (joint training).

    Args:
        previous: the memory so far, ``None`` at first.
        candidates: the new classes' samples: ``sample_index`` and ``target``.
    """
    new = candidates[["sample_index", "target"]]
    new = new.assign(rank=new.groupby("target").cumcount())
    tables = [new] if previous is None else [previous, new]
    return pd.concat(tables, ignore_index=True)
