"""``python -m daformer_kedro demo``, as a person types it."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from typing import Any

import pytest

from daformer_kedro.commands import demo
from daformer_kedro.errors import InputError


def test_a_port_that_is_taken_is_named_before_an_address_is(
    finished: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished.path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert demo.main(["--port", str(port)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert f"--port = {port}: cannot listen there" in said.err


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("127.0.0.1", 65536, "--port = 65536: must be from 0"),
        ("127.0.0.1", -1, "--port = -1: must be from 0"),
        ("198.51.100.7", 0, "--host = '198.51.100.7'"),  # of no machine
        ("no.such.name.invalid", 0, "--host = 'no.such.name.invalid'"),
    ],
)
def test_an_address_that_cannot_be_used_is_named(
    host: str, port: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        demo._listen(host, port)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_any_free_port_is_printed_and_ctrl_c_ends_it(
    finished: Any, started: Any, host: str
) -> None:
    words = [sys.executable, "-m", "daformer_kedro", "demo"]
    with started([*words, "--port", "0", "--host", host], cwd=finished.path) as server:
        said = ""
        while not (found := re.search(r"Open (http://\S+:\d+) ", said)):
            assert server.process.poll() is None, said
            said = server.log.read_text()
        address = found[1]
        assert "<h1>" in server.answer(address)
        os.kill(server.process.pid, signal.SIGINT)
        assert server.process.wait(30) == 0
        said = server.log.read_text()
    assert ("Whoever reaches this machine" in said) == (host == "0.0.0.0")
    assert "Traceback" not in said
