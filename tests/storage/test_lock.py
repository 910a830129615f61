"""One process at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.storage.lock import Lock

HOLD = """
import sys
import threading
from pathlib import Path
from daformer_kedro.storage.lock import Lock
Lock(Path(sys.argv[1]), "x").acquire()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_elsewhere(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield holder


def test_the_second_process_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "digits.lock"
    with held_elsewhere(path) as holder:
        with pytest.raises(InputError, match=f"digits is .* by process {holder.pid} "):
            Lock(path, "The folder digits").acquire()
        holder.kill()
        holder.wait()
    # The lock dies with its holder, though its file is still there.
    assert path.exists()
    mine = Lock(path, "The folder digits")
    mine.acquire()
    assert str(os.getpid()) in path.read_text()
    mine.release()
    assert not path.exists()


def test_one_that_waits_takes_the_lock_as_soon_as_it_is_given_back(
    tmp_path: Path,
) -> None:
    path = tmp_path / "digits.lock"
    with held_elsewhere(path) as holder:
        mine = Lock(path, "The folder digits")
        with pytest.raises(InputError, match="is being written by process"):
            mine.acquire(patience=0.2)
        threading.Timer(0.3, holder.kill).start()
        mine.acquire(patience=60)
    mine.release()
    assert not path.exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*file/digits\.lock"):
        Lock(tmp_path / "file" / "digits.lock", "x").acquire()
