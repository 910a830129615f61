"""``python -m daformer_kedro demo``, as a person types it."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import urllib.error
import urllib.request
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


@pytest.mark.parametrize(
    ("host", "others", "expected"),
    [
        ("127.0.0.1", [], {"127.0.0.1", "localhost"}),
        ("localhost", ["a.example"], {"127.0.0.1", "localhost", "a.example"}),
        ("192.0.2.7", ["Demo.Example", "*.b.example"], None),
    ],
)
def test_hosts_are_the_given_ones(
    host: str, others: list[str], expected: set[str] | None
) -> None:
    expected = expected or {"192.0.2.7", "demo.example", "*.b.example"}
    assert set(demo._allowed_hosts(host, others)) == expected


def test_on_all_addresses_hosts_are_those_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Box.example.org")
    found = demo._allowed_hosts("0.0.0.0", [])
    assert {"127.0.0.1", "localhost", "box.example.org", "box.local"} <= set(found)
    assert "*" not in found
    assert demo._own_address() in found


@pytest.mark.parametrize("name", ["http://a.example", "a:80", "a*", "*a.b", "", "a b"])
def test_what_is_no_host_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"--allowed-host = {re.escape(repr(name))}"):
        demo._allowed_hosts("127.0.0.1", [name])


def _status(address: str, host: str) -> int:
    """Of a request that a browser takes for one of the page's own."""
    headers = {"Host": host, "Sec-Fetch-Site": "same-origin"}
    asked = urllib.request.Request(
        f"{address}/examples/0", headers=headers, method="POST"
    )
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_any_free_port_is_printed_and_ctrl_c_ends_it(
    finished: Any, started: Any, host: str
) -> None:
    words = [sys.executable, "-m", "daformer_kedro", "demo"]
    words += ["--port", "0", "--host", host, "--allowed-host", "demo.example"]
    with started(words, cwd=finished.path) as server:
        said = ""
        while not (found := re.search(r"Open (http://\S+:\d+) ", said)):
            assert server.process.poll() is None, said
            said = server.log.read_text()
        address = found[1]
        assert "<h1>" in server.answer(address)
        assert _status(address, "evil.example") == 400
        assert _status(address, "demo.example:7860") == 200
        os.kill(server.process.pid, signal.SIGINT)
        assert server.process.wait(30) == 0
        said = server.log.read_text()
    assert ("Whoever reaches this machine" in said) == (host == "0.0.0.0")
    assert "Traceback" not in said
