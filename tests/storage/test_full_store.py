"""A bucket that is full, and one that refuses, as a server of S3 answers by HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daformer_kedro.errors import InputError
from daformer_kedro.storage.checksum import checksum, size
from daformer_kedro.storage.object_store import ObjectStore
from daformer_kedro.storage.record import Provenance, Record, write_record

pytest.importorskip("s3fs")
pytest.importorskip("moto")
# The server and the client of S3 use what their own dependencies deprecate.
pytestmark = pytest.mark.filterwarnings("ignore")

NOON = "2026-01-01T12:00:00+00:00"
ANSWERS = {
    "MinIO's quota": ("400 Bad Request", "XMinioAdminBucketQuotaExceeded"),
    "MinIO's disk": ("507 Insufficient Storage", "XMinioStorageFull"),
    "Ceph's quota": ("403 Forbidden", "QuotaExceeded"),
    "no permission": ("403 Forbidden", "AccessDenied"),
}


class Bucket:
    """A server of S3 that refuses to store more than some bytes.

    Attributes:
        room: bytes that it still takes; ``None`` for as many as come.
        is_closed: whether it also refuses to be read.
        answer: its status and code when they are used up.
        address: of the server.
    """

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import (
            DomainDispatcherApplication,
            create_backend_app,
        )
        from werkzeug.serving import make_server

        self.room: int | None = None
        self.is_closed = False
        self.answer = ANSWERS["MinIO's disk"]
        self._store = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self, threaded=True)
        self.address = f"http://127.0.0.1:{self._server.port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def __call__(self, request: dict[str, Any], respond: Any) -> Iterable[bytes]:
        """Answer a request, as WSGI has it."""
        if self.is_closed:
            return self._refuse(respond)
        if request["REQUEST_METHOD"] in ("PUT", "POST") and self.room is not None:
            length = int(request.get("CONTENT_LENGTH") or 0)
            if length > self.room:
                request["wsgi.input"].read(length)
                return self._refuse(respond)
            self.room -= length
        answer: Iterable[bytes] = self._store(request, respond)
        return answer

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _refuse(self, respond: Any) -> list[bytes]:
        status, code = self.answer
        text = f"<Error><Code>{code}</Code><Message>No more.</Message></Error>"
        respond(status, [("Content-Type", "application/xml")])
        return [text.encode()]


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    """A running server; its bucket is ``results``."""
    import s3fs

    bucket = Bucket()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
            patch.setenv(f"AWS_{name}", "anyone")
        try:
            s3fs.S3FileSystem(endpoint_url=bucket.address).mkdir("results")
            yield bucket
        finally:
            bucket.close()


@pytest.fixture
def store(server: Bucket, tmp_path: Path) -> Iterator[ObjectStore]:
    """The store of a folder, which takes everything in the end."""
    server.room = None
    url = f"s3://results/{tmp_path.name}"
    options = {"endpoint_url": server.address, "skip_instance_cache": True}
    yield ObjectStore(url, tmp_path / "here", options)
    server.is_closed = False


def result(folder: Path, made: str = NOON, **files: bytes) -> Path:
    """A folder of files with its record."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    provenance = Provenance("node", "data", 0, "key", {}, made=made)
    write_record(folder, Record(checksum(folder), size(folder), provenance))
    return folder


def elsewhere(store: ObjectStore, server: Bucket, tmp_path: Path) -> ObjectStore:
    return ObjectStore(store.url, tmp_path / "there", {"endpoint_url": server.address})


@pytest.mark.parametrize("name", ANSWERS)
def test_what_does_not_fit_is_one_message_and_is_sent_later(
    store: ObjectStore, server: Bucket, tmp_path: Path, name: str
) -> None:
    images = result(tmp_path / "here" / "images", one=b"1" * 600, two=b"2" * 600)
    server.room, server.answer = 1000, ANSWERS[name]
    with pytest.raises(InputError, match=r"^cache\.store = 's3://.*/images: ") as error:
        store.send([images])
    said = str(error.value)
    assert "cannot write" in said
    assert "No more." in said
    assert "the same command resumes from it" in said
    assert "\n" not in said
    # One of both files was there. Nobody takes it for the result.
    other = elsewhere(store, server, tmp_path)
    assert other.fetch([tmp_path / "there" / "images"]) == []
    assert not list((tmp_path / "there").rglob("*"))
    server.room = None
    store.send([images])
    (fetched,) = other.fetch([tmp_path / "there" / "images"])
    assert checksum(fetched) == checksum(images)


def test_a_result_that_is_made_again_and_does_not_fit_is_not_mixed_with_the_former(
    store: ObjectStore, server: Bucket, tmp_path: Path
) -> None:
    images = tmp_path / "here" / "images"
    store.send([result(images, one=b"1" * 600, two=b"2" * 600)])
    former = checksum(images)
    result(images, NOON.replace("12:", "13:"), one=b"3" * 600, two=b"4" * 600)
    server.room = 1000
    with pytest.raises(InputError, match="cannot write"):
        store.send([images])
    other = elsewhere(store, server, tmp_path)
    (fetched,) = other.fetch([tmp_path / "there" / "images"])
    assert checksum(fetched) == former
    server.room = None
    store.send([images])
    (fetched,) = other.fetch([tmp_path / "there" / "images"])
    assert checksum(fetched) == checksum(images)


def test_a_store_that_refuses_to_be_read_is_one_message(
    store: ObjectStore, server: Bucket, tmp_path: Path
) -> None:
    store.send([result(tmp_path / "here" / "images", one=b"1")])
    other = elsewhere(store, server, tmp_path)
    server.is_closed, server.answer = True, ANSWERS["no permission"]
    with pytest.raises(
        InputError, match=r"s3://.*: cannot read results/\S+/images: \w"
    ):
        other.fetch([tmp_path / "there" / "images"])
    assert not list((tmp_path / "there").rglob("*"))
    server.is_closed = False
    assert other.fetch([tmp_path / "there" / "images"])


def test_parts_of_a_large_file_do_not_stay_in_a_full_bucket(
    store: ObjectStore, server: Bucket, tmp_path: Path
) -> None:
    import s3fs

    large = b"0" * (101 * 2**20)  # from 100 MiB on it is sent in parts
    folder = result(tmp_path / "here" / "images", one=large)
    server.room = 60 * 2**20
    with pytest.raises(InputError, match="cannot write"):
        store.send([folder])
    server.room = None
    fs = s3fs.S3FileSystem(endpoint_url=server.address)
    assert fs.list_multipart_uploads("results") == []
    assert fs.find(f"results/{tmp_path.name}") == []
