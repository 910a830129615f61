"""Copies of stored results in an object store, which other machines read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


class ObjectStore:
    """Keeps what is stored in a local folder under the same names in an object store.

    A result's record is removed before its files change there and written after them,
    so that a reader never finds the record of something else. What it reads it compares
    with the record's checksum.

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
        """Make local what is newer there, or only there.

        Args:
            targets: files and folders below the root, which need not exist.

        Returns:
            Those that were fetched.

        Raises:
            InputError: the store does not answer, or what lies there is damaged.
        """
        self._fs.invalidate_cache()
        return [target for target in targets if self._fetch(target)]

    def send(self, targets: Iterable[Path]) -> None:
        """Copy what has a record that the store does not have.

        Raises:
            InputError: the store does not answer or refuses; what is here is kept.
        """
        for target in targets:
            own = read_record(target)
            if own is not None and self._record(target) != own:
                self._send(target)

    def _fetch(self, target: Path) -> bool:
        theirs, own = self._record(target), read_record(target)
        if theirs is None or (target.exists() and not _is_newer(theirs, own)):
            return False
        try:
            with temporary_sibling(target) as written:
                for name in self._names(target):
                    place = written / name if name else written
                    place.parent.mkdir(parents=True, exist_ok=True)
                    self._fs.get_file(self._remote(target, name), str(place))
                if checksum(written) != theirs.sha256:
                    raise InputError(
                        f"{self._where}: {self._remote(target)} is damaged: it does "
                        "not have the checksum of what was stored; remove it there"
                    )
                record_path(target).unlink(missing_ok=True)
                replace_atomically(written, target)
            write_record(target, theirs)
        except InputError:
            raise
        except Exception as error:
            raise self._fault("read", target, error) from error
        return True

    def _send(self, target: Path) -> None:
        record = record_path(target)
        files = [f for f in target.rglob("*") if f.is_file()] or [target]
        names = ["" if f == target else f.relative_to(target).as_posix() for f in files]
        try:
            if self._fs.exists(self._remote(record)):
                self._fs.rm_file(self._remote(record))
            for name in set(self._names(target)) - set(names):
                self._fs.rm_file(self._remote(target, name))
            for file, name in zip(files, names, strict=True):
                remote = self._remote(target, name)
                self._fs.makedirs(self._fs._parent(remote), exist_ok=True)
                self._fs.put_file(str(file), remote)
            self._fs.put_file(str(record), self._remote(record))
        except Exception as error:
            raise self._fault("write", target, error) from error

    def _record(self, target: Path) -> Record | None:
        try:
            text = self._fs.cat_file(self._remote(record_path(target)))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._fault("read", target, error) from error
        return parse_record(text.decode())

    def _names(self, target: Path) -> list[str]:
        """Names of a folder's files in the store; one empty name for a file."""
        remote = self._remote(target)
        found = self._fs.find(remote)
        return [path.removeprefix(remote).removeprefix("/") for path in found]

    def _remote(self, path: Path, name: str = "") -> str:
        below = path.absolute().relative_to(self._root).as_posix()
        return "/".join(filter(None, [self._prefix.rstrip("/"), below, name]))

    def _fault(self, verb: str, target: Path, error: Exception) -> InputError:
        # Clients of object stores raise exceptions of many packages.
        said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        return InputError(
            f"{self._where}: cannot {verb} {self._remote(target)}: {said}. What is "
            "here is kept, and the same command resumes from it"
        )


def _is_newer(theirs: Record, own: Record | None) -> bool:
    """Return whether another machine has made a result again since."""
    if own is None or own.provenance is None or theirs.provenance is None:
        return False
    made = datetime.fromisoformat(own.provenance.made)
    return datetime.fromisoformat(theirs.provenance.made) > made
