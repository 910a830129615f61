"""Usage data is sent only where a project says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kedro_telemetry.plugin import _check_for_telemetry_consent

from daformer_kedro.framework.telemetry import keep_telemetry_off


@pytest.mark.parametrize(
    ("said", "sends"), [(None, False), ("false", False), ("true", True)]
)
def test_no_word_is_no_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, sends: bool
) -> None:
    for name in ("DO_NOT_TRACK", "KEDRO_DISABLE_TELEMETRY", "GITHUB_REPOSITORY_OWNER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    if said is not None:
        (tmp_path / ".telemetry").write_text(f"consent: {said}\n")
    keep_telemetry_off()
    consent = _check_for_telemetry_consent(tmp_path)  # None is taken for consent
    assert consent is sends
    os.environ.pop("KEDRO_DISABLE_TELEMETRY", None)
