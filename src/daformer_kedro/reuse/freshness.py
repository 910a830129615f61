"""Freshness of stored results: whether they can be reused, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.pipeline.node import Node

from daformer_kedro.datasets import StoredDataset
from daformer_kedro.reuse.differences import differences, in_one_line
from daformer_kedro.reuse.fingerprint import Fingerprinter, key_of
from daformer_kedro.reuse.result_index import ResultIndex
from daformer_kedro.storage.record import (
    Provenance,
    Record,
    checksum_matches,
    read_record,
)
from daformer_kedro.terminal import path_from_here


@dataclass(frozen=True)
class Freshness:
    """Judge of a node's stored outputs.

    Attributes:
        fingerprinter: knows what each node's result depends on now.
        index: earlier results, to name the nearest.
        attempt: take results of this attempt alone; ``None`` for those of any.
        is_strict: whether another device or PyTorch makes results stale.
    """

    fingerprinter: Fingerprinter
    index: ResultIndex
    attempt: str | None
    is_strict: bool

    def fault(self, node: Node, outputs: list[StoredDataset]) -> str | None:
        """Return why the stored results cannot be reused; ``None`` if they can."""
        records = [read_record(output.filepath) for output in outputs]
        damaged = _damaged(outputs, records)
        if damaged is not None:
            return f"damaged: {path_from_here(damaged)}"
        missing = [o.filepath for o in outputs if not o.filepath.exists()]
        if missing and self.attempt is not None:
            return "not yet done"
        found = [record.provenance for record in records if record is not None]
        known = [made for made in found if made is not None and made.node == node.name]
        fingerprint = self.fingerprinter.last(node)
        is_stale = any(made.key != key_of(fingerprint) for made in known)
        if missing and known and not is_stale:
            return f"missing: {path_from_here(missing[0])}"
        if len(known) < len(outputs) or is_stale:
            return self._what_changed(node, fingerprint, outputs, known)
        if self._is_of_another_attempt(known):
            return "not yet done"
        return self.environment_changes(node, known[0]) if self.is_strict else None

    def environment_changes(self, node: Node, made: Provenance) -> str | None:
        """Name the device and the versions that a result was made with, if others."""
        changed = [
            f"{name} changed {made.environment[name]} → {value}"
            for name, value in self.fingerprinter.environment(node).items()
            if made.environment.get(name, value) != value
        ]
        return "; ".join(changed) or None

    def _is_of_another_attempt(self, known: list[Provenance]) -> bool:
        wanted = self.attempt
        return wanted is not None and any(made.attempt != wanted for made in known)

    def _what_changed(
        self,
        node: Node,
        fingerprint: dict[str, Any],
        outputs: list[StoredDataset],
        known: list[Provenance],
    ) -> str:
        stale = [made for made in known if made.key != key_of(fingerprint)]
        nearest = (
            stale[0] if stale else self.index.nearest(node.name, fingerprint, outputs)
        )
        changes = (
            [] if nearest is None else differences(nearest.fingerprint, fingerprint)
        )
        if changes:
            return in_one_line(changes)
        unrecorded = [output for output in outputs if output.filepath.exists()]
        return "no record of how it was made" if unrecorded else "missing"


def _damaged(outputs: list[StoredDataset], records: list[Record | None]) -> Path | None:
    """Return the first file that is there and not what its record says."""
    for output, record in zip(outputs, records, strict=True):
        path = output.filepath
        if record is not None and path.exists() and not checksum_matches(path, record):
            return path
    return None
