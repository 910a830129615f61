"""Models of finished runs, found among the stored results."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from daformer_kedro.errors import InputError
from daformer_kedro.serving.served_model import CHECKPOINT, ServedModel, read_model
from daformer_kedro.storage.record import read_record, record_path

_MODELS, _REPORTING = "06_models", "08_reporting"
_FEW = 10


def finished_runs(data: Path) -> list[str]:
    """List the run keys of finished runs, the newest first.

    Args:
        data: with Kedro's data layers in it.
    """
    results = (data / _REPORTING).glob("*/metrics.json")
    found = [
        (_stored_at(path), path.parent.name)
        for path in results
        if _model_folder(data, path.parent.name) is not None
    ]
    return [key for _, key in sorted(found, reverse=True)]


def read_run(data: Path, key: str) -> ServedModel:
    """Read the model after the last task of a run.

    Raises:
        InputError: the run is not found or not finished, or a file is damaged.
    """
    folder = _model_folder(data, key)
    if folder is None:
        raise InputError(
            f"model = {key!r}: no finished run of that key is in {data}. {_known(data)}"
        )
    return _read(folder, key, "run")


def read_newest_run(data: Path) -> ServedModel:
    """Read the model of the newest finished run.

    Raises:
        InputError: no run is finished, or a file is damaged.
    """
    keys = finished_runs(data)
    if not keys:
        raise InputError(f"no finished run is in {data}; kedro run makes one")
    folder = _model_folder(data, keys[0])
    assert folder is not None
    return _read(folder, keys[0], "newest finished run")


def _read(folder: Path, key: str, origin: str) -> ServedModel:
    # The file's own time, and not its record's: see _stored_at.
    try:
        seconds = (folder / CHECKPOINT).stat().st_mtime
    except OSError:
        return read_model(folder, key, origin)
    made = datetime.fromtimestamp(seconds).astimezone()
    return read_model(folder, key, origin, made)


def _model_folder(data: Path, key: str) -> Path | None:
    """Return the folder of the last task's model; ``None`` for an unfinished run."""
    if not key or Path(key).name != key:
        return None
    metrics = data / _REPORTING / key / "metrics.json"
    try:
        results = json.loads(metrics.read_text(encoding="utf-8"))
        num_tasks = len(results["accuracy_after_task"])
        folder = data / _MODELS / key / f"task_{num_tasks - 1:02d}"
        # A checkpoint that is newer than the results belongs to an unfinished run, but
        # for one that was made again and came out as it had been evaluated.
        checkpoint = folder / CHECKPOINT
        is_finished = _stored_at(checkpoint) <= _stored_at(metrics) or (
            _was_evaluated(checkpoint, metrics.parent / folder.name / metrics.name)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return folder if is_finished else None


def _was_evaluated(checkpoint: Path, metrics: Path) -> bool:
    """Return whether the metrics of a task are of a checkpoint of the same content."""
    made, measured = read_record(checkpoint), read_record(metrics)
    if made is None or measured is None or measured.provenance is None:
        return False
    inputs = measured.provenance.fingerprint.get("inputs", {})
    return bool(inputs.get("checkpoint", {}).get("content") == made.sha256)


def _stored_at(path: Path) -> float:
    # A result that came from another settings' folder keeps its file's time; its
    # record is new.
    record = record_path(path)
    return (record if record.exists() else path).stat().st_mtime


def _known(data: Path) -> str:
    keys = finished_runs(data)
    if not keys:
        return "kedro run makes one."
    more = f" and {len(keys) - _FEW} more" if len(keys) > _FEW else ""
    return f"Finished runs: {', '.join(keys[:_FEW])}{more}"
