"""Samples that a method's own choice of a memory is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from daformer_kedro.errors import InputError


@dataclass(frozen=True, eq=False)
class Candidates:
    """The memory so far, and what may enter it.

    Attributes:
        previous: exemplars so far: ``sample_index``, ``target``, ``rank``; ``None`` in
            the first task.
        samples: the new classes' training samples: ``sample_index``, ``target``.
        features: (n, E) embeddings of the new samples, row by row.
        logits: (n, C) of them.
        quota: exemplars that each class has room for.
        num_classes: classes seen so far; the budget is ``quota`` times as many.
        generator: source of chance.
    """

    previous: pd.DataFrame | None
    samples: pd.DataFrame
    features: Tensor
    logits: Tensor
    quota: int
    num_classes: int
    generator: torch.Generator

    def checked(self, chosen: pd.DataFrame, method: str) -> pd.DataFrame:
        """Return a choice, sorted, if it is one of these samples within the budget.

        Args:
            chosen: of :meth:`~daformer_kedro.methods.method.Method.choose`.
            method: its name, for the error.

        Raises:
            InputError: it is not.
        """
        kinds: Mapping[str, str] = dict.fromkeys(
            ("sample_index", "target", "rank"), "int64"
        )
        missing = sorted(set(kinds) - set(chosen))
        if missing:
            raise InputError(f"baseline = {method} chose exemplars without {missing}")
        memory = chosen[list(kinds)].astype(kinds)
        tables = [t for t in (self.previous, self.samples) if t is not None]
        known = pd.concat(tables).set_index("sample_index")["target"]
        found = known.reindex(memory["sample_index"]).to_numpy()
        num_foreign = int((found != memory["target"].to_numpy()).sum())
        num_twice = int(memory["sample_index"].duplicated().sum())
        budget = self.quota * self.num_classes
        if num_foreign or num_twice or len(memory) > budget:
            raise InputError(
                f"baseline = {method} chose {len(memory)} exemplars, of which "
                f"{num_foreign} are no candidates of that class and {num_twice} come "
                f"twice; allowed: up to {budget} of the new samples and the memory's"
            )
        return memory.sort_values(["target", "rank"], ignore_index=True)
