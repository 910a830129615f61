"""Steps on machines that share nothing but an object store."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.storage.checksum import checksum

STORE = {"cache": {"store": "memory://results"}}


@pytest.fixture
def elsewhere(finished: Any, tmp_path: Path) -> Any:
    """Another machine: the same project, and no results."""
    return type(finished)(tmp_path / "elsewhere")


@pytest.fixture
def s3(
    started: Any, free_port: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A server of S3 with one bucket; its address."""
    pytest.importorskip("moto")
    s3fs = pytest.importorskip("s3fs")
    for name, value in (("ACCESS_KEY_ID", "me"), ("SECRET_ACCESS_KEY", "secret")):
        monkeypatch.setenv(f"AWS_{name}", value)
    address = f"http://127.0.0.1:{free_port()}"
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1"]
    with started([*words, "-p", address.rpartition(":")[2]], cwd=tmp_path) as server:
        server.answer(f"{address}/moto-api/")
        s3fs.S3FileSystem(endpoint_url=address).mkdir("results")
        yield address


def test_steps_on_two_machines_end_with_the_bytes_of_one_run(
    copy: Any, elsewhere: Any, finished: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    fsspec.filesystem("memory").store.clear()
    # Everything is reused here, and so is copied all the same.
    assert copy.again("ingestion", "task_00", "task_01", params=STORE) == set()
    elsewhere.run("task_02", "evaluation", params=STORE)
    for path in ("06_models/*/task_02/checkpoint.safetensors", "08_*/*/metrics.json"):
        (made,) = (elsewhere.path / "data").glob(path)
        (wanted,) = (finished.path / "data").glob(path)
        assert made.read_bytes() == wanted.read_bytes()
    assert not list((elsewhere.path / "data").glob("06_models/*/task_00/trained*"))
    # Back here its results are found, and nothing is computed again.
    for layer in ("06_models", "08_reporting"):
        for path in (copy.path / "data" / layer).glob("*/task_02/*"):
            path.unlink()
    assert copy.again("task_02", params=STORE) == set()


def test_a_store_that_refuses_ends_the_run_in_one_message(
    elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = type(fsspec.filesystem("memory"))

    def refuse(*_: Any) -> None:
        raise PermissionError("Access Denied")

    with monkeypatch.context() as patch:
        patch.setattr(memory, "put_file", refuse)
        with pytest.raises(
            InputError,
            match=r"cache\.store = 'memory://results': cannot write .*Denied",
        ):
            elsewhere.run("ingestion", params=STORE)
    kept = {path: checksum(path) for path in (elsewhere.path / "data").rglob("*.npy")}
    assert kept
    elsewhere.run("ingestion", params=STORE)
    assert {path: checksum(path) for path in kept} == kept


@pytest.mark.slow
def test_a_server_of_s3(s3: str, elsewhere: Any, copy: Any) -> None:
    store = {"cache": {"store": "s3://results/team/a"}}
    for project in (elsewhere.path, copy.path):
        (project / "conf" / "local" / "credentials.yml").write_text(
            f"store: {{endpoint_url: '{s3}'}}\n", encoding="utf-8"
        )
    assert copy.again("ingestion", "task_00", params=store) == set()
    elsewhere.run("ingestion", "task_00", params=store, only_missing_outputs=True)
    for path in (elsewhere.path / "data" / "06_models").rglob("*.safetensors"):
        wanted = copy.path / path.relative_to(elsewhere.path)
        assert path.stat().st_mtime_ns > wanted.stat().st_mtime_ns  # fetched, not made
        assert path.read_bytes() == wanted.read_bytes()
    wrong = {"cache": {"store": "s3://no-such-bucket/x"}}
    with pytest.raises(
        InputError, match=r"cannot write no-such-bucket.*bucket does not"
    ):
        copy.again("ingestion", params=wrong)
