"""What the demo page is told of an image."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from starlette.testclient import TestClient

from daformer_kedro.errors import InputError
from daformer_kedro.serving import Classifier
from daformer_kedro.serving.demo import demo_app, look


def test_an_image_gets_classes_attention_and_exemplars(classifier: Classifier) -> None:
    buffer = io.BytesIO()
    Image.new("CMYK", (50, 30), (0, 200, 200, 0)).save(buffer, "JPEG")
    found = look(classifier, buffer.getvalue())
    assert len(found["classes"]) == 5
    assert found["is_unknown"] in (True, False)
    assert set(found["attention"]) == {"external", "internal"}
    assert len(found["exemplars"]) == 5
    distances = [exemplar["distance"] for exemplar in found["exemplars"]]
    assert distances == sorted(distances)
    assert found["seen"].startswith("data:image/png;base64,")


def test_what_is_no_image_is_refused(classifier: Classifier) -> None:
    with pytest.raises(InputError, match="the file: cannot be read as an image"):
        look(classifier, b"no image")


def test_large_uploads_are_read_and_larger_ones_refused(classifier: Classifier) -> None:
    client = TestClient(demo_app(classifier))
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20)).save(buffer, "BMP")
    image = buffer.getvalue()
    parts = [image, *[bytes(1 << 20)] * 63]
    assert client.post("/classify", content=iter(parts)).status_code == 200
    answer = client.post("/classify", content=iter([*parts, bytes(1 << 20)]))
    assert answer.status_code == 413
    assert "64 MiB" in answer.json()["error"]
