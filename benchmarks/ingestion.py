"""Seconds and memory of listing many image files, as ``kedro run`` does first.

    python benchmarks/ingestion.py --files 200000 --classes 1000

Makes a tree of small JPEG files (some hundred different ones, copied) in a temporary
folder. A process of its own then does what the first steps of a run do: it takes the
folder's fingerprint, lists the files and looks at each, stores the index and reads it
again, and divides it into ten tasks. Printed are the seconds of each, and the largest
resident set of that process together with the workers that it starts.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

_NUM_DISTINCT = 300
_TEST_SHARE = 20  # one file in so many
_NUM_TASKS = 10


def make_tree(root: Path, num_files: int, num_classes: int) -> None:
    """``train`` and ``test`` with one folder per class."""
    generator = np.random.default_rng(0)
    encoded = []
    for _ in range(_NUM_DISTINCT):
        height, width = generator.integers(40, 90, 2)
        pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=60)
        encoded.append(buffer.getvalue())
    for number in range(num_files):
        label, place = number % num_classes, number // num_classes
        split = "test" if place % _TEST_SHARE == 0 else "train"
        folder = root / split / f"class_{label:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        content = encoded[number % _NUM_DISTINCT] + number.to_bytes(4, "little")
        (folder / f"{place:06d}.jpg").write_bytes(content + b"\xff\xd9")


def ingest_tree(root: Path) -> dict[str, float]:
    """Ingest the tree in this process; seconds of each step."""
    # Not at the top: workers import this file, as they do the command kedro, which is
    # light, while Kedro's datasets and torch would count in every one of them.
    from daformer_kedro.config import SourceConfig
    from daformer_kedro.datasets import ImagesDataset
    from daformer_kedro.reuse.source_files import describe_files
    from daformer_kedro.scenario.samples import samples_of_task
    from daformer_kedro.scenario.sources import read_source
    from daformer_kedro.scenario.tasks import split_tasks

    times = [time.perf_counter()]
    describe_files(root)
    times.append(time.perf_counter())
    config = SourceConfig(name="image_folder", path=str(root))
    images = read_source(config, image_size=224, resize=256)
    num_files = len(images.train_labels) + len(images.test_labels)
    times.append(time.perf_counter())
    with tempfile.TemporaryDirectory() as folder:
        index = ImagesDataset(filepath=f"{folder}/images")
        index.save(images)
        images = index.load()
    times.append(time.perf_counter())
    num_classes = images.num_classes
    sizes = np.diff(np.linspace(0, num_classes, _NUM_TASKS + 1).astype(int))
    samples = split_tasks(images, range(num_classes), sizes)
    names = dict(enumerate(images.class_names))
    samples["class_name"] = samples["target"].map(names)
    tables = [samples_of_task(samples, task) for task in range(_NUM_TASKS)]
    assert sum((table["split"] == "train").sum() for table in tables) < num_files
    times.append(time.perf_counter())
    steps = ("fingerprint", "list and look", "index", "tasks")
    seconds = dict(zip(steps, np.diff(times).tolist(), strict=True))
    return {"files": num_files, **seconds}


def largest_memory(running: subprocess.Popen[str]) -> float:
    """Largest sum of resident sets of a process and all below it, in MiB."""
    largest = 0
    while running.poll() is None:
        try:
            top = psutil.Process(running.pid)
            tree = [top, *top.children(recursive=True)]
            largest = max(largest, sum(p.memory_info().rss for p in tree))
        except psutil.NoSuchProcess:
            pass  # one has ended in between
        time.sleep(0.1)
    return largest / 2**20


def main() -> None:
    """Print one row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--list", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.list:
        print(json.dumps(ingest_tree(options.list)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_tree(Path(folder), options.files, options.classes)
        words = [sys.executable, __file__, "--list", folder]
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, encoding="utf-8"
        ) as running:
            mebibytes = largest_memory(running)
            found = json.loads(running.communicate()[0])
    steps = [name for name in found if name != "files"]
    total = sum(found[name] for name in steps)
    cells = {
        "files": f"{found['files']:,}",
        "seconds": f"{total:.0f}",
        **{name: f"{found[name]:.1f} s" for name in steps},
        "memory, workers included": f"{mebibytes:.0f} MiB",
        "cores": str(os.cpu_count()),
    }
    print("| " + " | ".join(cells) + " |")
    print("| --- " * len(cells) + "|")
    print("| " + " | ".join(cells.values()) + " |")


if __name__ == "__main__":
    main()
