"""The builder of the image, for tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def builder() -> Any:
    """The module ``builder.py`` of this folder, which is not a package."""
    path = Path(__file__).with_name("builder.py")
    spec = importlib.util.spec_from_file_location("container_builder", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look it up
    spec.loader.exec_module(module)
    return module
