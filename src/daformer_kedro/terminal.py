"""Printing to terminals, logs and pipes of every encoding."""

from __future__ import annotations

import codecs
import io
import sys
from pathlib import Path

_PLAIN = {"–": "-", "−": "-", "…": "...", "→": "->", "±": "+-", "·": "|"}
_HANDLER = "daformer_kedro.plain"


def print_any_character() -> None:
    r"""Make standard output and error take characters that their encoding lacks.

    Such as a class name in another script where the locale is Latin-1, or a file name
    that is not text: these are printed as Python writes them, ``\u540d``; dashes and
    the like as their ASCII relatives.
    """
    codecs.register_error(_HANDLER, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != _HANDLER:
            stream.reconfigure(errors=_HANDLER)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    known = [_PLAIN.get(c) or c.encode("ascii", "backslashreplace") for c in lacking]
    text = "".join(c if isinstance(c, str) else c.decode() for c in known)
    return text, error.end


def path_from_here(path: Path) -> Path:
    """Return the path from the working directory, where it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
