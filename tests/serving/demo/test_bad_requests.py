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
from daformer_kedro.serving.demo import app, demo_app, uploads

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
    assert statuses <= {200, 400, 404, 405, 503}
    assert {400, 404} <= statuses
    assert found[-1].status_code == 200
    assert all(b"root:" not in r.content and b"import " not in r.content for r in found)
    assert grown < 100 << 20
    assert os.listdir(tmp_path) == []


async def _trickle(first: int, pause: float) -> Any:
    """An upload of many bytes, and then of one at a time."""
    yield bytes(first)
    for _ in range(1000):
        await asyncio.sleep(pause)
        yield b"x"


async def _beside(
    classifier: Classifier, slow: list[Any], good: bytes
) -> tuple[list[httpx.Response], list[httpx.Response], int]:
    """Answers to slow uploads, and to three good ones sent while those go on.

    The number is that of slow ones which were left when the good ones had theirs.
    """
    server = demo_app(classifier)
    sides = [
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=server, client=(address, 1)),
            base_url="http://localhost",
        )
        for address in ("192.0.2.1", "192.0.2.2")
    ]
    async with sides[0] as other, sides[1] as client:
        waiting = [
            asyncio.ensure_future(other.post("/classify", content=content))
            for content in slow
        ]
        await asyncio.sleep(0.1)
        answers = [
            await client.post("/classify?name=a.png", content=good) for _ in range(3)
        ]
        num_left = sum(not task.done() for task in waiting)
        return answers, list(await asyncio.gather(*waiting)), num_left


def test_slow_uploads_end_and_keep_nobody_out(
    classifier: Classifier, encoded: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_FIRST_SECONDS", 2.0)
    good = encoded(Image.new("RGB", (30, 20)), "PNG")
    slow = [_trickle(1, 0.1) for _ in range(100)]
    answers, others, _ = run(_beside(classifier, slow, good))
    assert {response.status_code for response in answers} == {200}
    assert {response.status_code for response in others} == {408}
    assert "must bring 16 KiB a second" in others[0].json()["error"]


def test_an_upload_has_a_minute_however_much_it_brings(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_MOST_SECONDS", 1.5)
    _, (answer,), _ = run(_beside(classifier, [_trickle(1 << 20, 0.1)], b""))
    assert answer.status_code == 408
    assert answer.json()["error"] == "the upload took over 2 seconds"


def test_the_oldest_upload_makes_room_for_others(
    classifier: Classifier, encoded: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_MOST_HELD", 1 << 20)
    monkeypatch.setattr(uploads, "_FIRST_SECONDS", 2.0)
    monkeypatch.setattr(uploads, "_MOST_SECONDS", 2.0)
    good = encoded(Image.new("RGB", (30, 20)), "BMP") + bytes(300_000)
    # The third of them pushes out the first, and the good upload the second.
    slow = [_trickle(400_000, 0.05) for _ in range(3)]
    answers, others, _ = run(_beside(classifier, slow, good))
    assert {response.status_code for response in answers} == {200}
    assert [response.status_code for response in others] == [503, 503, 408]
    assert "try again" in others[0].json()["error"]


def test_one_upload_may_be_too_much_for_what_is_left(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_MOST_HELD", 1000)
    answers, _, _ = run(_beside(classifier, [], bytes(2000)))
    assert {response.status_code for response in answers} == {503}


@pytest.fixture(scope="module")
def costly(encoded: Encode) -> bytes:
    """A small file that takes a second or more to decode."""
    plain = encoded(Image.new("L", (6000, 6000)), "JPEG", progressive=True)
    scan = plain[plain.rindex(b"\xff\xda") : -2]
    return plain[:-2] + scan * 80 + plain[-2:]


@pytest.fixture
def good(encoded: Encode, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A file for a server that ends what takes over 0.2 seconds to decode."""
    monkeypatch.setattr(app, "_DECODING_SECONDS", 0.2)
    return encoded(Image.new("RGB", (30, 20)), "PNG")


def test_costly_images_keep_nobody_out(
    classifier: Classifier, costly: bytes, good: bytes
) -> None:
    answers, others, num_left = run(_beside(classifier, [costly] * 10, good))
    assert {response.status_code for response in answers} == {200}
    assert num_left >= 2  # whoever has sent them waits longest
    assert {response.status_code for response in others} == {400}
    assert "decoding takes over 0.2 seconds" in others[0].json()["error"]


def test_a_full_queue_is_that_of_who_has_filled_it(
    classifier: Classifier,
    costly: bytes,
    good: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "_MOST_WAITING", 2)
    answers, others, _ = run(_beside(classifier, [costly] * 6, good))
    assert {response.status_code for response in answers} == {200}
    statuses = [response.status_code for response in others]
    assert statuses[:3] == [400] * 3
    assert statuses[4:] == [503] * 2
