"""JSON files hold numbers that any reader of JSON takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kedro.io import DataCatalog, DatasetError


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def test_every_json_file_of_a_run_is_strict_json(finished: Any) -> None:
    files = list(Path(finished.path, "data").rglob("*.json"))
    names = {file.name for file in files}
    assert {"metrics.json", "confidence.json", "scenario.json"} <= names
    for file in files:
        json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse)


def test_a_number_that_is_none_is_refused(untouched: Any, tmp_path: Path) -> None:
    catalog = yaml.safe_load((untouched.path / "conf/base/catalog.yml").read_text())
    kinds = [entry.get("dataset") for entry in catalog.values()]
    kinds = [k for k in kinds if isinstance(k, dict) and "JSON" in k["type"]]
    assert len(kinds) > 5
    for kind in kinds:
        assert kind == kinds[0]
    config = kinds[0] | {"filepath": str(tmp_path / "metrics.json")}
    dataset = DataCatalog.from_config({"metrics": config})["metrics"]
    with pytest.raises(DatasetError, match="not JSON compliant"):
        dataset.save({"accuracy": float("nan")})
