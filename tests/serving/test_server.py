"""The real server of MLflow, asked over HTTP."""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from daformer_kedro.config import MonitorConfig
from daformer_kedro.serving import Classifier
from daformer_kedro.serving.finished_runs import read_newest_run
from daformer_kedro.serving.stream import observed_days, stream_of_table

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the server's request log."""
    return tmp_path_factory.mktemp("served") / "log"


@pytest.fixture(scope="module")
def address(finished: Any, started: Any, free_port: Any, log: Path) -> Iterator[str]:
    """``mlflow models serve`` with the model that the run has logged."""
    (model,) = (finished.path / "mlartifacts" / "models").iterdir()
    port = free_port()
    words = [
        *(sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"),
        *("--model-uri", model / "artifacts", "--port", port),
    ]
    # The server starts programs by their names, as in an activated environment.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "DAFORMER_REQUEST_LOG": str(log)}
    with started(words, cwd=finished.path, env=environment) as server:
        server.answer(f"http://127.0.0.1:{port}/ping")
        yield f"http://127.0.0.1:{port}/invocations"


def ask(address: str, content: Any) -> tuple[int, Any]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    request = urllib.request.Request(
        address, body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture(scope="module")
def digits(finished: Any) -> np.ndarray:
    arrays = finished.folder("02_intermediate") / "images" / "test_images.npy"
    return np.load(arrays)[:12]


def encoded(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0]).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_all_forms_of_a_request_get_the_same_answer(
    address: str, digits: np.ndarray, finished: Any
) -> None:
    tested = finished.folder("07_model_output") / "task_02" / "predictions.parquet"
    stored = pd.read_parquet(tested).set_index("sample_index")["top_1"].astype(str)
    texts = [encoded(pixels) for pixels in digits]
    forms = [
        {"inputs": digits.tolist()},
        {"instances": digits.tolist()},
        {"inputs": texts},
        {"inputs": {"image": texts}},
        {"instances": [{"image": text} for text in texts]},
        {"dataframe_records": [{"image": text} for text in texts]},
        {"dataframe_split": {"columns": ["image"], "data": [[text] for text in texts]}},
    ]
    for form in forms:
        status, answer = ask(address, form)
        assert status == 200, answer
        rows = answer["predictions"]
        assert [row["class_name"] for row in rows] == stored.loc[range(12)].tolist()
        assert 0 < rows[0]["probability_1"] <= 1
        assert rows[0]["task_1"] in (0, 1, 2)
        assert rows[0]["unknown_score"] >= -1e-6


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"inputs": ["bm90aGluZw=="]}, "image 0: cannot be read as an image"),
        ({"inputs": ["!"]}, "image 0 is not base64"),
        ({"inputs": [[1, 2], [3, 4]]}, "shape (2, 2)"),
        ({"inputs": np.full((1, 8, 8, 1), 256).tolist()}, "values from 256 to 256"),
        ({"inputs": []}, "no image was given"),
        ({"dataframe_records": [{"a": 1, "b": 2}]}, "must be in the field 'image'"),
        ({"images": []}, "input"),
        (b"{", "JSON"),
    ],
)
def test_a_bad_request_is_answered_with_400_and_the_reason(
    address: str, content: Any, reason: str
) -> None:
    status, answer = ask(address, content)
    assert status == 400, answer
    assert reason in answer


def test_requests_at_the_same_time_do_not_mix(address: str, digits: np.ndarray) -> None:
    def classes(row: int) -> list[str]:
        status, answer = ask(address, {"inputs": [encoded(digits[row])] * (row + 1)})
        assert status == 200, answer
        return [found["class_name"] for found in answer["predictions"]]

    alone = [classes(row) for row in range(12)]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(classes, range(12)))
    assert together == alone


def test_the_log_of_requests_is_a_stream_to_watch(
    address: str, digits: np.ndarray, finished: Any, log: Path
) -> None:
    def lines() -> int:
        return sum(len(f.read_bytes().splitlines()) for f in log.glob("*.jsonl"))

    before = lines()
    status, answer = ask(address, {"inputs": [encoded(pixels) for pixels in digits]})
    assert status == 200
    status, _ = ask(address, {"inputs": ["no image"]})
    assert status == 400
    assert lines() == before + len(digits)  # bad requests are none of it
    key = finished.folder("06_models").name
    stream = stream_of_table(log, MonitorConfig(), key)
    assert stream.left_out == {}
    days = observed_days(stream.table, [str(digit) for digit in range(10)], "log")
    day = days[max(days)]
    told = [row["class_name"] for row in answer["predictions"]]
    assert day.predicted[-len(digits) :].tolist() == [int(name) for name in told]
    model = read_newest_run(finished.path / "data")
    known = Classifier(model).answer(digits).embeddings
    assert day.embeddings is not None
    assert day.embeddings[-len(digits) :] == pytest.approx(known.numpy(), abs=1e-2)
