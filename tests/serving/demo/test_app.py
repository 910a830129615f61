"""Every response of the demo's server."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from daformer_kedro.serving import Classifier
from daformer_kedro.serving.demo import app, demo_app
from daformer_kedro.serving.demo.guard import HEADERS

Encode = Callable[..., bytes]


def test_the_page_and_its_parts_are_served_under_a_strict_policy(
    client: TestClient,
) -> None:
    kinds = {"/": "text/html", "/page.css": "text/css"}
    kinds |= dict.fromkeys(("/page.js", "/cards.js"), "text/javascript")
    for address, kind in kinds.items():
        response = client.get(address)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(kind)
        for name, value in HEADERS.items():
            assert response.headers[name] == value
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "style=" not in client.get("/").text  # the policy would forbid it


def test_names_from_a_model_are_no_markup(without_dual_attention: Classifier) -> None:
    page = TestClient(
        demo_app(without_dual_attention), base_url="http://localhost"
    ).get("/")
    assert "&lt;b&gt;one&lt;/b&gt;" in page.text
    assert "<b>" not in page.text
    assert "It keeps no exemplars" in page.text
    assert "Or try one" not in page.text


def test_an_image_is_answered(client: TestClient, encoded: Encode) -> None:
    content = encoded(Image.new("RGB", (30, 20)), "PNG")
    response = client.post("/classify?name=a.png", content=content)
    assert response.status_code == 200
    answer = response.json()
    assert len(answer["classes"]) == 5
    assert set(answer["classes"][0]) == {"name", "probability", "task"}
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("notes.png", "its format is not known"),
        ("IMG_1.NEF", "it is a camera's raw format"),
        ("", "its format is not known"),
        ("a\nb.png", "its format is not known"),
        ("x" * 5000, "its format is not known"),
    ],
)
def test_what_is_no_image_is_refused_without_its_name(
    client: TestClient, name: str, reason: str
) -> None:
    response = client.post("/classify", params={"name": name}, content=b"no image")
    assert response.status_code == 400
    error = response.json()["error"]
    assert error.startswith("cannot be read as an image: " + reason)


def test_large_uploads_are_read_and_larger_ones_refused(
    client: TestClient, encoded: Encode
) -> None:
    image = encoded(Image.new("RGB", (30, 20)), "BMP")
    parts = [image, *[bytes(1 << 20)] * 63]
    assert client.post("/classify", content=iter(parts)).status_code == 200
    answer = client.post("/classify", content=iter([*parts, bytes(1 << 20)]))
    assert answer.status_code == 413
    assert answer.json()["error"] == "the file is larger than 64 MiB"


def test_an_upload_that_is_broken_off_raises_nothing(classifier: Classifier) -> None:
    scope = {
        **{"type": "http", "method": "POST", "path": "/classify", "query_string": b""},
        "headers": [(b"host", b"127.0.0.1")],
    }
    parts = [
        {"type": "http.request", "body": b"half", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent = []

    async def receive() -> Any:
        return parts.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(demo_app(classifier)(scope, receive, send))
    assert sent[0]["status"] == 400


def test_images_to_try_are_shown_and_classified(
    client: TestClient, classifier: Classifier
) -> None:
    known = classifier.model.bank
    assert known is not None
    for kind, pixels in (("examples", known.examples), ("exemplars", known.thumbnails)):
        response = client.get(f"/{kind}/2.png")
        assert response.headers["content-type"] == "image/png"
        shown = np.asarray(Image.open(io.BytesIO(response.content)))
        assert (shown == pixels[2].numpy()).all()
        assert client.post(f"/{kind}/2").json()["truth"] == "ape"


@pytest.mark.parametrize(
    "address", ["/examples/5", "/exemplars/14", "/secrets/0", "/examples/-1", "/a.png"]
)
def test_what_is_not_there_is_not_found(client: TestClient, address: str) -> None:
    assert client.post(address).status_code in (404, 405)
    assert client.get(f"{address.removesuffix('.png')}.png").status_code == 404


def test_a_fault_of_ours_costs_one_answer_and_is_logged(
    client: TestClient,
    encoded: Encode,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("out of memory")

    content = encoded(Image.new("RGB", (30, 20)), "PNG")
    with monkeypatch.context() as patched:
        patched.setattr(app, "answer_file", fail)
        name = f"{'x' * 5000}\nINFO forged.png"
        response = client.post("/classify", params={"name": name}, content=content)
    assert response.status_code == 500
    assert response.json()["error"].startswith("the server failed on this image")
    assert "x?INFO forged.png: could not be classified" in caplog.text
    assert "x" * 100 not in caplog.text
    assert "out of memory" in caplog.text
    assert client.post("/classify", content=content).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),  # another port of this machine
        ({"Origin": "http://127.0.0.1"}, 200),
        ({"Origin": "http://127.0.0.1:8000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "rebound.example"}, 400),
        ({"Host": "localhost:7860"}, 200),
    ],
)
def test_pages_of_other_sites_may_not_ask(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    response = client.post("/examples/0", headers=headers)
    assert response.status_code == status
    assert "content-security-policy" in response.headers


def test_every_host_is_served_where_that_is_asked_for(classifier: Classifier) -> None:
    client = TestClient(demo_app(classifier, ["*"]), base_url="http://192.168.0.7:7860")
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("reads_heif", [True, False])
def test_heic_is_asked_for_where_it_can_be_read(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, reads_heif: bool
) -> None:
    known = ("JPEG", "HEIF") if reads_heif else ("JPEG",)
    monkeypatch.setattr(app, "formats", lambda: known)
    page = TestClient(demo_app(classifier), base_url="http://localhost").get("/")
    assert ('accept="image/*,.heic,.heif"' in page.text) == reads_heif
