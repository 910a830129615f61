"""Records beside files, and checksums."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from daformer_kedro.storage.checksum import checksum, size
from daformer_kedro.storage.record import (
    Provenance,
    Record,
    checksum_matches,
    read_record,
    record_path,
    write_record,
)

OLD = """
{"sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
 "size": 3,
 "origin": {"node": "n", "dataset": "d", "output": 0, "key": "k",
  "parts": {"function": "f"}, "environment": {}, "attempt": "a", "mlflow_run": null,
  "made": "2026-11-24T10:00:00+00:00"},
 "check": "7e0b78ce974080bc"}
"""


def stored(tmp_path: Path, content: bytes = b"abc") -> Path:
    target = tmp_path / "metrics.json"
    target.write_bytes(content)
    made = Provenance("task_00.train_task", "task_00.trained", 0, "key", {"code": {}})
    write_record(target, Record(checksum(target), size(target), made))
    return target


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    record = read_record(stored(tmp_path))
    assert record is not None
    assert record.sha256 == hashlib.sha256(b"abc").hexdigest()
    assert record.size == 3
    assert record.provenance is not None
    assert record.provenance.node == "task_00.train_task"


def test_every_single_bit_of_damage_is_seen(tmp_path: Path) -> None:
    target = stored(tmp_path)
    record = read_record(target)
    assert record is not None
    assert checksum_matches(target, record)
    for position in range(3):
        for bit in range(8):
            content = bytearray(b"abc")
            content[position] ^= 1 << bit
            target.write_bytes(content)
            assert not checksum_matches(target, record)
    target.write_bytes(b"ab")
    assert not checksum_matches(target, record)
    target.unlink()
    assert not checksum_matches(target, record)


def test_damage_under_the_old_times_is_seen(tmp_path: Path) -> None:
    target = stored(tmp_path)
    record = read_record(target)
    assert record is not None
    times = target.stat().st_atime_ns, target.stat().st_mtime_ns
    assert checksum_matches(target, record)
    target.write_bytes(b"abd")
    os.utime(target, ns=times)
    assert not checksum_matches(target, record)


def test_a_damaged_record_vouches_for_nothing(tmp_path: Path) -> None:
    target = stored(tmp_path)
    path = record_path(target)
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        content = bytearray(whole)
        content[position] ^= 4
        path.write_bytes(content)
        found = read_record(target)
        # White space may be damaged without anything being lost.
        assert found is None or whole[position : position + 1].isspace()
    path.write_bytes(whole[:-20])
    assert read_record(target) is None


def test_a_folder_is_known_by_names_and_contents(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a").write_bytes(b"1")
    (folder / "b").write_bytes(b"2")
    before = checksum(folder)
    (folder / "a").write_bytes(b"2")
    (folder / "b").write_bytes(b"1")
    assert checksum(folder) != before
    (folder / "a").write_bytes(b"1")
    (folder / "b").rename(folder / "c")
    (folder / "c").write_bytes(b"2")
    assert checksum(folder) != before
    (folder / "c").rename(folder / "b")
    assert checksum(folder) == before


def test_records_of_earlier_versions_are_read(tmp_path: Path) -> None:
    target = tmp_path / "metrics.json"
    target.write_bytes(b"abc")
    record_path(target).write_text(OLD, encoding="utf-8")
    record = read_record(target)
    assert record is not None
    assert record.provenance is not None
    assert record.provenance.fingerprint == {"function": "f"}
    assert record.provenance.key == "k"
    before = json.loads(OLD)
    write_record(target, record)
    after = json.loads(record_path(target).read_text(encoding="utf-8"))
    # Only what was not measured then is added.
    assert after["origin"].pop("seconds") is after["origin"].pop("processor_seconds")
    assert before.pop("check") != after.pop("check")
    assert after == before
