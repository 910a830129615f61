"""Records beside files, and checksums."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from daformer_kedro.storage.checksum import checksum, size
from daformer_kedro.storage.record import (
    Origin,
    Record,
    is_whole,
    read_record,
    record_path,
    write_record,
)


def stored(tmp_path: Path, content: bytes = b"abc") -> Path:
    target = tmp_path / "metrics.json"
    target.write_bytes(content)
    origin = Origin("task_00.train_task", "task_00.trained", 0, "key", {"code": {}})
    write_record(target, Record(checksum(target), size(target), origin))
    return target


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    record = read_record(stored(tmp_path))
    assert record is not None
    assert record.sha256 == hashlib.sha256(b"abc").hexdigest()
    assert record.size == 3
    assert record.origin is not None
    assert record.origin.node == "task_00.train_task"


def test_every_single_bit_of_damage_is_seen(tmp_path: Path) -> None:
    target = stored(tmp_path)
    record = read_record(target)
    assert record is not None
    assert is_whole(target, record)
    for position in range(3):
        for bit in range(8):
            content = bytearray(b"abc")
            content[position] ^= 1 << bit
            target.write_bytes(content)
            assert not is_whole(target, record)
    target.write_bytes(b"ab")
    assert not is_whole(target, record)
    target.unlink()
    assert not is_whole(target, record)


def test_damage_under_the_old_times_is_seen(tmp_path: Path) -> None:
    target = stored(tmp_path)
    record = read_record(target)
    assert record is not None
    times = target.stat().st_atime_ns, target.stat().st_mtime_ns
    assert is_whole(target, record)
    target.write_bytes(b"abd")
    os.utime(target, ns=times)
    assert not is_whole(target, record)


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
