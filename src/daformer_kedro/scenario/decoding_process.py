"""Processes that decode files from strangers, and are ended where one takes too long.

Some files of a few kilobytes take a decoder minutes, or end its process. Neither can be
stopped from within the process that decodes. Nothing that is imported here needs torch,
which would make a process start in seconds and take half a gigabyte.
"""

from __future__ import annotations

import json
import multiprocessing
import queue
import signal
import sys
import warnings
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import psutil

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.prepared_image import (
    PreparedImage,
    ViewSettings,
    prepare_image,
)

_START_SECONDS = 120.0
_MOST_MEMORY = 2 << 30  # bytes, beyond what the process has before it decodes
_READY = b"ready"


class DecodingProcesses:
    """Processes that prepare images, each one at a time; they start when needed.

    An image takes as long as within this process (7 MB of JPEG: 0.4 s), and the first
    of a process 0.3 s more.

    Args:
        num: how many there are.
        seconds: that a file may take.
    """

    def __init__(self, num: int, seconds: float) -> None:
        self._free: queue.SimpleQueue[_Decoder] = queue.SimpleQueue()
        for _ in range(num):
            self._free.put(_Decoder(seconds))

    def prepare(
        self, content: bytes, name: str, settings: ViewSettings
    ) -> PreparedImage:
        """Do as :func:`~daformer_kedro.scenario.prepared_image.prepare_image` does.

        Threads may call it; where no process is free, they wait.

        Raises:
            InputError: as there, or decoding took too long or too much memory.
            RuntimeError: a process could not be started.
        """
        decoder = self._free.get()
        try:
            return decoder.prepare(content, name, settings)
        finally:
            self._free.put(decoder)


class _Decoder:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._process: BaseProcess | None = None
        self._connection: Connection[Any, Any] | None = None

    def prepare(
        self, content: bytes, name: str, settings: ViewSettings
    ) -> PreparedImage:
        self._start_if_needed()
        try:
            answer = self._ask(content, {"name": name, **vars(settings)})
        except (EOFError, OSError) as error:
            reason = "its decoder broke down"
            if isinstance(error, TimeoutError):
                reason = f"decoding takes over {self._seconds:g} seconds"
            self._end()
            raise InputError(f"{name}: cannot be read as an image: {reason}") from error
        except BaseException:
            self._end()  # an answer may be on its way
            raise
        if isinstance(answer, str):
            raise InputError(answer)
        return answer

    def _ask(self, content: bytes, request: dict[str, Any]) -> PreparedImage | str:
        """Return the image, or why it cannot be read.

        Raises:
            TimeoutError: it takes too long.
            EOFError, OSError: the process has ended.
        """
        connection = self._connection
        assert connection is not None
        connection.send_bytes(json.dumps(request).encode())
        connection.send_bytes(content)
        if not connection.poll(self._seconds):
            raise TimeoutError
        found = json.loads(connection.recv_bytes())
        if "error" in found:
            return str(found["error"])
        pixels, small = (
            np.frombuffer(connection.recv_bytes(), np.uint8).reshape(found[part])
            for part in ("pixels", "small")
        )
        width, height = found["size"]
        return PreparedImage(pixels, small, (width, height))

    def _start_if_needed(self) -> None:
        if self._process is not None and self._process.is_alive():
            return
        self._end()
        # A fork would copy threads' locks as they are.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._connection = ours
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        try:
            self._process.start()
            theirs.close()
            if not ours.poll(_START_SECONDS):
                raise TimeoutError(f"no answer in {_START_SECONDS:g} seconds")
            ours.recv_bytes()
        except (EOFError, OSError) as error:
            self._end()
            raise RuntimeError("a process that decodes did not start") from error

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            if self._process.pid is not None:  # it did start
                self._process.kill()
                self._process.join()
            self._process = None


def _serve(connection: Connection[Any, Any]) -> None:
    """Answer requests until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C goes to all processes
    warnings.simplefilter("ignore")
    _limit_memory()
    with suppress(EOFError, OSError):
        connection.send_bytes(_READY)
        while True:
            request = json.loads(connection.recv_bytes())
            content = connection.recv_bytes()
            name = request.pop("name")
            try:
                image = prepare_image(content, name, ViewSettings(**request))
            except (InputError, MemoryError) as error:
                reason = str(error) or f"{name}: takes too much memory"
                connection.send_bytes(json.dumps({"error": reason}).encode())
                continue
            shapes = {"pixels": image.pixels.shape, "small": image.small.shape}
            found = {**shapes, "size": image.size}
            connection.send_bytes(json.dumps(found).encode())
            for array in (image.pixels, image.small):
                connection.send_bytes(np.ascontiguousarray(array).data.cast("B"))


def _limit_memory() -> None:
    if sys.platform != "linux":
        return  # macOS does not keep to this limit
    import resource

    most = psutil.Process().memory_info().vms + _MOST_MEMORY
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
