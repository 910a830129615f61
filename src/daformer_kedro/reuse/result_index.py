"""Earlier results of a node, also in the folders of other settings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from glob import escape
from pathlib import Path

from daformer_kedro.datasets import StoredDataset
from daformer_kedro.reuse.differences import differences
from daformer_kedro.storage.record import (
    SUFFIX,
    Origin,
    Record,
    is_whole,
    read_record,
    write_record,
)
from daformer_kedro.storage.whole_files import beside, put_in_place


class Library:
    """Looks for earlier results beside where a node's outputs are stored.

    Args:
        keys: names of folders that differ from settings to settings.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys
        self._read: dict[Path, tuple[int, Record | None]] = {}

    def find(
        self, node: str, key: str, outputs: Sequence[StoredDataset]
    ) -> list[Path] | None:
        """Whole files of all outputs of ``node`` made for ``key``, if there are any."""
        found: list[Path] = []
        for number, output in enumerate(outputs):
            path = self._whole(node, key, number, output)
            if path is None:
                return None
            found.append(path)
        return found

    def nearest(
        self, node: str, parts: dict[str, object], outputs: Sequence[StoredDataset]
    ) -> Origin | None:
        """The earlier result of ``node`` that differs least, the newest of equals."""
        origins = [
            origin
            for origin, _ in self._earlier(node, outputs[0], with_own=True)
            if origin.output == 0
        ]
        if not origins:
            return None
        newest_first = sorted(origins, key=lambda origin: origin.made, reverse=True)
        return min(newest_first, key=lambda o: len(differences(o.parts, parts)))

    def fetch(self, found: Path, output: StoredDataset, origin: Origin) -> None:
        """Make an earlier result this output's too, as a hard link where possible."""
        record = read_record(found)
        if record is None:
            raise FileNotFoundError(found)
        with beside(output.filepath) as written:
            _link_or_copy(found, written)
            output.forget_record()
            put_in_place(written, output.filepath)
        made = record.origin.made if record.origin else origin.made
        run = record.origin.mlflow_run if record.origin else None
        kept = replace(origin, made=made, mlflow_run=run)
        write_record(output.filepath, replace(record, origin=kept))

    def folder_of(self, found: Path, output: StoredDataset) -> str:
        """Name of the settings' folder that an earlier result was found in."""
        for own, other in zip(output.filepath.parts, found.parts, strict=False):
            if own in self._keys:
                return other
        return found.parent.name

    def _whole(
        self, node: str, key: str, number: int, output: StoredDataset
    ) -> Path | None:
        for origin, path in self._earlier(node, output):
            if (origin.key, origin.output) != (key, number):
                continue
            record = read_record(path)
            if record is not None and is_whole(path, record):
                return path
        return None

    def _earlier(
        self, node: str, output: StoredDataset, *, with_own: bool = False
    ) -> list[tuple[Origin, Path]]:
        found = []
        for path in self._candidates(output.filepath):
            record = self._record(path)
            origin = record.origin if record else None
            is_other = with_own or path != output.filepath
            if origin is not None and origin.node == node and is_other:
                found.append((origin, path))
        return found

    def _candidates(self, target: Path) -> list[Path]:
        """Everything with a record in this folder under any settings."""
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
