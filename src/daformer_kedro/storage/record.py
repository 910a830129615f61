"""Record next to a stored file: its checksum and how it was made."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from daformer_kedro.storage.atomic_files import write_text
from daformer_kedro.storage.checksum import checksum

SUFFIX = ".meta"


@dataclass(frozen=True)
class Provenance:
    """Description of how a result was made.

    Attributes:
        node: name of the node.
        dataset: name of the dataset.
        output: position among the node's outputs.
        key: digest of the fingerprint.
        fingerprint: everything that the result depends on, to say later what changed.
        environment: what ought not to change a result, such as torch's version.
        attempt: the attempt at a command in which it was made.
        mlflow_run: run in MLflow that shows how it was made, if one does.
        made: time, ISO 8601.
        seconds: that the node took until this output was stored, in the process that
            stored it; ``None`` where that was not measured.
        processor_seconds: of all cores, processes that the node started included.
    """

    node: str
    dataset: str
    output: int
    key: str
    fingerprint: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    attempt: str = ""
    mlflow_run: str | None = None
    made: str = ""
    seconds: float | None = None
    processor_seconds: float | None = None


@dataclass(frozen=True)
class Record:
    """Content and provenance of one stored file or folder.

    Attributes:
        sha256: see :func:`~daformer_kedro.storage.checksum.checksum`.
        size: bytes.
        provenance: ``None`` for what was stored outside a run.
    """

    sha256: str
    size: int
    provenance: Provenance | None = None


def record_path(target: Path) -> Path:
    """Return the path of the record of ``target``."""
    return target.with_name(target.name + SUFFIX)


def write_record(target: Path, record: Record) -> None:
    """Write the record, after the file that it describes.

    In the file, the provenance is called ``origin`` and the fingerprint ``parts``, as
    in those of earlier results.
    """
    values = asdict(record)
    provenance = values.pop("provenance")
    if provenance is not None:
        provenance["parts"] = provenance.pop("fingerprint")
    values["origin"] = provenance
    text = json.dumps(
        values | {"check": _check(values)}, indent=1, sort_keys=True, allow_nan=False
    )
    write_text(record_path(target), text + "\n")


def read_record(target: Path) -> Record | None:
    """Read the record of ``target``; ``None`` if it is missing or damaged."""
    try:
        return parse_record(record_path(target).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def parse_record(text: str) -> Record | None:
    """Read a record from its file's text; ``None`` if it is damaged."""
    try:
        values = json.loads(text)
        if values.pop("check") != _check(values):
            return None
        made = values.pop("origin")
        if made is not None:
            made = Provenance(fingerprint=made.pop("parts"), **made)
        return Record(**values, provenance=made)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def checksum_matches(target: Path, record: Record) -> bool:
    """Return whether ``target`` exists and has the checksum of its record."""
    try:
        return checksum(target) == record.sha256
    except OSError:
        return False


def _check(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
