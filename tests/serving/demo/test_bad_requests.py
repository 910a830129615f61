"""What strangers may send to the demo's server: it answers, and stays as it was."""

from __future__ import annotations

import asyncio
import os
import random
import zlib
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2 as httpx
import psutil
import pytest
from PIL import Image

from daformer_kedro.serving import Classifier
from daformer_kedro.serving.demo import app, demo_app

Encode = Callable[..., bytes]
ADDRESSES = [
    *("/", "/page.css", "/classify", "/examples/0", "/exemplars/99999999999999999999"),
    *("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/examples/..%2f..%2fx.png"),
    *("/page.css/../app.py", "/examples/-1.png", "/data/06_models", "//etc/passwd"),
]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns, also where a browser of other tests has a loop here."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def _png_that_claims(width: int, height: int) -> bytes:
    """A file of a few bytes that says it is of this size."""
    header = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 2, 0, 0, 0])
    chunks = b""
    for name, content in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 9))):
        check = zlib.crc32(name + content).to_bytes(4)
        chunks += len(content).to_bytes(4) + name + content + check
    return b"\x89PNG\r\n\x1a\n" + chunks


def _requests(encoded: Encode) -> list[tuple[str, str, bytes]]:
    draw = random.Random(0)
    whole = encoded(Image.new("RGB", (64, 48), (90, 20, 10)), "JPEG")
    found = []
    for number in range(1000):
        damaged = bytearray(whole[: draw.randrange(1, len(whole))])
        for _ in range(4):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        body = [
            bytes(damaged),
            draw.randbytes(200),
            b"",
            b"\x80\x04cposix\nsystem\n(S'touch pwned'\ntR.",
            _png_that_claims(60_000, 60_000),
            b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
        ][number % 6]
        method = "POST" if number % 4 else draw.choice(["GET", "PUT", "DELETE", "HEAD"])
        name = draw.choice(["a.png", "../../x", "%00", "é" * 300, "<b>", "a.pkl", ""])
        address = (
            draw.choice(ADDRESSES) if number % 3 == 0 else f"/classify?name={name}"
        )
        found.append((method, address, body))
    return found


def test_a_thousand_bad_requests(
    classifier: Classifier, encoded: Encode, tmp_path: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    requests = _requests(encoded)

    async def send(client: httpx.AsyncClient, request: Any) -> httpx.Response:
        method, address, body = request
        return await client.request(method, address, content=body)

    async def answers() -> tuple[list[httpx.Response], int]:
        server = httpx.ASGITransport(app=demo_app(classifier))
        address = "http://localhost"
        async with httpx.AsyncClient(transport=server, base_url=address) as client:
            first = [await send(client, request) for request in requests[:200]]
            before = psutil.Process().memory_info().rss
            rest = await asyncio.gather(*(send(client, r) for r in requests[200:]))
            grown = psutil.Process().memory_info().rss - before
            good = encoded(Image.new("RGB", (30, 20)), "PNG")
            last = await client.post("/classify?name=a.png", content=good)
        return [*first, *rest, last], grown

    found, grown = run(answers())
    statuses = {response.status_code for response in found}
    assert statuses <= {200, 400, 404, 405}
    assert {400, 404} <= statuses
    assert found[-1].status_code == 200
    assert all(b"root:" not in r.content and b"import " not in r.content for r in found)
    assert grown < 100 << 20
    assert os.listdir(tmp_path) == []


def test_slow_uploads_end_and_keep_nobody_out(
    classifier: Classifier, encoded: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_MOST_SECONDS", 1.5)
    good = encoded(Image.new("RGB", (30, 20)), "PNG")

    async def slow() -> Any:
        for _ in range(1000):
            yield b"x"
            await asyncio.sleep(0.1)

    async def answers() -> list[httpx.Response]:
        server = httpx.ASGITransport(app=demo_app(classifier))
        address = "http://localhost"
        async with httpx.AsyncClient(transport=server, base_url=address) as client:
            waiting = [
                asyncio.ensure_future(client.post("/classify", content=slow()))
                for _ in range(app._UPLOADS_AT_ONCE - 1)
            ]
            await asyncio.sleep(0.1)
            answer = await client.post("/classify?name=a.png", content=good)
            assert not any(task.done() for task in waiting)
            return [answer, *(await asyncio.gather(*waiting))]

    first, *others = run(answers())
    assert first.status_code == 200
    assert {response.status_code for response in others} == {408}
    assert others[0].json()["error"] == "the upload took over 2 seconds"
