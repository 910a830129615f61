"""Copies in an object store: newer ones are fetched, damaged ones refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.storage.checksum import checksum, size
from daformer_kedro.storage.object_store import ObjectStore
from daformer_kedro.storage.record import Provenance, Record, record_path, write_record

URL = "memory://results"
NOON = "2026-01-01T12:00:00+00:00"


def write(target: Path, made: str = NOON, **files: str) -> Path:
    """A file, or a folder of files, with its record."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if files:
        for name, text in files.items():
            target.mkdir(exist_ok=True)
            (target / name).write_text(text)
    else:
        target.write_text(made)
    provenance = Provenance("node", "data", 0, "key", {}, made=made)
    write_record(target, Record(checksum(target), size(target), provenance))
    return target


@pytest.fixture
def places(tmp_path: Path) -> list[tuple[Path, ObjectStore]]:
    """Two machines' folders, and the store as each sees it."""
    fsspec.filesystem("memory").store.clear()
    folders = [tmp_path / name for name in "ab"]
    return [(folder, ObjectStore(URL, folder)) for folder in folders]


def test_files_and_folders_arrive_whole_with_their_records(places: Any) -> None:
    (here, store), (there, other) = places
    sent = [write(here / "x" / "m.json"), write(here / "images", one="1", two="2")]
    write(here / "images2", three="3")  # not asked for, though its name begins alike
    store.send([*sent, here / "images2", here / "never made"])
    targets = [there / path.relative_to(here) for path in sent]
    assert other.fetch([*targets, there / "never made"]) == targets
    for path, target in zip(sent, targets, strict=True):
        assert checksum(target) == checksum(path)
        assert record_path(target).read_bytes() == record_path(path).read_bytes()
    names = {path.name for path in there.rglob("*") if path.is_file()}
    assert names == {"images.meta", "m.json", "m.json.meta", "one", "two"}
    assert other.fetch(targets) == []


def test_the_newer_result_wins_on_either_side(places: Any) -> None:
    (here, store), (there, other) = places
    store.send([write(here / "m.json")])
    later = NOON.replace("12:", "13:")
    newer = write(there / "m.json", later)
    assert other.fetch([newer]) == []
    other.send([newer])
    # The same moment, written with another offset, is not newer.
    same = later.replace("13:", "14:").replace("+00:00", "+01:00")
    own = write(here / "n.json", same)
    store.send([write(here / "n.json", later)])
    own = write(here / "n.json", same)
    assert store.fetch([here / "m.json", own]) == [here / "m.json"]
    assert (here / "m.json").read_text() == later


def test_a_folder_loses_the_files_that_it_no_longer_has(places: Any) -> None:
    (here, store), (there, other) = places
    store.send([write(here / "images", one="1", two="2")])
    (here / "images" / "two").unlink()
    store.send([write(here / "images", NOON.replace("12:", "13:"), one="1")])
    (fetched,) = other.fetch([there / "images"])
    assert [path.name for path in fetched.iterdir()] == ["one"]


def test_what_is_damaged_there_is_refused_and_leaves_nothing(places: Any) -> None:
    (here, store), (there, other) = places
    store.send([write(here / "m.json")])
    fsspec.filesystem("memory").pipe_file("/results/m.json", b"else")
    with pytest.raises(InputError, match=r"memory://results.*/m\.json is damaged"):
        other.fetch([there / "m.json"])
    assert not [path for path in there.rglob("*") if path.is_file()]


def test_a_store_that_fails_midway_has_no_record_of_it(
    places: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here, store), (there, other) = places
    images = write(here / "images", one="1", two="2")
    fs = fsspec.filesystem("memory")
    put = type(fs).put_file

    def full(self: Any, local: str, remote: str, *rest: Any) -> None:
        if remote.endswith("two"):
            raise OSError("the bucket\nis full")
        put(self, local, remote, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(type(fs), "put_file", full)
        with pytest.raises(
            InputError, match=r"cannot write .*images: the bucket is fu"
        ):
            store.send([images])
    assert other.fetch([there / "images"]) == []
    store.send([images])
    assert other.fetch([there / "images"]) == [there / "images"]


@pytest.mark.parametrize(
    ("url", "match"),
    [("s4://bucket", "s4"), ("github://x", "github|org|requests")],
)
def test_another_protocol_is_named(tmp_path: Path, url: str, match: str) -> None:
    with pytest.raises(InputError, match=f"(?i)cache.store = '{url}': .*{match}"):
        ObjectStore(url, tmp_path)


def test_a_record_without_provenance_stays_local(places: Any) -> None:
    (here, store), (there, other) = places
    store.send([write(here / "m.json")])
    own = write(there / "m.json", NOON.replace("12:", "11:"))
    record = Record(checksum(own), size(own), None)
    write_record(own, replace(record))
    assert other.fetch([own]) == []
