"""State of an unfinished training in one file, which holds data and no code."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from pathlib import Path
from typing import Any

import torch

from daformer_kedro.storage.atomic_files import replace_atomically, temporary_sibling

_LOGGER = logging.getLogger(__name__)


class StateFile:
    """File in which a training keeps its state between epochs.

    A first line in JSON holds the key and the checksum of what follows, which
    ``torch.load`` reads with ``weights_only=True``.

    Args:
        path: the file.
        key: what the training depends on; a state of another key is not continued.
        may_resume: whether to continue at all, or to start from scratch.
    """

    def __init__(self, path: Path, key: str, *, may_resume: bool = True) -> None:
        self.path = path
        self.key = key
        self.may_resume = may_resume
        self._has_warned = False

    def load(self) -> dict[str, Any] | None:
        """Read the last state, on the CPU; ``None`` to start from scratch."""
        if not self.may_resume:
            return None
        try:
            head, _, body = self.path.read_bytes().partition(b"\n")
            header = json.loads(head)
            wanted, sha256 = header["key"] == self.key, header["sha256"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            wanted, sha256, body = True, "", b""
        if not wanted:
            return None
        if hashlib.sha256(body).hexdigest() != sha256:
            _LOGGER.warning("%s is damaged: training starts from scratch", self.path)
            return None
        state = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
        return dict(state)

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state atomically.

        A full disk must not end a training: a warning is logged once.
        """
        buffer = io.BytesIO()
        torch.save(state, buffer)
        body = buffer.getvalue()
        header = {"key": self.key, "sha256": hashlib.sha256(body).hexdigest()}
        try:
            with temporary_sibling(self.path) as written:
                written.write_bytes(
                    json.dumps(header, allow_nan=False).encode() + b"\n" + body
                )
                replace_atomically(written, self.path)
        except OSError as error:
            if not self._has_warned:
                _LOGGER.warning(
                    "%s cannot be written (%s): the training continues, but could not "
                    "be resumed from here",
                    self.path,
                    error,
                )
            self._has_warned = True

    def remove(self) -> None:
        """Forget the state: the training is finished and stored."""
        self.path.unlink(missing_ok=True)
