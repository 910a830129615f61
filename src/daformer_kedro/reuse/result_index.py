"""Index of earlier results of a node, also in the folders of other settings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from glob import escape
from pathlib import Path

from daformer_kedro.datasets import StoredDataset
from daformer_kedro.reuse.differences import differences
from daformer_kedro.storage.atomic_files import replace_atomically, temporary_sibling
from daformer_kedro.storage.record import (
    SUFFIX,
    Provenance,
    Record,
    checksum_matches,
    read_record,
    write_record,
)


class ResultIndex:
    """Looks for earlier results next to where a node's outputs are stored.

    Args:
        keys: names of folders that differ from settings to settings.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys
        self._read: dict[Path, tuple[int, Record | None]] = {}

    def find(
        self, node: str, key: str, outputs: Sequence[StoredDataset]
    ) -> list[Path] | None:
        """Return whole files of all outputs of ``node`` made for ``key``, if any."""
        found: list[Path] = []
        for number, output in enumerate(outputs):
            path = self._whole(node, key, number, output)
            if path is None:
                return None
            found.append(path)
        return found

    def nearest(
        self,
        node: str,
        fingerprint: dict[str, object],
        outputs: Sequence[StoredDataset],
    ) -> Provenance | None:
        """Return the earlier result that differs least, the newest of equals."""
        found = [
            made
            for made, _ in self._earlier(node, outputs[0], with_own=True)
            if made.output == 0
        ]
        newest_first = sorted(found, key=lambda made: made.made, reverse=True)
        return min(
            newest_first,
            key=lambda made: len(differences(made.fingerprint, fingerprint)),
            default=None,
        )

    def fetch(self, found: Path, output: StoredDataset, now: Provenance) -> None:
        """Make an earlier result this output's too, as a hard link where possible."""
        record = read_record(found)
        if record is None:
            raise FileNotFoundError(found)
        with temporary_sibling(output.filepath) as written:
            _link_or_copy(found, written)
            output.forget_record()
            replace_atomically(written, output.filepath)
        if record.provenance is not None:
            made = record.provenance
            now = replace(
                now,
                made=made.made,
                mlflow_run=made.mlflow_run,
                seconds=made.seconds,
                processor_seconds=made.processor_seconds,
            )
        write_record(output.filepath, replace(record, provenance=now))

    def folder_of(self, found: Path, output: StoredDataset) -> str:
        """Return the name of the settings' folder that a result was found in."""
        for own, other in zip(output.filepath.parts, found.parts, strict=False):
            if own in self._keys:
                return other
        return found.parent.name

    def _whole(
        self, node: str, key: str, number: int, output: StoredDataset
    ) -> Path | None:
        for made, path in self._earlier(node, output):
            if (made.key, made.output) != (key, number):
                continue
            record = read_record(path)
            if record is not None and checksum_matches(path, record):
                return path
        return None

    def _earlier(
        self, node: str, output: StoredDataset, *, with_own: bool = False
    ) -> list[tuple[Provenance, Path]]:
        found = []
        for path in self._candidates(output.filepath):
            record = self._record(path)
            made = record.provenance if record else None
            is_other = with_own or path != output.filepath
            if made is not None and made.node == node and is_other:
                found.append((made, path))
        return found

    def _candidates(self, target: Path) -> list[Path]:
        """Return everything with a record in this folder under any settings."""
        parts = target.parent.parts
        varying = [number for number, part in enumerate(parts) if part in self._keys]
        folders = [target.parent]
        if varying:
            top = Path(*parts[: varying[0]])
            below = [
                "*" if part in self._keys else escape(part)
                for part in parts[varying[0] :]
            ]
            folders = sorted(top.glob("/".join(below)))
        return [
            record.with_name(record.name.removesuffix(SUFFIX))
            for folder in folders
            for record in sorted(folder.glob(f"*{SUFFIX}"))
        ]

    def _record(self, path: Path) -> Record | None:
        record_file = path.with_name(path.name + SUFFIX)
        try:
            changed = record_file.stat().st_mtime_ns
        except OSError:
            return None
        known = self._read.get(path)
        if known is None or known[0] != changed:
            known = (changed, read_record(path))
            self._read[path] = known
        return known[1]


def _link_or_copy(found: Path, written: Path) -> None:
    # Stored files are replaced and never changed in place, so links are safe.
    if found.is_dir():
        shutil.copytree(found, written, copy_function=_link_or_copy_file)
    else:
        _link_or_copy_file(str(found), str(written))


def _link_or_copy_file(found: str, written: str) -> None:
    try:
        os.link(found, written)
    except OSError:
        shutil.copyfile(found, written)
