"""Commands import what they use: what they do not use would take seconds of each.

Times depend on the machine, so names are checked. `python -X importtime -m
daformer_kedro predict --help` shows who imports what.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
# Each takes between a third of a second and several.
UNUSED = {"continuum", "matplotlib", "onnx", "ray", "sklearn", "timm", "torchvision"}
UNUSED |= {"sqlalchemy", "torch._dynamo", "torch._inductor", "triton"}
# Kedro imports kedro-mlflow's commands, and with them MLflow, for its own commands.
UNUSED_BY_PREDICT = UNUSED | {"kedro.framework.cli", "mlflow", "scipy"}

_RUN = """
import json, sys
from {module} import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
sys.stderr.write("\\n" + json.dumps(sorted(sys.modules)))
"""


def imported(module: str, *arguments: str, cwd: Path = ROOT) -> set[str]:
    """Modules that a command has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN.format(module=module), *arguments],
        cwd=cwd,
        env={**os.environ, "KEDRO_LOGGING_CONFIG": str(ROOT / "conf/logging.yml")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_predict_imports_what_it_uses(finished: Any, tmp_path: Path) -> None:
    arrays = finished.folder("02_intermediate") / "images" / "test_images.npy"
    image = tmp_path / "digit.png"
    Image.fromarray(np.load(arrays)[0, ..., 0]).save(image)

    modules = imported(
        "daformer_kedro.__main__", "predict", str(image), cwd=finished.path
    )

    assert "daformer_kedro.serving.prediction" in modules
    assert modules & UNUSED_BY_PREDICT == set()


def test_listing_the_pipelines_imports_what_it_uses() -> None:
    modules = imported("kedro.framework.cli", "registry", "list")

    assert "daformer_kedro.pipeline_registry" in modules
    assert modules & UNUSED == set()
