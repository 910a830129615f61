"""Seconds and memory of listing many image files, as ``kedro run`` does first.

    python benchmarks/ingestion.py --files 200000 --classes 1000

Makes a tree of small JPEG files (some hundred different ones, copied) in a temporary
folder, lists and looks at them in a process of its own, and prints the time and the
largest resident set of that process together with the workers that it starts.
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

from daformer_kedro.config import SourceConfig
from daformer_kedro.scenario.sources import read_source

_NUM_DISTINCT = 300
_TEST_SHARE = 20  # one file in so many


def make_tree(root: Path, num_files: int, num_classes: int) -> None:
    """``train`` and ``test`` with a folder a class."""
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


def list_tree(root: Path) -> dict[str, float]:
    """List the tree in this process."""
    started = time.perf_counter()
    config = SourceConfig(name="image_folder", path=str(root))
    images = read_source(config, image_size=224, resize=256)
    return {
        "files": len(images.train_labels) + len(images.test_labels),
        "seconds": time.perf_counter() - started,
    }


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
        print(json.dumps(list_tree(options.list)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_tree(Path(folder), options.files, options.classes)
        words = [sys.executable, __file__, "--list", folder]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
            mebibytes = largest_memory(running)
            found = json.loads(running.communicate()[0])
    print("| files | seconds | files a second | memory, workers included | cores |")
    print("| --- " * 5 + "|")
    print(
        f"| {found['files']:,} | {found['seconds']:.0f} | "
        f"{found['files'] / found['seconds']:,.0f} | {mebibytes:.0f} MiB | "
        f"{os.cpu_count()} |"
    )


if __name__ == "__main__":
    main()
