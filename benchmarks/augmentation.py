"""Images per second of the batched augmentation and of timm's, on the same cores.

The recipe is that of CIFAR-100: crop with padding 4, flip, RandAugment, normalise; at
batch size 128. Run ``python benchmarks/augmentation.py``; each figure is the median
over repetitions, which take turns so that a busy machine slows all of them alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from timm.data import auto_augment, create_transform
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import RandomCrop

from daformer_kedro.augmentation.transform import Augmentation
from daformer_kedro.config import AugmentationConfig, PreprocessingConfig

BATCH_SIZE = 128
NUM_BATCHES = 24
NUM_REPETITIONS = 5
POLICY = "rand-m9-mstd0.5-inc1"
PREPROCESSING = PreprocessingConfig((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))


def posterize(image: Image.Image, bits: int, **_: object) -> Image.Image:
    """Pillow 13 refuses 0 bits, which timm's policy draws now and then."""
    return auto_augment.posterize(image, max(bits, 1))


class PillowImages(Dataset):
    """Images through timm's pipeline, as the released recipe builds it."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images
        self.transform = create_transform(
            32,
            is_training=True,
            auto_augment=POLICY,
            interpolation="bicubic",
            mean=PREPROCESSING.mean,
            std=PREPROCESSING.std,
        )
        self.transform.transforms[0] = RandomCrop(32, padding=4)
        for operation in self.transform.transforms[2].ops:
            if operation.name.startswith("Posterize"):
                operation.aug_fn = posterize

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.transform(Image.fromarray(self.images[index]))


def seconds_with_timm(loader: DataLoader) -> float:
    """One pass over the data; workers live on, and the first batch is not counted."""
    batches = iter(loader)
    next(batches)
    start = time.perf_counter()
    for _ in batches:
        pass
    return (time.perf_counter() - start) * NUM_BATCHES / (NUM_BATCHES - 1)


def seconds_with_ours(images: torch.Tensor, num_threads: int) -> float:
    """One pass over the data in batches."""
    torch.set_num_threads(num_threads)
    augment = Augmentation(
        AugmentationConfig(crop_padding=4, horizontal_flip=0.5, rand_augment=POLICY),
        image_size=32,
        preprocessing=PREPROCESSING,
        device=images.device,
    )
    generator = torch.Generator(images.device).manual_seed(0)
    augment(images[:BATCH_SIZE], generator)
    start = time.perf_counter()
    for batch in augment.batches(images.split(BATCH_SIZE), generator):
        result = batch
    result.sum().item()  # waits for an accelerator
    seconds = time.perf_counter() - start
    torch.set_num_threads(1)
    return seconds


def make_images(num: int) -> np.ndarray:
    """Smooth images with noise, (num, 32, 32, 3) uint8."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (num, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return (coarse + rng.normal(0, 12, coarse.shape)).clip(0, 255).astype(np.uint8)


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    num = BATCH_SIZE * NUM_BATCHES
    array = make_images(num)
    images = torch.from_numpy(array.transpose(0, 3, 1, 2).copy())
    data = PillowImages(array)
    single = DataLoader(data, BATCH_SIZE)
    double = DataLoader(data, BATCH_SIZE, num_workers=2, persistent_workers=True)
    runs: dict[str, Callable[[], float]] = {
        "timm, 1 process": lambda: seconds_with_timm(single),
        "timm, 2 workers": lambda: seconds_with_timm(double),
        "ours, 1 thread": lambda: seconds_with_ours(images, 1),
        "ours, 2 threads": lambda: seconds_with_ours(images, 2),
    }
    if torch.cuda.is_available():
        on_gpu = images.cuda()
        runs["ours, GPU"] = lambda: seconds_with_ours(on_gpu, 1)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(NUM_REPETITIONS):
        for name, run in runs.items():
            seconds[name].append(run())
    base = num / statistics.median(seconds["timm, 2 workers"])
    for name, times in seconds.items():
        rate = num / statistics.median(times)
        spread = f"{num / max(times):,.0f} to {num / min(times):,.0f}"
        print(f"{name:16} {rate:10,.0f} images/s ({spread}), {rate / base:5.2f} times")


if __name__ == "__main__":
    main()
