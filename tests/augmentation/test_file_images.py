"""Images that stay files, as batches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from daformer_kedro.augmentation.file_images import FileImages
from daformer_kedro.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten images, each of one grey level that is its number, 20 pixels wide."""
    for number in range(10):
        ramp = np.full((16, 20, 3), number, np.uint8)
        ramp[:, :, 1] = np.arange(20)
        Image.fromarray(ramp).save(tmp_path / f"{number}.png")
    return tmp_path


def files(folder: Path, workers: int = 0, area: tuple[float, float] | None = None):
    paths = np.array([f"{number}.png" for number in range(10)])
    return FileImages(
        folder, paths, image_size=8, resize=8, area=area, num_workers=workers
    )


def numbers(batch: torch.Tensor) -> list[int]:
    return batch[:, 0, 0, 0].tolist()


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_order_whoever_decodes(folder: Path, workers: int) -> None:
    images = files(folder, workers)
    for _ in range(2):
        batches = list(images.test_batches(4))
        assert [len(batch) for batch in batches] == [4, 4, 2]
        assert batches[0].shape[1:] == (3, 8, 8)
        assert batches[0].dtype == torch.uint8
        assert [n for batch in batches for n in numbers(batch)] == list(range(10))
    rows = [torch.tensor([7, 7, 1]), torch.tensor([0])]
    assert [numbers(b) for b in images.random_batches(rows, generator())] == [
        [7, 7, 1],
        [0],
    ]


def test_views_follow_the_generator_and_not_the_workers(folder: Path) -> None:
    rows = [torch.tensor([2, 2, 5]), torch.tensor([2])]
    alone, helped = (
        torch.cat(list(files(folder, n, (0.1, 0.5)).random_batches(rows, generator())))
        for n in (0, 2)
    )
    assert torch.equal(alone, helped)
    assert not torch.equal(alone[0], alone[1])  # the same image, another part of it
    again = files(folder, 0, (0.1, 0.5))
    source = generator()
    first, second = (
        torch.cat(list(again.random_batches(rows, source))) for _ in range(2)
    )
    assert torch.equal(first, alone)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_goes_bad_is_named_in_one_line(folder: Path, workers: int) -> None:
    name = "InputError: 6.png"  # as what a worker's traceback ends in
    (folder / name).write_bytes(b"")
    paths = np.array(["0.png", name])
    images = FileImages(folder, paths, image_size=8, num_workers=workers)
    with pytest.raises(InputError) as caught:
        list(images.test_batches(4))
    start = f"{folder / name}: cannot be read as an image"
    assert str(caught.value).startswith(start)
    assert "\n" not in str(caught.value)


SIGNALLED = """
import multiprocessing, os, signal, sys
from pathlib import Path
import numpy as np
from daformer_kedro.augmentation.file_images import FileImages

paths = np.array([f"{number}.png" for number in range(10)])
images = FileImages(
    Path(sys.argv[1]), paths, image_size=8, resize=8, area=None, num_workers=1
)
batches = images.test_batches(1)
next(batches)
(worker,) = multiprocessing.active_children()
os.kill(worker.pid, signal.SIGTERM)
os.kill(worker.pid, signal.SIGINT)
assert len(list(batches)) == 9
worker.join(60)
assert worker.exitcode == 0, worker.exitcode
"""


def test_a_worker_goes_on_for_a_moment_after_a_signal_to_end(folder: Path) -> None:
    # In a process of its own: other tests leave handlers and threads in this one.
    command = [sys.executable, "-c", SIGNALLED, str(folder)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr


def test_files_are_found_again_from_plain_values(folder: Path) -> None:
    images = files(folder, area=(0.1, 0.5))
    again = FileImages.from_plain(images.to_plain())
    rows = [torch.tensor([2, 5])]
    one, other = (next(i.random_batches(rows, generator())) for i in (images, again))
    assert torch.equal(one, other)
