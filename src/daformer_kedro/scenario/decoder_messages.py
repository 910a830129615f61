"""Messages that decoders print by themselves, kept for the file they are about.

libtiff prints what it dislikes as it goes, and names no file that a person knows.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import PIL

_MOST_BYTES = 1000
_HANDLER = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p
)  # module, template and va_list, as printf has them


class _Collected(threading.local):
    texts: list[str] | None = None  # outside of collect_messages


_COLLECTED = _Collected()


@contextmanager
def collect_messages() -> Iterator[list[str]]:
    """Collect what decoders print in this thread, each message once.

    Yields:
        The messages, which are not printed.
    """
    _listen()
    before, _COLLECTED.texts = _COLLECTED.texts, []
    try:
        yield _COLLECTED.texts
    finally:
        _COLLECTED.texts = before


@cache
def _listen() -> None:
    logging.getLogger("PIL.TiffImagePlugin").addFilter(_is_passed_on)
    library = _libtiff()
    if library is not None:
        library.TIFFSetErrorHandler.argtypes = [_HANDLER]
        library.TIFFSetErrorHandler(_ON_ERROR)


def _is_passed_on(record: logging.LogRecord) -> bool:
    return record.levelno < logging.WARNING or not _keep(record.getMessage())


def _keep(text: str) -> bool:
    if _COLLECTED.texts is None:
        return False
    if text not in _COLLECTED.texts:
        _COLLECTED.texts.append(text)
    return True


def _on_error(module: bytes | None, template: bytes, arguments: int | None) -> None:
    buffer = ctypes.create_string_buffer(_MOST_BYTES)
    into = ctypes.pythonapi.PyOS_vsnprintf
    into(buffer, ctypes.c_size_t(_MOST_BYTES), template, ctypes.c_void_p(arguments))
    # Pillow gives libtiff a made-up name of a file.
    where = b"" if module in (None, b"tempfile.tif") else (module or b"") + b": "
    text = (where + buffer.value).decode("utf-8", "backslashreplace")
    if not _keep(text):
        os.write(2, f"{text}\n".encode())


_ON_ERROR = _HANDLER(_on_error)  # must live as long as libtiff may call it


def _libtiff() -> Any | None:
    """The libtiff that Pillow has loaded, if it is found."""
    home = Path(PIL.__file__).parent
    found = [
        *home.parent.glob("pillow.libs/libtiff*.so*"),
        *home.glob(".dylibs/libtiff*"),
    ]
    if not found and sys.platform == "linux":
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
        found = [
            Path(line.split()[-1]) for line in maps.splitlines() if "libtiff" in line
        ]
    try:
        return ctypes.CDLL(str(found[0])) if found else None
    except OSError:
        return None
