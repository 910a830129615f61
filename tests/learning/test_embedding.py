"""Images embedded once, in pieces that survive an interruption."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from daformer_kedro.config import AugmentationConfig, ModelConfig, PreprocessingConfig
from daformer_kedro.datasets import EmbeddedImagesDataset
from daformer_kedro.errors import InputError
from daformer_kedro.learning import embedding
from daformer_kedro.learning.embedding import EncoderInUse, embed_images
from daformer_kedro.learning.task_images import TaskImages
from daformer_kedro.model.encoders import Encoder
from daformer_kedro.scenario.embedded_images import EmbeddedImages
from daformer_kedro.scenario.image_files import ImageFiles
from daformer_kedro.scenario.images import ImageArrays
from daformer_kedro.storage.state_file import StateFile

FLIPS = AugmentationConfig(horizontal_flip=1.0, stored_views=3)
COUNTS = {"train": 23, "test": 11}
SIDE = 4


class Quarters(Encoder):
    """The four quarters of an image as tokens; fails when told to."""

    def __init__(self) -> None:
        super().__init__(
            ModelConfig(embed_dim=4, num_heads=1),
            image_size=SIDE,
            in_channels=1,
            generator=torch.Generator(),
        )
        self.seen = 0
        self.fails_after: int | None = None

    def embed(self, images: Tensor) -> Tensor:
        if self.fails_after is not None and self.seen >= self.fails_after:
            raise KeyboardInterrupt
        self.seen += len(images)
        halves = images.unfold(2, 2, 2).unfold(3, 2, 2)  # (B, 1, 2, 2, 2, 2)
        return halves.flatten(4).flatten(1, 3)


class Grey(Quarters):
    """The same of the first colour."""

    def embed(self, images: Tensor) -> Tensor:
        return super().embed(images[:, :1])


def images(num_classes: int = 3, seed: int = 0) -> ImageArrays:
    generator = np.random.default_rng(seed)
    return ImageArrays(
        **{
            f"{split}_images": generator.integers(0, 256, (n, SIDE, SIDE, 1), np.uint8)
            for split, n in COUNTS.items()
        },
        **{
            f"{split}_labels": np.arange(n) % num_classes for split, n in COUNTS.items()
        },
        class_names=tuple("abcdef"[:num_classes]),
    )


def in_use(encoder: Encoder, *, pool: bool = False) -> EncoderInUse:
    num = 3 if isinstance(encoder, Grey) else 1
    preprocessing = PreprocessingConfig(mean=(0.0,) * num, std=(1.0,) * num)
    return EncoderInUse(encoder, preprocessing, pool, 4, torch.device("cpu"))


def expected(pixels: np.ndarray) -> np.ndarray:
    quarters = [pixels[:, y : y + 2, x : x + 2, 0] for y in (0, 2) for x in (0, 2)]
    tokens = np.stack([quarter.reshape(-1, 4) for quarter in quarters], axis=1)
    return (tokens / np.float32(255)).astype(np.float16)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_ROWS_BETWEEN_SAVES", 8)


def state_in(folder: Path) -> StateFile:
    return StateFile(folder / "work" / "embedding.state", "key")


def test_every_image_of_both_splits_is_embedded(tmp_path: Path) -> None:
    source = images()
    found = embed_images(source, in_use(Quarters()), state_in(tmp_path))
    np.testing.assert_allclose(found.train_tokens, expected(source.train_images), 1e-3)
    np.testing.assert_allclose(found.test_tokens, expected(source.test_images), 1e-3)
    pooled = embed_images(
        source, in_use(Quarters(), pool=True), state_in(tmp_path / "pooled")
    )
    means = expected(source.train_images).astype(np.float32).mean(1, keepdims=True)
    np.testing.assert_allclose(pooled.train_tokens, means, 1e-3)


@pytest.mark.parametrize("fails_after", [9, 17, 30])
def test_an_interrupted_pass_goes_on_where_it_was(
    tmp_path: Path, fails_after: int
) -> None:
    source, state, broken = images(), state_in(tmp_path), Quarters()
    broken.fails_after = fails_after + 1  # one image more finds the tokens' shape
    with pytest.raises(KeyboardInterrupt):
        embed_images(source, in_use(broken), state)
    encoder = Quarters()
    found = embed_images(source, in_use(encoder), state_in(tmp_path))
    assert encoder.seen - 1 <= sum(COUNTS.values()) - fails_after + 8
    whole = embed_images(source, in_use(Quarters()), state_in(tmp_path / "other"))
    assert np.array_equal(found.train_tokens, whole.train_tokens)
    assert np.array_equal(found.test_tokens, whole.test_tokens)


def test_a_pass_over_files_goes_on_after_a_split_that_is_done(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE), np.uint8)
    for number, levels in enumerate(pixels):
        Image.fromarray(levels).convert("RGB").save(tmp_path / f"{number}.png")
    names = np.array([f"{number}.png" for number in range(4)])
    zeros = np.zeros(2, dtype=np.int64)
    source = ImageFiles(
        tmp_path, names[:2], zeros, zeros, names[2:], zeros, zeros, ("a",), SIDE, SIDE
    )
    used, broken = in_use(Grey()), Grey()
    whole = embed_images(source, used, state_in(tmp_path / "other"))
    broken.fails_after = 3  # one finds the shape, two are training images
    with pytest.raises(KeyboardInterrupt):
        embed_images(source, in_use(broken), state_in(tmp_path))
    found = embed_images(source, used, state_in(tmp_path))
    assert np.array_equal(found.train_tokens, whole.train_tokens)
    assert np.array_equal(found.test_tokens, whole.test_tokens)


def test_what_earlier_folders_hold_is_not_embedded_again(tmp_path: Path) -> None:
    source = images()
    known = EmbeddedImages(
        np.full((20, 4, 4), 7, np.float16), np.full((10, 4, 4), 7, np.float16), SIDE, 1
    )
    encoder = Quarters()
    found = embed_images(source, in_use(encoder), state_in(tmp_path), known)
    assert encoder.seen == 1 + 3 + 1
    assert (found.train_tokens[:20] == 7).all()
    np.testing.assert_allclose(
        found.train_tokens[20:], expected(source.train_images)[20:], 1e-3
    )


def test_versions_of_an_image_are_stored_after_it(tmp_path: Path) -> None:
    source = images()
    found = embed_images(source, in_use(Quarters()), state_in(tmp_path), views=FLIPS)
    dataset = EmbeddedImagesDataset(filepath=(tmp_path / "tokens").as_posix())
    dataset.save(found)
    stored = dataset.load()
    assert stored.num_views == 3
    rows = [22, 0, 9]
    mirrored = expected(source.train_images[rows][:, :, ::-1])
    views = stored.views(rows)
    np.testing.assert_allclose(views[:, 0], expected(source.train_images[rows]), 1e-3)
    np.testing.assert_allclose(views[:, 1], mirrored, 1e-3)
    np.testing.assert_allclose(views[:, 2], mirrored, 1e-3)


@pytest.mark.parametrize("fails_after", [37, 54, 74])
def test_interrupted_versions_are_drawn_again_alike(
    tmp_path: Path, fails_after: int
) -> None:
    chance = AugmentationConfig(crop_padding=2, horizontal_flip=0.5, stored_views=3)
    source, state, broken = images(), state_in(tmp_path), Quarters()
    broken.fails_after = fails_after + 1
    with pytest.raises(KeyboardInterrupt):
        embed_images(source, in_use(broken), state, views=chance)
    encoder = Quarters()
    found = embed_images(source, in_use(encoder), state_in(tmp_path), views=chance)
    assert encoder.seen - 1 <= sum(COUNTS.values()) + 2 * 23 - fails_after + 2 * 8
    whole = embed_images(
        source, in_use(Quarters()), state_in(tmp_path / "other"), views=chance
    )
    assert found.train_views is not None
    assert whole.train_views is not None
    assert np.array_equal(found.train_views, whole.train_views)
    assert (whole.train_views[:, 0] != whole.train_views[:, 1]).any(axis=(1, 2)).all()


def test_versions_of_earlier_folders_are_kept(tmp_path: Path) -> None:
    source, sevens = images(), np.full((20, 2, 4, 4), 7, np.float16)
    known = EmbeddedImages(sevens[:, 0], sevens[:10, 0], SIDE, 1, sevens)
    encoder = Quarters()
    found = embed_images(source, in_use(encoder), state_in(tmp_path), known, FLIPS)
    assert encoder.seen == 1 + 3 + 1 + 2 * 3
    assert found.train_views is not None
    assert (found.train_views[:20] == 7).all()
    mirrored = expected(source.train_images[20:, :, ::-1])
    np.testing.assert_allclose(found.train_views[20:, 1], mirrored, 1e-3)


def test_training_shows_one_version_of_an_image_at_a_time() -> None:
    tokens = torch.arange(4.0).half().repeat(50, 1)[:, :, None, None]  # (50, 4, 1, 1)
    data = TaskImages(tokens, torch.zeros(50, dtype=torch.int64))
    assert data.is_embedded
    rows = [torch.arange(50), torch.arange(7)]
    first, second = data.batches(rows, torch.Generator().manual_seed(0))
    assert first.shape == (50, 1, 1)
    assert second.shape == (7, 1, 1)
    assert set(first.flatten().tolist()) == {0, 1, 2, 3}
    again, _ = data.batches(rows, torch.Generator().manual_seed(0))
    assert torch.equal(first, again)


def test_too_small_a_disk_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match=r"tokens of 34 images take .* free"):
        embed_images(images(), in_use(Quarters()), state_in(tmp_path))
    assert not list((tmp_path / "work").iterdir())


def test_storing_moves_what_lies_on_the_same_disk(tmp_path: Path) -> None:
    found = embed_images(images(), in_use(Quarters()), state_in(tmp_path))
    before = np.array(found.train_tokens)
    dataset = EmbeddedImagesDataset(filepath=(tmp_path / "tokens").as_posix())
    dataset.save(found)
    again = dataset.load()
    assert np.array_equal(again.train_tokens, before)
    assert (again.image_size, again.num_channels) == (SIDE, 1)
    assert sorted(p.name for p in (tmp_path / "work").iterdir()) == ["embedding.state"]
    copy = EmbeddedImagesDataset(filepath=(tmp_path / "copy").as_posix())
    copy.save(EmbeddedImages(before, np.array(again.test_tokens), SIDE, 1))
    assert np.array_equal(copy.load().train_tokens, before)
