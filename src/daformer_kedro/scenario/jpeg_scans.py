"""Number of scans in a JPEG: each goes over all pixels, and may be a few bytes."""

from __future__ import annotations

import re
from typing import IO

MOST_SCANS = 100
"""Progressive files have about ten. libtiff has the same limit for JPEG in a TIFF."""

_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_HEAD = 1 << 16  # bytes; most files' first scan begins within them


def check_scans(stream: IO[bytes]) -> None:
    """Check that a JPEG does not have very many scans; its position stays.

    At 4 megapixels a scan of 14 bytes takes some 2.5 ms to decode. What most cameras
    write has one, and little more than its header is read here.

    Raises:
        ValueError: it has over :data:`MOST_SCANS`.
    """
    position = stream.tell()
    try:
        stream.seek(0)
        content = stream.read(_HEAD)
        num_scans = _count(content)
        if num_scans is None:
            num_scans = _count(content + stream.read())
    finally:
        stream.seek(position)
    if num_scans is not None and num_scans > MOST_SCANS:
        raise ValueError(f"its JPEG has over {MOST_SCANS} scans; about 10 are usual")


def _count(content: bytes) -> int | None:
    """Return the scans that a decoder reads; ``None`` where the content ends first."""
    num_scans, place = 0, 0
    num_components, is_progressive = 0, False
    while found := _MARKER.search(content, place):
        place, code = found.end(), content[found.end() - 1]
        if code in _WITHOUT_LENGTH:
            continue
        if code == _END_OF_IMAGE or num_scans > MOST_SCANS:
            return num_scans
        segment = content[place : place + 8]
        if len(segment) < 8:
            break
        if code in _FRAMES:
            num_components, is_progressive = segment[7], code in _PROGRESSIVE
        if code == _START_OF_SCAN:
            num_scans += 1
            # Of all colours at once: the decoder reads no other.
            if not is_progressive and segment[2] >= num_components > 0:
                return num_scans
        place += int.from_bytes(segment[:2], "big")
    return None
