"""What the demo page is told of an image."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image

from daformer_kedro.augmentation.transform import normalise
from daformer_kedro.errors import InputError
from daformer_kedro.model.attention_maps import attention_maps
from daformer_kedro.serving import Classifier
from daformer_kedro.serving.demo.answer import (
    AttentionMap,
    answer_example,
    answer_exemplar,
    answer_file,
)
from daformer_kedro.serving.demo.pictures import attention_overlay

ORIENTATION = 0x112
Encode = Callable[..., bytes]


def picture(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def test_an_image_gets_classes_attention_and_exemplars(
    classifier: Classifier, encoded: Encode
) -> None:
    content = encoded(Image.new("CMYK", (50, 30), (0, 200, 200, 0)), "JPEG")
    found = answer_file(classifier, content, "red.jpg")
    table = classifier.classify(
        classifier.view(Image.open(io.BytesIO(content)).convert("RGB"))[None]
    )
    assert [c.name for c in found.classes] == [
        table[f"class_{r}"][0] for r in range(1, 6)
    ]
    assert found.classes[0].probability == pytest.approx(table["probability_1"][0])
    assert found.distance == pytest.approx(table["unknown_score"][0], abs=1e-6)
    assert found.threshold == 0.1
    assert found.is_unknown == table["is_unknown"][0]
    distances = [exemplar.distance for exemplar in found.nearest]
    assert len(distances) == 5
    assert distances == sorted(distances)
    assert distances[0] == found.distance
    assert found.truth is None


def test_attention_is_that_of_the_likeliest_task(
    classifier: Classifier, encoded: Encode
) -> None:
    known = classifier.model.bank
    assert known is not None
    tasks = set()
    for pixels in known.thumbnails.numpy():
        view = classifier.view(Image.fromarray(pixels))
        content = encoded(Image.fromarray(pixels), "PNG")
        found = answer_file(classifier, content, "a.png")
        task = found.classes[0].task
        image = torch.from_numpy(view.copy()).permute(2, 0, 1)[None]
        preprocessing = classifier.model.checkpoint.preprocessing
        maps = attention_maps(classifier.network, normalise(image, preprocessing))
        assert maps.external is not None
        assert maps.internal is not None
        # Edition S: external keys are made by one map for all tasks.
        assert found.attention == [
            AttentionMap(
                "external", None, attention_overlay(view, maps.external[0, 0].numpy())
            ),
            AttentionMap(
                "internal",
                task,
                attention_overlay(view, maps.internal[0, task].numpy()),
            ),
        ]
        tasks.add(task)
    assert tasks == {0, 1}
    assert picture(found.attention[0].picture).size == (192, 192)


def test_a_decoder_without_dual_attention_shows_none(
    without_dual_attention: Classifier, encoded: Encode
) -> None:
    content = encoded(Image.new("RGB", (8, 8)), "PNG")
    found = answer_file(without_dual_attention, content, "a.png")
    assert found.attention == []
    assert len(found.classes) == 2


def test_without_exemplars_nothing_is_said_to_be_unknown(
    without_exemplars: Classifier, encoded: Encode
) -> None:
    content = encoded(Image.new("RGB", (8, 8)), "PNG")
    found = answer_file(without_exemplars, content, "a.png")
    assert found.nearest == []
    assert found.is_unknown is found.distance is found.threshold is None


def test_with_class_means_the_nearest_classes_are_shown(
    with_class_means: Classifier, encoded: Encode
) -> None:
    bank = with_class_means.model.bank
    assert bank is not None
    content = encoded(Image.new("RGB", (8, 8), (250, 0, 250)), "PNG")
    found = answer_file(with_class_means, content, "a.png")
    pixels = np.full((1, 8, 8, 3), (250, 0, 250), dtype=np.uint8)
    own = with_class_means.answer(pixels).embeddings
    cosines = torch.cosine_similarity(own, bank.embeddings.float(), dim=1)
    order = cosines.argsort(descending=True)[:5].tolist()
    assert [near.name for near in found.nearest] == [
        with_class_means.class_names[target] for target in order
    ]
    assert {near.row for near in found.nearest} == {None}
    assert found.distance == pytest.approx(1 - float(cosines.max()), abs=1e-6)
    assert found.is_unknown == (found.distance > 0.1)
    with pytest.raises(InputError, match="has no such exemplar"):
        answer_exemplar(with_class_means, 0)


@pytest.mark.parametrize("kind", ["JPEG", "HEIF"])
def test_a_photograph_is_upright_and_dimmed_where_it_is_not_read(
    classifier: Classifier, encoded: Encode, kind: str
) -> None:
    pillow_heif.register_heif_opener()
    # Of the upright photograph, 30 wide and 60 high, the upper half is red.
    pixels = np.zeros((30, 60, 3), np.uint8)
    pixels[:, :30, 0] = 255  # lies on its side: left is up
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # turn by 90° clockwise to see it upright
    content = encoded(Image.fromarray(pixels), kind, exif=exif.tobytes(), quality=95)
    found = answer_file(classifier, content, f"IMG_1.{kind}")
    assert found.photograph is not None
    shown = picture(found.photograph).convert("RGB")
    assert shown.size == (30, 60)
    # The square that is read: 8/10 of 30 pixels wide, so 24 in the middle.
    inside, above, beside = ((15, 22), (15, 10), (1, 22))
    assert shown.getpixel(inside)[0] > 230
    assert 60 < shown.getpixel(above)[0] < 110  # 0.35 * 255 = 89
    assert 60 < shown.getpixel(beside)[0] < 110
    upper, lower = (picture(found.seen).getpixel((96, y)) for y in (20, 170))
    assert upper[0] > 200 > 60 > lower[0]


def test_a_small_image_is_shown_once(classifier: Classifier, encoded: Encode) -> None:
    content = encoded(Image.new("RGB", (8, 8)), "PNG")
    assert answer_file(classifier, content, "a.png").photograph is None


def test_a_file_that_is_no_image_is_named(classifier: Classifier) -> None:
    with pytest.raises(InputError, match=r"^notes\.txt: cannot be read as an image"):
        answer_file(classifier, b"no image", "notes.txt")
    with pytest.raises(InputError, match="raw format"):
        answer_file(classifier, b"no image", "IMG_1.NEF")


def test_a_test_image_is_classified_as_it_is(classifier: Classifier) -> None:
    known = classifier.model.bank
    assert known is not None
    found = answer_example(classifier, 3)
    table = classifier.classify(known.examples[3:4].numpy())
    assert found.classes[0].name == table["class_1"][0]
    # Targets of the fixture are 0, 0, 1, 1, …
    assert found.truth == classifier.class_names[1] == "ape"


def test_an_exemplar_is_compared_with_the_others(classifier: Classifier) -> None:
    known = classifier.model.bank
    assert known is not None
    found = answer_exemplar(classifier, 4)
    assert found.truth == "ärmel"
    assert 4 not in [exemplar.row for exemplar in found.nearest]
    unit = torch.nn.functional.normalize(known.embeddings.float(), dim=1)
    others = (unit[4] @ unit.T).index_fill(0, torch.tensor([4]), -1)
    assert found.distance == pytest.approx(1 - float(others.max()), abs=2e-3)
    assert len(found.nearest) == 5


@pytest.mark.parametrize("answer", [answer_example, answer_exemplar])
def test_a_row_that_is_not_there_is_refused(
    answer: Callable[..., object],
    classifier: Classifier,
    without_dual_attention: Classifier,
) -> None:
    with pytest.raises(InputError, match="14: the model's file has no such"):
        answer(classifier, 14)
    with pytest.raises(InputError, match="0: the model's file has no such"):
        answer(without_dual_attention, 0)
