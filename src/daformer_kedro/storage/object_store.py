"""Copies of stored results in an object store, which other machines read."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec
from fsspec.core import url_to_fs

from daformer_kedro.errors import InputError
from daformer_kedro.storage.atomic_files import replace_atomically, temporary_sibling
from daformer_kedro.storage.checksum import checksum
from daformer_kedro.storage.record import (
    Record,
    parse_record,
    read_record,
    record_path,
    write_record,
)

_VERSION = "version"
_ATTEMPTS = 5
_PAUSE = 0.2  # seconds; more after each attempt


@dataclass(frozen=True)
class _Stored:
    """A record in the store, and the suffix of the names of its files there.

    What earlier versions of this project have stored has no suffix.
    """

    record: Record
    version: str | None


class ObjectStore:
    """Keeps what is stored in a local folder under the same names in an object store.

    Each upload has names of its own there, the local ones with a random suffix. The
    record, one small object, names the suffix: it is replaced once all files are there,
    and then those of the former record are removed. So whatever the order in which
    machines write, a record is that of whole files. What is read is compared with the
    record's checksum.

    Args:
        url: where the copies lie, such as ``s3://bucket/prefix``; any protocol of
            fsspec.
        root: the local folder.
        options: of fsspec's file system, such as keys and ``endpoint_url``.

    Raises:
        InputError: the protocol is not known, or what it needs is not installed.
    """

    def __init__(
        self, url: str, root: Path, options: Mapping[str, Any] | None = None
    ) -> None:
        self.url = url
        self._root = root.absolute()
        try:
            fs, self._prefix = url_to_fs(url, **(options or {}))
        except (ValueError, TypeError, ImportError) as error:
            raise InputError(f"{self._where}: {error}") from error
        self._fs: fsspec.AbstractFileSystem = fs

    @property
    def _where(self) -> str:
        return f"cache.store = {self.url!r}"

    def fetch(self, targets: Iterable[Path]) -> list[Path]:
        """Make local what is newer there, or has no record here.

        Args:
            targets: files and folders below the root, which need not exist.

        Returns:
            Those that were fetched.

        Raises:
            InputError: the store does not answer, what lies there is damaged, or its
                names lead elsewhere.
        """
        return [target for target in targets if self._fetch(target)]

    def send(self, targets: Iterable[Path], *, just_made: bool = False) -> None:
        """Copy what has a record that the store does not have.

        Args:
            targets: files and folders below the root, which need not exist.
            just_made: what was made now replaces whatever is there; what was made
                earlier, only what is older.

        Raises:
            InputError: the store does not answer or refuses; what is here is kept, and
                what was there before is too.
        """
        for target in targets:
            own, there = read_record(target), self._stored(target)
            if own is None or (there is not None and there.record == own):
                continue
            if just_made or there is None or not _is_newer(there.record, own):
                self._send(target)

    def _fetch(self, target: Path) -> bool:
        there, own = self._stored(target), read_record(target)
        if there is None:
            return False
        if own and target.exists() and not _is_newer(there.record, own):
            return False
        for attempt in range(_ATTEMPTS):
            if there is not None and self._copy(target, there):
                return True
            # Another machine may have stored it again, and removed what was read.
            time.sleep(_PAUSE * attempt)
            before, there = there, self._stored(target)
            if there is not None and there == before:
                raise InputError(
                    f"{self._where}: {self._remote(target)} is damaged: it does not "
                    "have the checksum of what was stored. Remove "
                    f"{self._remote(record_path(target))} there: it is then made or "
                    "sent again"
                )
        if there is None:
            return False
        raise InputError(
            f"{self._where}: {self._remote(target)} is stored again and again by "
            "others while it is read. Start the same command again"
        )

    def _copy(self, target: Path, there: _Stored) -> bool:
        """Make it local, unless it is not whole."""
        try:
            with temporary_sibling(target) as written:
                try:
                    for name in self._names(target, there.version):
                        place = written / name if name else written
                        place.parent.mkdir(parents=True, exist_ok=True)
                        remote = self._remote(target, there.version, name)
                        self._fs.get_file(remote, str(place))
                    is_whole = checksum(written) == there.record.sha256
                except FileNotFoundError:
                    is_whole = False
                if is_whole:
                    record_path(target).unlink(missing_ok=True)
                    replace_atomically(written, target)
                    write_record(target, there.record)
        except InputError:
            raise
        except Exception as error:
            raise self._fault("read", target, error) from error
        return is_whole

    def _send(self, target: Path) -> None:
        files = [f for f in target.rglob("*") if f.is_file()] or [target]
        version = secrets.token_hex(4)
        try:
            # Asked first, since to make folders would make a bucket that is mistyped.
            self._fs.find(self._remote(target, version))
            values = json.loads(record_path(target).read_text(encoding="utf-8"))
            text = json.dumps(values | {_VERSION: version}, indent=1, sort_keys=True)
            try:
                for file in files:
                    name = "" if file == target else file.relative_to(target).as_posix()
                    remote = self._remote(target, version, name)
                    self._fs.makedirs(self._fs._parent(remote), exist_ok=True)
                    self._fs.put_file(str(file), remote)
            except BaseException:
                with suppress(Exception):  # the first error says more
                    self._remove(target, version)
                raise
            before = self._stored(target)
            self._fs.pipe_file(self._remote(record_path(target)), text.encode())
            if before is not None:
                self._remove(target, before.version)
        except InputError:
            raise
        except Exception as error:
            raise self._fault("write", target, error) from error

    def _remove(self, target: Path, version: str | None) -> None:
        for name in self._names(target, version):
            try:
                self._fs.rm_file(self._remote(target, version, name))
            except FileNotFoundError:  # another machine was faster
                continue

    def _stored(self, target: Path) -> _Stored | None:
        try:
            text = self._fs.cat_file(self._remote(record_path(target))).decode()
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._fault("read", target, error) from error
        try:
            values = json.loads(text)
            version = values.pop(_VERSION, None)
        except (ValueError, AttributeError):
            return None
        record = parse_record(json.dumps(values))
        is_known = version is None or re.fullmatch("[0-9a-f]{8}", str(version))
        return _Stored(record, version) if record and is_known else None

    def _names(self, target: Path, version: str | None) -> list[str]:
        """Names of a folder's files in the store; one empty name for a file.

        Raises:
            InputError: a name leads out of the folder.
        """
        self._fs.invalidate_cache()
        remote = self._remote(target, version)
        found = [path.removeprefix(remote) for path in self._fs.find(remote)]
        if found == [""]:
            return found
        names = [name.removeprefix("/") for name in found]
        for name in names:
            # Files would be written wherever it says.
            if not {"", ".", ".."}.isdisjoint(name.split("/")):
                raise InputError(
                    f"{self._where}: {remote}/{name}: no result has a file of that "
                    "name. Remove it there"
                )
        return names

    def _remote(self, path: Path, version: str | None = None, name: str = "") -> str:
        below = path.absolute().relative_to(self._root).as_posix()
        if version is not None:
            below = f"{below}.{version}"
        return "/".join(filter(None, [self._prefix.rstrip("/"), below, name]))

    def _fault(self, verb: str, target: Path, error: Exception) -> InputError:
        # Clients of object stores raise exceptions of many packages.
        said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        return InputError(
            f"{self._where}: cannot {verb} {self._remote(target)}: {said}. What is "
            "here is kept, and the same command resumes from it"
        )


def _is_newer(theirs: Record, own: Record) -> bool:
    """Return whether another machine has made a result again since."""
    if own.provenance is None or theirs.provenance is None:
        return False
    made = datetime.fromisoformat(own.provenance.made)
    return datetime.fromisoformat(theirs.provenance.made) > made
