"""Tokens of all images under an encoder that stays as it is, worked out once."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from daformer_kedro.augmentation.file_images import FileImages
from daformer_kedro.augmentation.transform import normalise
from daformer_kedro.config import AugmentationConfig, PreprocessingConfig
from daformer_kedro.errors import InputError
from daformer_kedro.learning.stored_views import augmented_batches
from daformer_kedro.learning.task_images import select_images
from daformer_kedro.model.encoders import Encoder
from daformer_kedro.scenario.embedded_images import EmbeddedImages
from daformer_kedro.scenario.image_files import ImageFiles
from daformer_kedro.scenario.images import Images
from daformer_kedro.storage.state_file import StateFile

_LOGGER = logging.getLogger(__name__)
_SPLITS: tuple[Literal["train"], Literal["test"]] = ("train", "test")
_ROWS_BETWEEN_SAVES = 512


class EncoderInUse(NamedTuple):
    """An encoder with what running it takes.

    Attributes:
        encoder: in evaluation mode, on its device.
        preprocessing: normalisation.
        pool: whether only the mean over an image's tokens is wanted.
        batch_size: images at a time.
        device: of the encoder.
    """

    encoder: Encoder
    preprocessing: PreprocessingConfig
    pool: bool
    batch_size: int
    device: torch.device


def embed_images(
    images: Images,
    used: EncoderInUse,
    state: StateFile,
    previous: EmbeddedImages | None = None,
    views: AugmentationConfig | None = None,
) -> EmbeddedImages:
    """Run the encoder over every image, in pieces that an interruption does not undo.

    Memory holds one batch. The tokens grow in files next to ``state``.

    Args:
        images: the source.
        used: the encoder.
        state: notes how far the files are filled, to resume from there.
        previous: tokens of the first rows of each split, where folders arrive one
            after another.
        views: how to augment further versions of the training images, of which there
            are ``stored_views - 1``; ``None`` for none.

    Raises:
        InputError: the disk has too little room; nothing is written then.
    """
    shape = _shape_of_one(images, used)
    counts = {"train": len(images.train_labels), "test": len(images.test_labels)}
    more = 0 if views is None else views.stored_views - 1
    done = state.load() or {}
    files = {split: state.path.with_name(f"{split}_tokens.npy") for split in _SPLITS}
    num_stored = sum(counts.values()) + more * counts["train"]
    _check_room(state.path.parent, num_stored, shape, is_begun=bool(done))
    for split in _SPLITS:
        first = int(done.get(split, 0))
        tokens = _open(files[split], (counts[split], *shape), is_begun=split in done)
        if first == 0 and previous is not None:
            known = getattr(previous, f"{split}_tokens")
            first = len(known)
            tokens[:first] = known
        for start, part in _embed(images, split, first, used):
            tokens[start : start + len(part)] = part
            tokens.flush()
            done[split] = start + len(part)
            state.save(done)
        tokens.flush()
        done[split] = counts[split]
        state.save(done)
    maps: dict[str, Any] = {
        f"{s}_tokens": np.load(files[s], mmap_mode="r") for s in _SPLITS
    }
    if views is not None and more:
        shape_of_all = (counts["train"], more, *shape)
        known = None if previous is None else previous.train_views
        maps["train_views"] = _embed_views(
            images, shape_of_all, used, state, views, known
        )
    return EmbeddedImages(
        **maps, image_size=images.image_size, num_channels=images.num_channels
    )


def _embed(
    images: Images, split: Literal["train", "test"], first: int, used: EncoderInUse
) -> Iterator[tuple[int, NDArray[np.float16]]]:
    """Yield the first row and the tokens (n, N, W) of piece after piece."""
    num_images = len(images.train_labels if split == "train" else images.test_labels)
    if first == num_images:
        return
    start = end = first
    parts: list[NDArray[np.float16]] = []
    with tqdm(
        total=num_images, initial=first, desc=f"embed {split}", disable=None
    ) as bar:
        batches = _batches(images, split, range(first, num_images), used)
        for tokens in _tokens(batches, used):
            parts.append(tokens)
            end += len(tokens)
            bar.update(len(tokens))
            if end - start >= _ROWS_BETWEEN_SAVES or end == num_images:
                yield start, np.concatenate(parts)
                start, parts = end, []


def _embed_views(
    images: Images,
    shape: tuple[int, ...],
    used: EncoderInUse,
    state: StateFile,
    views: AugmentationConfig,
    known: NDArray[np.float16] | None,
) -> NDArray[np.float16]:
    """Embed augmented versions (N, V - 1, n, W) of the training images.

    ``known`` are those of the first images.
    """
    done = state.load() or {}
    file = state.path.with_name("train_views.npy")
    stored = _open(file, shape, is_begun="train_views" in done)
    first, (num_images, more) = int(done.get("train_views", 0)), shape[:2]
    if first == 0 and known is not None:
        first = len(known)
        stored[:first] = known
    with tqdm(
        total=num_images, initial=first, desc="embed versions", disable=None
    ) as bar:
        for start in range(first, num_images, _ROWS_BETWEEN_SAVES):
            sample_index = range(start, min(start + _ROWS_BETWEEN_SAVES, num_images))
            for view in range(more):
                batches = augmented_batches(
                    images,
                    sample_index,
                    view + 1,
                    views,
                    used.preprocessing,
                    used.batch_size,
                    used.device,
                )
                tokens = np.concatenate(list(_tokens(batches, used)))
                stored[start : sample_index.stop, view] = tokens
            stored.flush()
            done["train_views"] = sample_index.stop
            state.save(done)
            bar.update(len(sample_index))
    return np.load(file, mmap_mode="r")


@torch.inference_mode()
def _tokens(
    batches: Iterable[Tensor], used: EncoderInUse
) -> Iterator[NDArray[np.float16]]:
    """Yield the tokens (B, N, W) of normalised batches (B, C, S, S)."""
    for pixels in batches:
        tokens = used.encoder.embed(pixels)
        if used.pool:
            tokens = tokens.mean(dim=1, keepdim=True)
        yield tokens.half().cpu().numpy()


def _batches(
    images: Images,
    split: Literal["train", "test"],
    sample_index: range,
    used: EncoderInUse,
) -> Iterator[Tensor]:
    """Yield images as they are, normalised."""
    size = used.batch_size
    batches: Iterable[Tensor]
    if isinstance(images, ImageFiles):  # decoded ahead, by workers that stay
        files = select_images(images, split, pd.Series(sample_index))
        assert isinstance(files, FileImages)
        batches = files.test_batches(size)
    else:
        batches = _array_batches(images, split, sample_index, size)
    for batch in batches:
        yield normalise(batch.to(used.device), used.preprocessing)


def _array_batches(
    images: Images, split: Literal["train", "test"], sample_index: range, size: int
) -> Iterator[Tensor]:
    for start in range(sample_index.start, sample_index.stop, size):
        chosen = select_images(
            images, split, pd.Series(range(start, min(start + size, sample_index.stop)))
        )
        assert isinstance(chosen, Tensor)
        yield chosen


@torch.inference_mode()
def _shape_of_one(images: Images, used: EncoderInUse) -> tuple[int, int]:
    """Tokens of one image and their width."""
    side, channels = images.image_size, images.num_channels
    tokens = used.encoder.embed(torch.zeros(1, channels, side, side).to(used.device))
    return 1 if used.pool else tokens.shape[1], tokens.shape[2]


def _check_room(
    folder: Path, num_images: int, shape: tuple[int, int], *, is_begun: bool
) -> None:
    """Log how much of the disk the tokens take, and make sure that it is free."""
    needed = num_images * shape[0] * shape[1] * np.float16().itemsize
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free and not is_begun:
        raise InputError(
            f"{folder}: tokens of {num_images:,} images take "
            f"{needed / 2**30:.1f} GiB and the disk has {free / 2**30:.1f} GiB free"
        )
    _LOGGER.info(
        "embedding %s images, %d x %d numbers each: %.2f GiB in %s",
        f"{num_images:,}",
        *shape,
        needed / 2**30,
        folder,
    )


def _open(
    file: Path, shape: tuple[int, ...], *, is_begun: bool
) -> np.memmap[tuple[int, ...], np.dtype[np.float16]]:
    if is_begun and file.exists():
        return np.load(file, mmap_mode="r+")
    return np.lib.format.open_memmap(file, "w+", np.float16, shape)
