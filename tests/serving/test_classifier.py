"""From pixels to a table of answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from daformer_kedro.augmentation.transform import normalise
from daformer_kedro.config import ModelConfig, PreprocessingConfig
from daformer_kedro.errors import InputError
from daformer_kedro.model import DAFormer
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.serving import Classifier, ServedModel
from daformer_kedro.serving.classifier import COLUMNS


def pixels(num: int) -> np.ndarray:
    chance = np.random.default_rng(1)
    return chance.integers(0, 256, (num, 8, 8, 3), dtype=np.uint8)


def test_the_table_says_what_the_network_says(
    model: ServedModel, classifier: Classifier
) -> None:
    images = pixels(3)
    table = classifier.classify(images, batch_size=2)
    assert list(table.columns) == list(COLUMNS)
    network = model.checkpoint.build()
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = network(normalise(batch, model.checkpoint.preprocessing)).logits
    bias = torch.tensor([0.25] * 4 + [-0.25] * 3)
    expected = (logits / 0.5 + bias).softmax(dim=1).numpy()
    names = model.checkpoint.description["class_names"]
    for row, probabilities in enumerate(expected):
        order = np.argsort(-probabilities)
        for rank in range(5):
            target = order[rank]
            assert table.loc[row, f"class_{rank + 1}"] == names[target]
            assert table.loc[row, f"task_{rank + 1}"] == int(target >= 4)
            found = table.loc[row, f"probability_{rank + 1}"]
            assert found == pytest.approx(probabilities[target], abs=1e-6)


def test_an_exemplar_is_known_and_what_differs_is_scored_by_distance(
    model: ServedModel, classifier: Classifier
) -> None:
    assert model.bank is not None
    own = model.bank.examples.numpy()
    table = classifier.classify(own)
    assert (table["unknown_score"] < 1e-4).all()
    assert not table["is_unknown"].any()
    nearest = classifier.nearest_known(classifier.answer(own).embeddings, 3)
    assert nearest is not None
    distances, places = nearest
    assert distances.shape == (5, 3)
    assert places[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_without_a_memory_the_energy_stands_in(model: ServedModel) -> None:
    bare = Classifier(ServedModel("bare", model.checkpoint))
    table = bare.classify(pixels(2))
    assert table["is_unknown"].isna().all()
    assert table["unknown_score"].notna().all()
    assert bare.nearest_known(torch.zeros(1, 32), 2) is None


def test_an_image_of_any_size_becomes_what_the_network_reads(
    classifier: Classifier,
) -> None:
    assert classifier.view(Image.new("RGB", (31, 17), (10, 20, 30))).shape == (8, 8, 3)
    exact = Image.fromarray(pixels(1)[0])
    wide = Image.new("RGB", (40, 10))
    wide.paste(exact, (16, 1))  # short side 10 is kept, then the middle is cut out
    assert np.array_equal(classifier.view(wide), pixels(1)[0])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8, 1), np.uint8), "must be"),
        (np.zeros((2, 8, 8, 3), np.float32), "uint8"),
        (np.zeros((0, 8, 8, 3), np.uint8), "at least one"),
    ],
)
def test_other_images_are_refused(
    classifier: Classifier, images: np.ndarray, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        classifier.classify(images)


def test_fewer_classes_than_ranks_leave_ranks_empty() -> None:
    network = DAFormer(
        ModelConfig(embed_dim=4, depth=2, num_heads=2, patch_size=4),
        image_size=8,
        in_channels=1,
        task_sizes=[2],
    )
    checkpoint = Checkpoint.of(
        network, preprocessing=PreprocessingConfig(), class_names=("a", "b")
    )
    grey = Classifier(ServedModel("grey", checkpoint))
    view = grey.view(Image.new("RGB", (9, 9), (40, 40, 40)))
    assert (view == 40).all()
    table = grey.classify(view[None])
    assert table["class_2"].isin(["a", "b"]).all()
    assert table[["class_3", "probability_4", "task_5"]].isna().all(axis=None)
