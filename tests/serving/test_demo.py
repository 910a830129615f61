"""What the demo page is told of an image."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from daformer_kedro.errors import InputError
from daformer_kedro.serving import Classifier
from daformer_kedro.serving.demo import look


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
