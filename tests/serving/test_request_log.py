"""The request log: concurrent writers, limits, and a disk that refuses."""

from __future__ import annotations

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from daformer_kedro.serving import Classifier
from daformer_kedro.serving.classifier import Answers
from daformer_kedro.serving.request_log import VARIABLE, RequestLog, read_lines


@pytest.fixture(scope="module")
def answers(classifier: Classifier) -> Answers:
    pixels = np.zeros((3, *classifier.image_shape), np.uint8)
    return classifier.answer(pixels)


def log_file(folder: Path) -> Path:
    (path,) = folder.glob("requests-*.jsonl")
    return path


def test_a_line_holds_the_answer_and_the_embedding(
    tmp_path: Path, classifier: Classifier, answers: Answers
) -> None:
    table = classifier.table(answers)
    RequestLog(tmp_path / "log", "m").append(table, answers.embeddings)
    path = log_file(tmp_path / "log")
    assert path.stat().st_mode & 0o777 == 0o600
    rows, num_damaged = read_lines(path)
    assert (len(rows), num_damaged) == (3, 0)
    row = rows[0]
    assert set(row) == {
        *("time", "model", "class_1", "probability_1", "unknown_score"),
        *("is_unknown", "embedding"),
    }
    assert row["class_1"] == table["class_1"].iloc[0]
    assert path.name == f"requests-{row['time'][:10]}.jsonl"
    found = np.frombuffer(base64.b64decode(row["embedding"]), "<f2")
    assert np.array_equal(found, answers.embeddings[0].half().numpy())


def test_lines_of_many_writers_stay_whole(
    tmp_path: Path, classifier: Classifier, answers: Answers
) -> None:
    table = classifier.table(answers)

    def write(number: int) -> None:
        RequestLog(tmp_path, f"writer {number}").append(table, answers.embeddings)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    rows, num_damaged = read_lines(log_file(tmp_path))
    assert num_damaged == 0
    assert sorted(r["model"] for r in rows) == sorted(
        f"writer {n}" for n in range(40) for _ in range(3)
    )


def test_a_full_file_takes_no_more_and_the_answer_is_given(
    tmp_path: Path,
    classifier: Classifier,
    answers: Answers,
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = classifier.table(answers)
    log = RequestLog(tmp_path, "m", most_bytes=3000)
    for _ in range(20):
        log.append(table, answers.embeddings)
    path = log_file(tmp_path)
    assert 0 < path.stat().st_size <= 3000
    assert len(read_lines(path)[0]) % 3 == 0  # a request is logged whole or not at all
    assert caplog.text.count("has reached 3000 bytes") == 1


def test_after_a_killed_writer_the_next_line_is_whole(
    tmp_path: Path, classifier: Classifier, answers: Answers
) -> None:
    log, table = RequestLog(tmp_path, "m"), classifier.table(answers)
    log.append(table, answers.embeddings)
    path = log_file(tmp_path)
    os.truncate(path, path.stat().st_size - 9)
    log.append(table, answers.embeddings)
    rows, num_damaged = read_lines(path)
    assert (len(rows), num_damaged) == (5, 1)


def test_a_disk_that_refuses_costs_no_answer(
    tmp_path: Path,
    classifier: Classifier,
    answers: Answers,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, table = RequestLog(tmp_path / "log", "m"), classifier.table(answers)
    log.append(table, answers.embeddings)
    size = log_file(tmp_path / "log").stat().st_size
    write = os.write

    def half(file: int, content: bytes) -> int:
        if len(content) < 20:
            raise OSError(28, "No space left on device")
        return write(file, content[: len(content) // 2])

    monkeypatch.setattr(os, "write", half)
    for _ in range(2):
        log.append(table, answers.embeddings)
    monkeypatch.undo()
    assert log_file(tmp_path / "log").stat().st_size == size
    assert caplog.text.count("No space left on device") == 1
    (tmp_path / "file").write_text("")
    RequestLog(tmp_path / "file", "m").append(table, answers.embeddings)
    assert "cannot be written" in caplog.text


def test_nothing_is_logged_unless_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert RequestLog.from_environment("m") is None
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert RequestLog.from_environment("m") is not None
