"""Connections that send or take slowly, over real sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread

import pytest
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from daformer_kedro.serving import Classifier
from daformer_kedro.serving.demo import connections, demo_app, server_config

Encode = Callable[..., bytes]
LARGE = 12 << 20


@contextmanager
def serving(app: ASGIApp) -> Iterator[int]:
    """The port of a server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(server_config(app))
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


async def _short(_: Request) -> Response:
    return PlainTextResponse("short")


async def _large(_: Request) -> Response:
    return PlainTextResponse(bytes(LARGE))


SMALL_APP = Starlette(routes=[Route("/", _short), Route("/large", _large)])


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a small server that waits for a second."""
    monkeypatch.setattr(connections, "_WAITING_SECONDS", 1.0)
    with serving(SMALL_APP) as port:
        yield port


def _client(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port))
    client.settimeout(10)
    return client


def _head(method: str, path: str, length: int = 0) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}"
    return f"{head}\r\n\r\n".encode()


def _trickle(client: socket.socket) -> None:
    for _ in range(100):
        time.sleep(0.1)
        client.sendall(b"E")


def _received(client: socket.socket) -> bytes:
    """All that comes until the other side ends the connection."""
    content = bytearray()
    with suppress(ConnectionResetError):
        while part := client.recv(1 << 20):
            content += part
    return bytes(content)


def test_endless_headers_end(port: int) -> None:
    with _client(port) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
        line = b"X: " + b"a" * (1 << 20) + b"\r\n"
        with pytest.raises(ConnectionError):
            client.sendall(line * 64)


@pytest.mark.parametrize(
    "before",
    [
        b"",
        _head("GET", "/"),  # a second request on the same connection
        _head("GET", "/", 1000),  # the body of one that is answered already
    ],
)
def test_a_header_has_a_deadline(port: int, before: bytes) -> None:
    with _client(port) as client:
        client.sendall(before)
        if before:
            assert b"200 OK" in client.recv(1 << 16)
        begun = time.monotonic()
        client.sendall(b"G")
        with pytest.raises(ConnectionError):
            _trickle(client)
        assert 0.8 < time.monotonic() - begun < 5


def test_a_connection_that_asks_nothing_ends(port: int) -> None:
    with _client(port) as client:
        assert _received(client) == b""


def test_an_answer_that_is_not_taken_ends(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_TAKING_SECONDS", 1.0)
    with _client(port) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        client.sendall(_head("GET", "/large"))
        time.sleep(1.5)
        assert len(_received(client)) < LARGE


def test_an_answer_may_be_taken_slowly(port: int) -> None:
    with _client(port) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        client.sendall(_head("GET", "/large"))
        content = bytearray()
        begun = time.monotonic()
        while len(content) <= LARGE:  # there is a header
            part = client.recv(1 << 17)
            assert part
            content += part
            if time.monotonic() - begun < 1.5:
                assert len(content) < LARGE // 4
                time.sleep(0.1)


def test_slow_senders_keep_nobody_out(
    classifier: Classifier, encoded: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_MOST_CONNECTIONS", 20)
    good = encoded(Image.new("RGB", (30, 20)), "PNG")
    upload = _head("POST", "/classify", 1_000_000) + b"x"
    with serving(demo_app(classifier)) as port, ExitStack() as stack:
        slow = []
        for number in range(60):
            client = stack.enter_context(_client(port))
            client.sendall(upload if number % 2 else b"GET / HTTP/1.1\r\nHost: ")
            slow.append(client)
        for _ in range(3):
            with _client(port) as client:
                client.sendall(_head("POST", "/classify?name=a.png", len(good)) + good)
                assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")
        slow[0].settimeout(0)
        assert slow[0].recv(1) == b""  # the oldest had to go
        slow[-1].settimeout(0)
        with pytest.raises(BlockingIOError):  # the newest had not
            slow[-1].recv(1)


@pytest.mark.parametrize("end", ["keep-alive", "close"])
def test_slow_readers_keep_nobody_out(
    monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(connections, "_MOST_CONNECTIONS", 5)
    head = _head("GET", "/large").replace(
        b"Host", b"Connection: %s\r\nHost" % end.encode()
    )
    with serving(SMALL_APP) as port, ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(_client(port))
            client.sendall(head)
            assert client.recv(1)
        with _client(port) as client:
            client.sendall(_head("GET", "/"))
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")


def test_the_server_ends_whatever_is_being_sent(
    classifier: Classifier, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack:
        with serving(demo_app(classifier)) as port:
            for content in (_head("POST", "/classify", 1000) + b"x", b"GET /", b""):
                client = stack.enter_context(_client(port))
                client.sendall(content)
            time.sleep(0.2)
            begun = time.monotonic()
        assert time.monotonic() - begun < 5
    assert caplog.messages == []
