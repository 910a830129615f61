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
    fs = fsspec.filesystem("memory")
    (stored,) = (name for name in fs.find("/results") if not name.endswith(".meta"))
    fs.pipe_file(stored, b"else")
    with pytest.raises(InputError, match=r"memory://results.*/m\.json is damaged"):
        other.fetch([there / "m.json"])
    fs.rm_file(stored)
    with pytest.raises(InputError, match=r"Remove \S+/m\.json\.meta there"):
        other.fetch([there / "m.json"])
    assert not [path for path in there.rglob("*") if path.is_file()]
    # As the message says.
    fs.rm_file("/results/m.json.meta")
    store.send([here / "m.json"])
    assert other.fetch([there / "m.json"]) == [there / "m.json"]


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "../../../etc/evil", "/etc/evil", "a//b", "./a"]
)
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_fetched(
    places: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (here, store), (there, other) = places
    store.send([write(here / "images", one="1")])
    fs = type(fsspec.filesystem("memory"))
    find = fs.find
    monkeypatch.setattr(
        fs, "find", lambda self, at: [*find(self, at), f"{at}/{name}", f"{at}/more"]
    )
    monkeypatch.setattr(fs, "get_file", None)
    with pytest.raises(InputError, match=rf"images\.\w+/{name}: no result has a file"):
        other.fetch([there / "images"])
    assert not [path for path in there.rglob("*") if path.is_file()]


def test_what_is_stored_again_while_it_is_read_is_read_again(
    places: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here, store), (there, other) = places
    hours = iter(range(13, 24))
    store.send([write(here / "images", one="12", two="same")])
    fs = type(fsspec.filesystem("memory"))
    get_file = fs.get_file

    def again(self: Any, remote: str, local: str) -> None:
        hour = next(hours, 0)
        if hour in range(13, 15):
            made = NOON.replace("12:", f"{hour}:")
            store.send([write(here / "images", made, one=str(hour), two="same")])
        get_file(self, remote, local)

    monkeypatch.setattr(fs, "get_file", again)
    assert other.fetch([there / "images"]) == [there / "images"]
    assert (there / "images" / "one").read_text() == "14"


def test_what_is_stored_again_at_each_attempt_is_not_called_damaged(
    places: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here, store), (there, other) = places
    minutes = iter(range(10, 60))
    store.send([write(here / "m.json")])
    fs = type(fsspec.filesystem("memory"))
    get_file = fs.get_file

    def again(self: Any, remote: str, local: str) -> None:
        made = NOON.replace(":00:", f":{next(minutes)}:")
        store.send([write(here / "m.json", made)])
        get_file(self, remote, local)

    monkeypatch.setattr(fs, "get_file", again)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(InputError, match="stored again and again by others"):
        other.fetch([there / "m.json"])


@pytest.mark.parametrize("moment", ["put_file", "pipe_file"])
def test_two_machines_that_store_at_once_leave_a_whole_result(
    places: Any, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The second stores everything just after the first one's files, or just before
    the first one's record."""
    (here, store), (there, other) = places
    store.send([write(here / "m.json", NOON.replace("12:", "11:"))])
    ours = write(here / "m.json")
    theirs = write(there / "m.json", NOON.replace("12:", "13:"))
    fs = type(fsspec.filesystem("memory"))
    own = getattr(fs, moment)

    def meanwhile(self: Any, *args: Any) -> None:
        monkeypatch.setattr(fs, moment, own)
        if moment == "put_file":
            own(self, *args)
            other.send([theirs], just_made=True)
        else:
            other.send([theirs], just_made=True)
            own(self, *args)

    monkeypatch.setattr(fs, moment, meanwhile)
    store.send([ours], just_made=True)
    third = there.parent / "c"
    (fetched,) = ObjectStore(URL, third).fetch([third / "m.json"])
    assert fetched.read_text() == NOON  # whose record was written last
    kept = fsspec.filesystem("memory").find("/results")
    # Their files stay where they were stored after the first looked what to remove.
    assert len(kept) == (2 if moment == "put_file" else 3)


def test_what_was_made_earlier_does_not_replace_what_is_newer(places: Any) -> None:
    (here, store), (there, other) = places
    earlier = write(here / "m.json")
    later = write(there / "m.json", NOON.replace("12:", "13:"))
    other.send([later])
    store.send([earlier])
    assert store.fetch([earlier]) == [earlier]
    # But a clock that is late does not keep a machine from storing what it has made.
    store.send([write(here / "m.json")], just_made=True)
    (there / "m.json").unlink()
    other.fetch([later])
    assert later.read_text() == NOON


def test_a_file_without_its_record_is_fetched_again(places: Any) -> None:
    (here, store), (there, other) = places
    store.send([write(here / "m.json")])
    (there / "m.json").parent.mkdir(parents=True)
    (there / "m.json").write_text("a crash came before its record")
    assert other.fetch([there / "m.json"]) == [there / "m.json"]
    assert (there / "m.json").read_text() == NOON
    assert other.fetch([there / "m.json"]) == []


@pytest.mark.parametrize("files", [{}, {"one": "1", "two": "2"}])
def test_what_earlier_versions_have_stored_is_read_and_replaced(
    places: Any, files: dict[str, str]
) -> None:
    (here, store), (there, other) = places
    result = write(here / "m", **files)
    fs = fsspec.filesystem("memory")
    for path in here.rglob("*"):
        if path.is_file():
            fs.put_file(str(path), f"/results/{path.relative_to(here).as_posix()}")
    assert other.fetch([there / "m"]) == [there / "m"]
    assert checksum(there / "m") == checksum(result)
    store.send([result])
    assert len(fs.find("/results")) == 1 + max(1, len(files))
    newer = write(here / "m", NOON.replace("12:", "13:"), **files)
    store.send([newer])
    assert len(fs.find("/results")) == 1 + max(1, len(files))
    assert fs.find("/results/m") == []
    assert other.fetch([there / "m"]) == [there / "m"]


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
