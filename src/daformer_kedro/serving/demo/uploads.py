"""Uploads of the demo: read at a minimum speed, into a limited amount of memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import Request

MOST_MEBIBYTES = 64
_MOST_HELD = 512 << 20  # bytes of all uploads, until their images are decoded
_MOST_SECONDS = 60.0
_FIRST_SECONDS = 10.0
_LEAST_RATE = 16 << 10  # bytes a second, after the first ten


class UploadError(Exception):
    """An upload is not taken.

    Attributes:
        message: for whoever has sent it.
        status: of HTTP.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


@dataclass(eq=False)
class _Upload:
    timeout: asyncio.Timeout
    started: float
    num_bytes: int = 0
    is_pushed_out: bool = False


class Uploads:
    """Uploads that are read, and files that wait for an answer.

    Where all of them would take more than 512 MiB, the upload that has taken longest
    ends: whoever sends slowly keeps nobody out.
    """

    def __init__(self) -> None:
        self._reading: dict[_Upload, None] = {}  # the oldest first
        self._num_bytes = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Read the body of a request; its memory counts until the block ends.

        Raises:
            UploadError: it is too large or too slow, or memory is short.
            ClientDisconnect: it was broken off.
        """
        now = asyncio.get_running_loop().time()
        upload = _Upload(asyncio.timeout_at(now + _FIRST_SECONDS), now)
        self._reading[upload] = None
        try:
            try:
                async with upload.timeout:
                    content = await self._content(request, upload)
            except TimeoutError as error:
                raise _too_slow(upload) from error
            finally:
                self._reading.pop(upload, None)
            yield content
        finally:
            self._num_bytes -= upload.num_bytes

    async def _content(self, request: Request, upload: _Upload) -> bytes:
        parts = []
        async for part in request.stream():
            if upload.is_pushed_out:
                raise _busy()
            upload.num_bytes += len(part)
            self._num_bytes += len(part)
            if upload.num_bytes > MOST_MEBIBYTES << 20:
                message = f"the file is larger than {MOST_MEBIBYTES} MiB"
                raise UploadError(message, 413)
            if self._num_bytes > _MOST_HELD:
                self._push_out(upload)
            parts.append(part)
            earned = _FIRST_SECONDS + upload.num_bytes / _LEAST_RATE
            upload.timeout.reschedule(upload.started + min(earned, _MOST_SECONDS))
        return b"".join(parts)

    def _push_out(self, newest: _Upload) -> None:
        """End the upload that has taken longest."""
        waiting = (u for u in self._reading if not u.timeout.expired())
        oldest = next(waiting, newest)
        if oldest is newest:
            raise _busy()
        del self._reading[oldest]
        oldest.is_pushed_out = True
        self._num_bytes -= oldest.num_bytes
        oldest.num_bytes = 0
        oldest.timeout.reschedule(asyncio.get_running_loop().time())


def _too_slow(upload: _Upload) -> UploadError:
    if upload.is_pushed_out:
        return _busy()
    if upload.started + _MOST_SECONDS <= (upload.timeout.when() or 0):
        return UploadError(f"the upload took over {_MOST_SECONDS:.0f} seconds", 408)
    return UploadError(
        f"the upload is too slow: it must bring {_LEAST_RATE >> 10} KiB a second", 408
    )


def _busy() -> UploadError:
    return UploadError("the server is busy with other images; try again", 503)
