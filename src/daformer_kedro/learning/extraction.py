"""Embeddings and logits of images as they are, without augmentation."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from daformer_kedro.augmentation.file_images import FileImages
from daformer_kedro.augmentation.transform import normalise
from daformer_kedro.config import PreprocessingConfig
from daformer_kedro.learning.chunks import images_at_once, inference_chunks
from daformer_kedro.model import DAFormer
from daformer_kedro.objectives.neighbourhood import concatenate_tasks


@torch.inference_mode()
def extract(
    model: DAFormer,
    images: Tensor | FileImages,
    preprocessing: PreprocessingConfig,
    batch_size: int = 512,
) -> tuple[Tensor, Tensor]:
    """Run the model in evaluation mode over many images.

    Always in float32, so that exemplars and metrics do not depend on the precision of
    training.

    Args:
        model: on the device to use.
        images: (N, C, H, W) uint8, on any device, files of N images, or tokens of N
            images, (N, n, W).
        preprocessing: normalisation.
        batch_size: largest number of images at a time; a CPU takes fewer, see
            :mod:`~daformer_kedro.learning.chunks`.

    Returns:
        (N, T * D) concatenated task embeddings and (N, C) logits, on the CPU.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    num_images = images_at_once(model, batch_size, device)
    chunks = inference_chunks(model, num_images, device)
    embeddings, logits = [], []
    batches: Iterable[Tensor]
    if isinstance(images, FileImages):
        batches = images.test_batches(batch_size)
    else:
        batches = images.split(batch_size)
    for batch in batches:
        for part in _prepared(batch.to(device), preprocessing).split(num_images):
            output = model(part, chunks=chunks)
            whole = concatenate_tasks(output.embeddings, model.num_tasks)
            embeddings.append(whole.cpu())
            logits.append(output.logits.cpu())
    model.train(was_training)
    return torch.cat(embeddings), torch.cat(logits)


def _prepared(batch: Tensor, preprocessing: PreprocessingConfig) -> Tensor:
    """Normalise pixels; what was embedded before is ready."""
    if batch.is_floating_point():
        return batch.float()
    return normalise(batch, preprocessing)
