"""Files from strangers are decoded in processes that can be ended."""

from __future__ import annotations

import io
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import psutil
import pytest
from PIL import Image

from daformer_kedro.errors import InputError
from daformer_kedro.scenario import decoding_process
from daformer_kedro.scenario.decoding_process import DecodingProcesses
from daformer_kedro.scenario.prepared_image import ViewSettings, prepare_image

SETTINGS = ViewSettings(side=8, resize=10, num_channels=3)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


GOOD = encoded(
    Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (600, 900, 3), dtype=np.uint8)
    ),
    "PNG",
)


@pytest.fixture(scope="module")
def slow() -> bytes:
    """A file of some kilobytes that takes a second or more."""
    content = encoded(Image.new("L", (4000, 4000)), "JPEG", progressive=True)
    starts = [found.start() for found in re.finditer(rb"\xff\xda", content)]
    return content[:-2] + content[starts[-1] : -2] * (100 - len(starts)) + content[-2:]


@pytest.fixture(scope="module")
def processes() -> Iterator[DecodingProcesses]:
    """One process."""
    processes = DecodingProcesses(1, seconds=60)
    yield processes
    _decoder(processes)._end()


def _decoder(processes: DecodingProcesses):
    decoder = processes._free.get()
    processes._free.put(decoder)
    return decoder


@pytest.mark.parametrize("num_channels", [1, 3])
def test_answers_are_those_of_this_process(
    processes: DecodingProcesses, num_channels: int
) -> None:
    settings = ViewSettings(8, 10, num_channels)
    found = processes.prepare(GOOD, "it", settings)
    expected = prepare_image(GOOD, "it", settings)
    assert found.pixels.shape == (8, 8, num_channels)
    assert np.array_equal(found.pixels, expected.pixels)
    assert found.small.shape == (341, 512, 3)
    assert np.array_equal(found.small, expected.small)
    assert found.size == (900, 600)


def test_what_cannot_be_read_is_named(processes: DecodingProcesses) -> None:
    for content, reason in (
        (b"no image", "its format is not known"),
        (b"", "its format is not known"),
        (encoded(Image.new("1", (8000, 7000)), "PNG"), "at most 50 million are taken"),
    ):
        with pytest.raises(InputError, match=f"^it: cannot be read .*: .*{reason}"):
            processes.prepare(content, "it", SETTINGS)
    pid = _decoder(processes)._process.pid
    assert processes.prepare(GOOD, "it", SETTINGS).size == (900, 600)
    assert _decoder(processes)._process.pid == pid  # it need not start again


def test_a_file_that_takes_too_long_costs_only_its_own_answer(
    processes: DecodingProcesses, slow: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert processes.prepare(GOOD, "it", SETTINGS).size == (900, 600)
    before = _decoder(processes)._process
    with monkeypatch.context() as patched:
        patched.setattr(_decoder(processes), "_seconds", 0.1)
        with pytest.raises(InputError, match=r"^it: .*: decoding takes over 0\.1 sec"):
            processes.prepare(slow, "it", SETTINGS)
    assert not before.is_alive()
    assert processes.prepare(GOOD, "it", SETTINGS).size == (900, 600)


def test_a_decoder_that_breaks_down_is_replaced(
    processes: DecodingProcesses, slow: bytes
) -> None:
    processes.prepare(GOOD, "it", SETTINGS)
    pid = _decoder(processes)._process.pid
    timer = threading.Timer(0.1, os.kill, (pid, signal.SIGKILL))
    timer.start()
    with pytest.raises(InputError, match=r"^it: .*: its decoder broke down"):
        processes.prepare(slow, "it", SETTINGS)
    processes.prepare(GOOD, "it", SETTINGS)
    os.kill(_decoder(processes)._process.pid, signal.SIGKILL)  # between two images
    time.sleep(0.1)
    assert processes.prepare(GOOD, "it", SETTINGS).size == (900, 600)


def test_a_process_that_does_not_start_is_no_fault_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processes = DecodingProcesses(1, seconds=60)
    with monkeypatch.context() as patched:
        patched.setattr(decoding_process, "_START_SECONDS", 0)
        with pytest.raises(RuntimeError, match="did not start"):
            processes.prepare(GOOD, "it", SETTINGS)
    with monkeypatch.context() as patched:
        patched.setattr(
            multiprocessing.get_context("spawn").Process, "start", _no_memory
        )
        with pytest.raises(RuntimeError, match="did not start"):
            processes.prepare(GOOD, "it", SETTINGS)
    assert processes.prepare(GOOD, "it", SETTINGS).size == (900, 600)
    _decoder(processes)._end()


def _no_memory(_: object) -> None:
    raise OSError(12, "Cannot allocate memory")


@pytest.mark.skipif(sys.platform != "linux", reason="memory has no limit there")
def test_memory_is_limited(processes: DecodingProcesses) -> None:
    processes.prepare(GOOD, "it", SETTINGS)
    process = psutil.Process(_decoder(processes)._process.pid)
    most, _ = process.rlimit(psutil.RLIMIT_AS)
    assert 2 << 30 < most <= process.memory_info().vms + (2 << 30)
