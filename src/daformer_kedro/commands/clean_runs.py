"""Removal of old results: ``python -m daformer_kedro clean-runs``."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from daformer_kedro.errors import InputError
from daformer_kedro.storage.lock import Lock
from daformer_kedro.storage.record import SUFFIX, Record, read_record
from daformer_kedro.storage.scratch import noted_scratch, remove_copies
from daformer_kedro.terminal import print_any_character

_RAW, _SOURCES, _JOURNAL = "01_raw", "02_intermediate", "journal"
_MAPPED = ("images", "tokens")
"""Stored folders that are copied to ``cache.scratch`` and mapped from there."""


@dataclass(frozen=True)
class StoredRun:
    """The results of one configuration, in every data layer.

    Attributes:
        name: its run key.
        folders: where they are.
        used: when something was last stored there, in seconds since 1970.
    """

    name: str
    folders: tuple[Path, ...]
    used: float


def stored_runs(data: Path, *, sources: bool = False) -> list[StoredRun]:
    """Return all runs below the folder ``data``, the newest first.

    Args:
        data: with Kedro's data layers in it; what runs keep on this machine's own
            disk (``cache.scratch``) is theirs too.
        sources: look for ingested images instead.
    """
    roots = [data, *noted_scratch(data / _JOURNAL)]
    layers = [
        layer
        for root in roots
        for layer in sorted(root.glob("[0-9][0-9]_*"))
        if layer.is_dir()
    ]
    folders: dict[str, list[Path]] = {}
    for layer in layers:
        if layer.name != _RAW and (layer.name == _SOURCES) == sources:
            for folder in layer.iterdir():
                if folder.is_dir():
                    folders.setdefault(folder.name, []).append(folder)
    runs = [
        StoredRun(name, tuple(found), max(map(_last_change, found)))
        for name, found in folders.items()
    ]
    return sorted(runs, key=lambda run: run.used, reverse=True)


def bytes_freed(runs: Iterable[StoredRun]) -> int:
    """Return what the disk gains without these runs.

    Runs share files as hard links: one counts once none of its links stays.
    """
    links: Counter[tuple[int, int]] = Counter()
    stats = {}
    for file in _files(folder for run in runs for folder in run.folders):
        found = file.stat()
        links[found.st_dev, found.st_ino] += 1
        stats[found.st_dev, found.st_ino] = found
    return sum(
        found.st_size
        for inode, found in stats.items()
        if links[inode] >= found.st_nlink
    )


def remove(run: StoredRun, data: Path) -> None:
    """Remove a run and what is noted of its interruptions.

    Raises:
        InputError: a process is writing it.
    """
    lock = Lock(data / _JOURNAL / f"{run.name}.lock", f"The folder {run.name}")
    lock.acquire()
    try:
        for folder in run.folders:
            shutil.rmtree(folder)
        for attempt in (data / _JOURNAL).glob(f"{run.name}.*.attempt"):
            attempt.unlink(missing_ok=True)
    finally:
        lock.release()


def remove_unused_copies(data: Path) -> None:
    """Remove copies on this machine's own disk of what is not in ``data`` any more."""
    places = [f"[0-9][0-9]_*/**/{name}{SUFFIX}" for name in _MAPPED]
    files = [file for place in places for file in data.glob(place)]
    records = [read_record(file.with_suffix("")) for file in files]
    stored = [record.sha256 for record in records if isinstance(record, Record)]
    for scratch in noted_scratch(data / _JOURNAL):
        remove_copies(scratch, but=stored)


def main(arguments: Sequence[str] | None = None) -> int:
    """Show what there is, ask how many to keep, remove the others."""
    print_any_character()
    parser = argparse.ArgumentParser(
        prog="python -m daformer_kedro clean-runs",
        description=(__doc__ or "").partition(":")[0],
    )
    parser.add_argument(
        "--keep", type=int, help="how many of the newest; asks if unset"
    )
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument(
        "--sources", action="store_true", help="clean ingested images, not results"
    )
    options = parser.parse_args(arguments)
    runs = stored_runs(options.data, sources=options.sources)
    for number, run in enumerate(runs, start=1):
        when = datetime.fromtimestamp(run.used).isoformat(" ", "minutes")
        _say(f"{number:3}  {when}  {_show(bytes_freed([run])):>10}  {run.name}")
    keep = _ask(len(runs)) if options.keep is None else options.keep
    if keep < 0:
        raise SystemExit(f"--keep {keep}: allowed are 0 and above")
    old = runs[keep:]
    freed, kept = bytes_freed(old), 0
    for run in old:
        try:
            remove(run, options.data)
        except InputError as error:
            freed, kept = freed - bytes_freed([run]), kept + 1
            _say(f"Kept: {error}")
    remove_unused_copies(options.data)
    _say(f"Removed {len(old) - kept} of {len(runs)}, which freed {_show(freed)}.")
    return 0


def _ask(count: int) -> int:
    if not sys.stdin.isatty():
        raise SystemExit("Say how many of the newest to keep: --keep N, or KEEP=N")
    answer = input(f"How many of the newest to keep (0 to {count}; Enter: all)? ")
    return int(answer) if answer.strip().isdecimal() else count


def _last_change(folder: Path) -> float:
    return max((f.stat().st_mtime for f in _files([folder])), default=0.0)


def _files(folders: Iterable[Path]) -> list[Path]:
    return [f for folder in folders for f in folder.rglob("*") if f.is_file()]


def _show(num_bytes: float) -> str:
    for unit in ("B", "kB", "MB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.1f} GB"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
