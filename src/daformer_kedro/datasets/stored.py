"""A wrapper that makes any file dataset write atomically and recognise its files."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro.io.core import parse_dataset_definition

from daformer_kedro.datasets.local_path import local_path
from daformer_kedro.storage.atomic_files import replace_atomically, temporary_sibling
from daformer_kedro.storage.checksum import checksum, size
from daformer_kedro.storage.record import (
    Provenance,
    Record,
    checksum_matches,
    read_record,
    record_path,
    write_record,
)
from daformer_kedro.storage.scratch import local_copy


class StoredDataset(AbstractDataset[Any, Any]):
    """Stores what another dataset writes, atomically, with a record of it.

    In the catalog::

        metrics:
          type: daformer_kedro.datasets.StoredDataset
          filepath: data/08_reporting/metrics.json
          dataset: json.JSONDataset

    Next to the file is ``metrics.json.meta``: its checksum, and how it was made.

    Args:
        filepath: local file, or folder for datasets that write several files.
        dataset: the dataset that knows the format: its type, or a mapping with
            ``type`` and arguments other than ``filepath``.
        metadata: for plugins such as Kedro-Viz.
        scratch: folder on this machine's own disk: arrays are copied there at first
            use, and mapped from there; ``None`` maps them where they are.

    Attributes:
        filepath: where the file or folder is.
        format: what ``dataset`` says, as a mapping.
        format_class: the class of the inner dataset.
        provenance: how what is saved next was made; ``None`` outside a run.
        is_current: whether what is stored is what the run would make; ``None`` where
            existing is enough.
    """

    def __init__(
        self,
        *,
        filepath: str,
        dataset: str | dict[str, Any],
        metadata: dict[str, Any] | None = None,
        scratch: str | None = None,
    ) -> None:
        self.filepath = local_path(filepath)
        self._scratch = None if scratch is None else local_path(scratch)
        self.format = {"type": dataset} if isinstance(dataset, str) else dataset
        self.format_class, self._arguments = parse_dataset_definition(
            deepcopy(self.format)
        )
        self.metadata = metadata
        self.provenance: Provenance | None = None
        self.is_current: bool | None = None

    def _inner(self, filepath: Path) -> AbstractDataset[Any, Any]:
        arguments = {**self._arguments, "filepath": filepath.as_posix()}
        inner: AbstractDataset[Any, Any] = self.format_class(**arguments)
        return inner

    def load(self) -> Any:
        """Load through the inner dataset, if the checksum is the recorded one.

        Raises:
            DatasetError: the file is damaged; the message names it.
        """
        record = read_record(self.filepath)
        there = self.filepath.exists()
        if there and record is not None and not checksum_matches(self.filepath, record):
            raise DatasetError(
                f"{self.filepath} is damaged: it does not have the checksum of what "
                "was stored. Compute it again with kedro run --only-missing-outputs, "
                "or by running the step that makes it."
            )
        if record is None or self._scratch is None or not self._is_mapped():
            return self._inner(self.filepath).load()
        try:
            copy = local_copy(self.filepath, record.sha256, self._scratch)
        except OSError as error:
            raise DatasetError(
                f"cannot copy {self.filepath} to {self._scratch}: {error}"
            ) from error
        return self._inner(copy).load()

    def _is_mapped(self) -> bool:
        # Of images that stay files an index is stored, which says where they are.
        return next(self.filepath.glob("*.npy"), None) is not None

    def save(self, data: Any) -> None:
        """Write a temporary sibling, flush it to disk, rename it over, then record it.

        Raises:
            DatasetError: it cannot be written; what was there before is kept.
        """
        try:
            with temporary_sibling(self.filepath) as written:
                self._inner(written).save(data)
                content = Record(checksum(written), size(written), self.provenance)
                self._replace(written, content)
            write_record(self.filepath, content)
        except OSError as error:
            raise DatasetError(f"cannot write {self.filepath}: {error}") from error
        except DatasetError as error:
            raise DatasetError(f"cannot write {self.filepath}: {error}") from error
        self.provenance = self.is_current = None

    def _replace(self, written: Path, content: Record) -> None:
        # Runs with other settings may be reading a shared folder, which cannot be
        # replaced in one step. If it holds the same, it stays.
        if self.filepath.is_dir() and checksum_matches(self.filepath, content):
            return
        # Never a record of something else.
        self.forget_record()
        try:
            replace_atomically(written, self.filepath)
        except OSError:
            # Another run may have put the same folder there a moment ago.
            if not (
                self.filepath.is_dir() and checksum_matches(self.filepath, content)
            ):
                raise

    def forget_record(self) -> None:
        """Remove the record, before the file changes."""
        record_path(self.filepath).unlink(missing_ok=True)

    def _exists(self) -> bool:
        if not self.filepath.exists():
            return False
        return self.is_current is None or self.is_current

    def _describe(self) -> dict[str, Any]:
        return {
            "filepath": PurePosixPath(self.filepath),
            "dataset": self.format_class.__name__,
        }

    def __getattr__(self, name: str) -> Any:
        # Kedro-Viz shows a preview where a dataset has such a method, and warns where
        # that fails: before there is anything to show, there is no method.
        if name in ("preview", "preview_args") and self.filepath.exists():
            return self._preview_of_inner(name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def _preview_of_inner(self, name: str) -> Callable[..., Any]:
        return getattr(self._inner(self.filepath), name)
