"""Kedro's own sessions reuse results as ``kedro run`` does, one run at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.session import KedroServiceSession, KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.runner import ThreadRunner
from kedro.server.http_server import create_http_server
from kedro.server.models import RunRequest
from kedro.utils import load_obj
from PIL import Image

from daformer_kedro import run_state
from daformer_kedro.framework.guard import GuardHooks
from daformer_kedro.usage import UsageError

# What Kedro's parts say of each other.
pytestmark = pytest.mark.filterwarnings("ignore", "error:::daformer_kedro")

Run = Callable[..., Any]


def by_kedro_session(project: Any) -> Run:
    """``KedroSession.create().run()``, as in any script."""

    def run(runner: Any = None, **options: Any) -> Any:
        session = KedroSession.create(project.path, env="test")
        return session.run(runner=runner, **options)

    return run


def by_service_session(project: Any) -> Run:
    """As Kedro's server runs pipelines."""

    def run(runner: Any = None, **options: Any) -> Any:
        session = KedroServiceSession.create(
            project_path=project.path, env="test", serving_mode=True
        )
        runner = runner or load_obj("SequentialRunner", "kedro.runner")()
        return session.run(runner=runner, **options)

    return run


@pytest.fixture(params=[by_kedro_session, by_service_session])
def run(request: pytest.FixtureRequest, project: Any) -> Run:
    project._provide_database()
    bootstrap_project(project.path)
    return request.param(project)


def test_a_session_of_kedro_s_own_reuses_results(
    run: Run, project: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run(pipeline_names=["ingestion"])
    written = {p: (project.path / "data" / p).stat().st_ino for p in project.files()}
    assert written
    capsys.readouterr()
    run(pipeline_names=["ingestion"], only_missing_outputs=True)
    assert "read_images: reused" in (out := capsys.readouterr().out)
    assert "Nothing to do: all" in out
    assert written == {
        p: (project.path / "data" / p).stat().st_ino for p in project.files()
    }
    # The terminal has the same results.
    project.run("ingestion", only_missing_outputs=True)
    assert "Nothing to do: all" in capsys.readouterr().out


def test_mistakes_are_one_message_and_leave_nothing(run: Run, project: Any) -> None:
    with pytest.raises(UsageError, match=r"^--runner ThreadRunner: allowed: Seq"):
        run(ThreadRunner(), pipeline_names=["ingestion"])
    with pytest.raises(UsageError, match=r"^images is needed and not there"):
        run(pipeline_names=["task_02"])
    with pytest.raises(UsageError, match=r"^--load-versions images: no dataset"):
        run(pipeline_names=["ingestion"], load_versions={"images": "1"})
    assert project.files() == set()
    run(pipeline_names=["ingestion"])  # the next one can


def test_a_finished_model_is_used_without_the_images(project: Any) -> None:
    bootstrap_project(project.path)
    session = KedroServiceSession.create(project_path=project.path, env="image_folder")
    with pytest.raises(UsageError, match="no finished run"):
        session.run(
            pipeline_names=["inference"], runtime_params={"inference": {"images": "."}}
        )
    with pytest.raises(UsageError, match=r"source\.path"):
        session.run(pipeline_names=["ingestion"])


def test_a_request_to_the_server_says_where_the_images_are(
    project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kedro's server must not list pipelines before it has seen the request.

    If this fails with a new version of Kedro, see ``list_pipelines_by_request``.
    """
    env = project.path / "conf" / "photos"
    env.mkdir()
    (env / "parameters.yml").write_text(
        "extends: test\nprotocol: photos\n"
        "source: {name: image_folder, path: absent, test_fraction: 0.5}\n"
        "scenario: {increment: 1}\n"
        "preprocessing: {image_size: 8, resize: 8, mean: [0, 0, 0], std: [1, 1, 1]}\n"
    )
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            image = Image.new("RGB", (8, 8), (number, 0, 0))
            image.save(tmp_path / "photos" / name / f"{number}.png")
    project._provide_database()
    app = create_http_server(project_path=project.path, env="photos")
    (run,) = (route.endpoint for route in app.routes if route.path == "/run")
    # As in a process that has just started.
    monkeypatch.setattr(run_state, "_newest", None)
    monkeypatch.setenv("KEDRO_ENV", "photos")

    def ask(**params: Any) -> Any:
        bootstrap_project(project.path)
        run_state._own.set(None)
        return run(RunRequest(pipeline_names=["ingestion"], params=params))

    refused = copy_context().run(ask)
    assert refused.status == "failure"
    assert refused.error.type == "UsageError"
    assert refused.error.message.startswith("source.path = absent: is not a folder")
    answer = copy_context().run(ask, source={"path": str(tmp_path / "photos")})
    assert answer.status == "success"
    assert project.folder("02_intermediate")


class Contexts:
    """Stands for contexts and the calls of Kedro's hooks that a run makes."""

    def __init__(self, guard: GuardHooks, key: str) -> None:
        self._guard = guard
        self._hook_manager = self
        self.hook = self
        self.state = self
        self.run_key = key
        self.handed_over = 0

    def after_context_created(self, context: Any) -> None:
        for _ in self._guard.after_context_created(context):
            self.handed_over += 1

    def begin(self) -> None:
        list(self._guard.before_pipeline_run({"pipeline_names": ["inference"]}))

    def end(self) -> None:
        list(self._guard.after_pipeline_run())


def in_a_thread(action: Callable[[], None]) -> list[Exception]:
    errors: list[Exception] = []

    def act() -> None:
        try:
            action()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    return errors


def test_a_second_run_in_a_process_is_refused_until_the_first_has_ended() -> None:
    guard = GuardHooks()
    first, second = Contexts(guard, "first"), Contexts(guard, "second")
    first.after_context_created(first)
    assert not in_a_thread(lambda: second.after_context_created(second))
    first.begin()  # the hooks had been handed to the other context in between
    assert (first.handed_over, second.handed_over) == (2, 1)
    for action in (second.begin, lambda: second.after_context_created(second)):
        (error,) = in_a_thread(action)
        assert isinstance(error, UsageError)
        assert str(error).startswith("The folder first is being written by this proc")
    first.end()
    assert not in_a_thread(lambda: second.after_context_created(second))
    assert not in_a_thread(second.begin)
