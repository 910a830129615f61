"""Table of predictions, made of logits."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

_NUM_RANKED = 5


def prediction_table(logits: Tensor, samples: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the model's answer for every test image.

    Args:
        logits: (N, C) over all classes seen.
        samples: the N images: ``index``, ``task`` and ``target``.

    Returns:
        ``index``, ``task``, ``target``, ``predicted`` and ``top_1`` … ``top_5``, the
        classes by falling logit; -1 where there are fewer than five classes.
    """
    num_ranked = min(_NUM_RANKED, logits.shape[1])
    # A stable sort: equal logits rank by class, on any machine.
    ranked = logits.argsort(dim=1, descending=True, stable=True)[:, :num_ranked]
    filled = torch.full((len(logits), _NUM_RANKED), -1)
    filled[:, :num_ranked] = ranked
    columns = {f"top_{k + 1}": filled[:, k].numpy() for k in range(_NUM_RANKED)}
    table = samples[["index", "task", "target"]].reset_index(drop=True)
    table = table.assign(predicted=filled[:, 0].numpy(), **columns)
    small = ["task", "target", "predicted", *columns]
    return table.astype({name: "int16" for name in small})
