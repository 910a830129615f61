"""The image, built step by step into a folder and used as a container.

Needs root, debootstrap, bubblewrap, Debian's mirror, PyPI and 15 GB, and takes ten
minutes: ``make image-test``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

VARIABLE = "DAFORMER_IMAGE"
"""Names the folder for the file systems; its ``base`` is used again."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def image(builder: Any) -> Any:
    """The image for CUDA, whose packages are all on PyPI; it computes on CPUs too."""
    if VARIABLE not in os.environ:
        pytest.skip(f"the image is not built: make image-test, or set {VARIABLE}")
    missing = [p for p in ("debootstrap", "bwrap") if shutil.which(p) is None]
    if missing or os.getuid() != 0:
        pytest.skip(f"needs root, debootstrap and bubblewrap; missing: {missing}")
    folder = Path(os.environ[VARIABLE])
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / "base"
    if not base.exists():
        packages = "--include=python3,python3-venv,ca-certificates"
        made = folder / "base.part"
        words = ["debootstrap", "--variant=minbase", packages, "bookworm", made]
        subprocess.run(words, check=True)
        made.rename(base)
    for stage in ("build", "last"):
        shutil.rmtree(folder / stage, ignore_errors=True)
    return builder.build(base, folder, DEVICE="cuda")


def test_a_run_as_another_user_writes_to_the_volumes_alone(image: Any) -> None:
    assert image.user == "daformer"
    assert image.run("id", "-u").strip() == "1000"
    said = image.run("kedro", "run", "--env", "test", OMP_NUM_THREADS="1")
    assert "Last accuracy" in said
    assert "WARNING" not in said, said
    written = image.root / "project" / "data"
    assert list(written.glob("08_reporting/*/report.html"))
    assert (image.root / "project" / "mlartifacts" / "mlflow.db").exists()
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(written / "image.png")
    said = image.run("python", "-m", "daformer_kedro", "predict", "data/image.png")
    assert "image.png" in said
    assert "Read-only" in image.run("touch", "/project/x", status=1)


def test_nothing_but_the_project_is_in_it(image: Any) -> None:
    here = {path.name for path in (image.root / "project").iterdir()}
    assert here == {
        *("conf", "src", "data", "mlartifacts", "LICENSE", "README.md", ".telemetry"),
        *("pyproject.toml", "requirements.lock", "requirements-dev.lock"),
    }
    assert not (image.root / "tmp" / "uv").exists()
    assert image.run("kedro", "--version")
    image.run("python", "-c", "import boto3, psycopg2, s3fs, pillow_heif")
