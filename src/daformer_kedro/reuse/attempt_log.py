"""Attempts at a command, so that an interrupted one can be resumed."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from daformer_kedro.storage.atomic_files import write_text
from daformer_kedro.storage.lock import Holder

_SUFFIX = ".attempt"
_SELECTION = (
    "pipeline_names",
    "tags",
    "node_names",
    "from_nodes",
    "to_nodes",
    "from_inputs",
    "to_outputs",
    "namespaces",
    "only_missing_outputs",
)


@dataclass(frozen=True)
class Attempt:
    """Attempt at a command: from its start to its success, through interruptions.

    Attributes:
        name: drawn at random; every stored result carries it.
        nodes: what the command runs.
        holder: the process that began it.
    """

    name: str
    nodes: tuple[str, ...]
    holder: Holder = field(default_factory=Holder.this_process)

    @classmethod
    def begin(cls, nodes: Iterable[str]) -> Attempt:
        """Return a new attempt by this process."""
        return cls(secrets.token_hex(8), tuple(sorted(nodes)))


class AttemptLog:
    """The unfinished attempts of one run key.

    Args:
        folder: where to note them.
        run_key: see :func:`daformer_kedro.config.run_key`.
    """

    def __init__(self, folder: Path, run_key: str) -> None:
        self._folder = folder
        self._run_key = run_key

    def unfinished(self, run_params: Mapping[str, Any]) -> Attempt | None:
        """Return the attempt at this command that has not finished, if any."""
        return _read(self._path(run_params))

    def note(self, run_params: Mapping[str, Any], attempt: Attempt) -> None:
        """Note that an attempt has begun."""
        text = json.dumps(asdict(attempt), indent=1)
        write_text(self._path(run_params), text + "\n")

    def forget(self, run_params: Mapping[str, Any]) -> None:
        """Forget the attempt at this command: there is nothing to resume."""
        self._path(run_params).unlink(missing_ok=True)

    def forget_all_within(self, nodes: Iterable[str]) -> None:
        """Forget every attempt at nodes that have all been made since."""
        made = set(nodes)
        for path in self._folder.glob(f"{self._run_key}.*{_SUFFIX}"):
            attempt = _read(path)
            if attempt is None or made.issuperset(attempt.nodes):
                path.unlink(missing_ok=True)

    def _path(self, run_params: Mapping[str, Any]) -> Path:
        """Path of the file of a selection of nodes, however it is written."""
        chosen = {}
        for name in _SELECTION:
            value = run_params.get(name)
            if value and value != ["__default__"]:
                many = isinstance(value, list | tuple | set)
                chosen[name] = sorted(value) if many else value
        text = json.dumps(chosen, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        return self._folder / f"{self._run_key}.{digest}{_SUFFIX}"


def _read(path: Path) -> Attempt | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        holder = Holder(**values.pop("holder"))
        return Attempt(**values | {"nodes": tuple(values["nodes"])}, holder=holder)
    except (OSError, ValueError, TypeError, KeyError):
        return None
