"""A project of its own for tests that run Kedro."""

from __future__ import annotations

import functools
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project
from mlflow.tracking import MlflowClient

ROOT = Path(__file__).parents[1]


@contextmanager
def _own_warnings_are_errors() -> Iterator[None]:
    """What Kedro's and MLflow's parts say of each other is not ours to mend."""
    # MLflow leaves there where this project logs to; the next one must not log there.
    asked = os.environ.get("MLFLOW_TRACKING_URI")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", module="daformer_kedro")
        try:
            yield
        finally:
            os.environ.pop("MLFLOW_TRACKING_URI", None)
            if asked is not None:
                os.environ["MLFLOW_TRACKING_URI"] = asked


@functools.cache
def _empty_database() -> Path:
    path = Path(tempfile.mkdtemp()) / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


class Project:
    """A copy of the project's configuration with a data folder of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        shutil.copytree(ROOT / "conf", path / "conf")
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(ROOT / name, path)
        (path / "src").mkdir()

    def run(
        self, *pipelines: str, env: str = "test", **arguments: Any
    ) -> dict[str, Any]:
        """``kedro run --env ENV --pipelines …``; ``params`` is a nested mapping.

        ``given_database=False`` leaves it to the run to make MLflow's database.
        """
        params = arguments.pop("params", None)
        given_database = arguments.pop("given_database", True)
        with _own_warnings_are_errors():
            if given_database:
                self._provide_database()
            bootstrap_project(self.path)
            with settings.SESSION_CLASS.create(
                self.path, env=env, runtime_params=params
            ) as session:
                return session.run(pipeline_names=list(pipelines) or None, **arguments)

    def parameters(self, env: str = "test", **params: Any) -> dict[str, Any]:
        """The merged parameters of a session, as they were written."""
        with _own_warnings_are_errors():
            return self.context(env, params).config_loader["parameters"]

    def sections(self) -> dict[str, Any]:
        """The parameters as nodes are given them."""
        context = self.context()
        with _own_warnings_are_errors():
            return context.params

    def context(
        self,
        env: str = "test",
        params: dict[str, Any] | None = None,
        conf_source: Path | None = None,
    ) -> Any:
        """The context of a session of this project."""
        with _own_warnings_are_errors():
            self._provide_database()
            bootstrap_project(self.path)
            session = settings.SESSION_CLASS.create(
                self.path, env=env, runtime_params=params, conf_source=conf_source
            )
            return session.load_context()

    def load(self, name: str, env: str = "test") -> Any:
        """An entry of the catalog, with the settings of the environment."""
        context = self.context(env)
        with _own_warnings_are_errors():
            return context.catalog.load(name)

    def _provide_database(self) -> None:
        """A copy of MLflow's empty database, which takes seconds to make."""
        path = self.path / "mlflow.db"
        elsewhere = (self.path / "conf" / "local" / "mlflow.yml").exists()
        if not (path.exists() or elsewhere or "MLFLOW_TRACKING_URI" in os.environ):
            shutil.copy(_empty_database(), path)

    def files(self) -> set[Path]:
        """Every stored result."""
        data = self.path / "data"
        return {f.relative_to(data) for f in data.rglob("*") if f.is_file()}

    def folder(self, layer: str) -> Path:
        """The one result folder of a data layer."""
        (found,) = (f for f in (self.path / "data" / layer).iterdir() if f.is_dir())
        return found

    def copy(self, path: Path) -> Project:
        """A copy of it all at ``path``, which is not there yet; it may be changed."""
        shutil.copytree(self.path, path)
        copy = object.__new__(Project)
        copy.path = path
        self.copy_records(path)
        return copy

    def copy_records(self, path: Path) -> None:
        """Copy MLflow's database to the project at ``path``; artifacts go there too."""
        shutil.copy(self.path / "mlflow.db", path)
        with closing(sqlite3.connect(path / "mlflow.db")) as database, database:
            for table, column in (
                ("experiments", "artifact_location"),
                ("runs", "artifact_uri"),
                ("logged_models", "artifact_location"),
            ):
                database.execute(
                    f"update {table} set {column} = replace({column}, ?, ?)",
                    (str(self.path), str(path)),
                )


def _forget_settings() -> None:
    for name in ("KEDRO_ENV", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        os.environ.pop(name, None)


_forget_settings()  # of whoever started the tests


@pytest.fixture(autouse=True)
def _no_settings_from_other_tests() -> Iterator[None]:
    yield
    _forget_settings()  # before fixtures of the next test, whatever their scope


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A fresh project; nothing has run in it."""
    before = os.getcwd()
    project = Project(tmp_path / "project")
    os.chdir(project.path)
    yield project
    os.chdir(before)


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which nothing is run, for looking at its settings."""
    return Project(tmp_path_factory.mktemp("untouched") / "project")


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which commands run one after another, as a user's."""
    return Project(tmp_path_factory.mktemp("lived_in") / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which the test environment has run once. Not to be changed."""
    project = Project(tmp_path_factory.mktemp("finished") / "project")
    project.run()
    return project


@pytest.fixture(autouse=True)
def _the_finished_project_stays_as_it_is(
    request: pytest.FixtureRequest,
) -> Iterator[None]:
    """Find the test that changes it, before another one stumbles over the change."""
    if "finished" not in request.fixturenames:
        yield
        return
    finished = request.getfixturevalue("finished")
    before = _results_and_records(finished)
    yield
    changed = _results_and_records(finished) ^ before
    assert not changed, f"copy the finished project: {sorted(changed)}"


def _results_and_records(project: Project) -> set[str]:
    with closing(sqlite3.connect(project.path / "mlflow.db")) as database:
        runs = {
            f"run {run}" for (run,) in database.execute("select run_uuid from runs")
        }
    results = [
        *project.path.glob("data/0*/**/*"),
        *project.path.glob("mlartifacts/**/*"),
    ]
    return runs | {str(path.relative_to(project.path)) for path in results}


class Started:
    """A process of a test. With the block it ends, and all that it has started.

    Attributes:
        process: the process; it leads a session of its own.
        log: file with what it writes, unless ``stdout`` is given.
    """

    def __init__(self, words: list[Any], *, cwd: Path, **options: Any) -> None:
        with tempfile.NamedTemporaryFile(delete=False, suffix=".log") as output:
            self.log = Path(output.name)
            options = {"stdout": output, "stderr": subprocess.STDOUT, **options}
            self.process: subprocess.Popen[Any] = subprocess.Popen(
                [str(word) for word in words],
                cwd=cwd,
                start_new_session=True,
                **options,
            )

    def __enter__(self) -> Started:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End everything at once, as a crash would."""
        for pid in [self.process.pid, *self.others()]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate()
        self.log.unlink()

    def others(self) -> list[int]:
        """Numbers of living processes that it or another one of these has started."""
        return [p.pid for p in psutil.process_iter() if self._is_of_session(p)]

    def answer(self, address: str, seconds: float = 240) -> str:
        """The page at ``address``, once there is one.

        Raises:
            AssertionError: the process has ended, or does not answer in time.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(address, timeout=5) as page:
                    return str(page.read().decode())
            except OSError:
                time.sleep(0.2)
        raise AssertionError(f"{address} does not answer: {self.log.read_text()}")

    def _is_of_session(self, process: psutil.Process) -> bool:
        try:
            is_of_session = os.getsid(process.pid) == self.process.pid
            alive = process.status() != psutil.STATUS_ZOMBIE
        except (ProcessLookupError, psutil.NoSuchProcess):
            return False
        return is_of_session and alive and process.pid != self.process.pid


@pytest.fixture(scope="session")
def started() -> type[Started]:
    """``with started(words, cwd=folder) as server``."""
    return Started


def _free_port() -> int:
    """A port below those that the system hands out, which Kedro-Viz may refuse."""
    for port in random.sample(range(20_000, 30_000), 50):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)):
                return port
    raise OSError("none of 50 ports is free")


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Find a port that nothing listens to."""
    return _free_port


_MARK = "DAFORMER_TESTS"


@pytest.fixture(scope="session", autouse=True)
def _nothing_outlives_the_tests() -> Iterator[None]:
    """Find processes that a test has started and not ended; end them, and fail.

    Pools of libraries are children of this process, and end with it by themselves.
    """
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    os.environ[_MARK] = mark  # every process that starts from here on has it
    yield
    children = {child.pid for child in psutil.Process().children(recursive=True)}
    left = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            is_ours = process.environ().get(_MARK) == mark
            words = " ".join(process.cmdline())
            if is_ours and process.pid not in {*children, os.getpid()}:
                left.append(f"{process.pid}: {words}")
                process.kill()
    assert not left, left


class MlflowServer:
    """``mlflow server`` with an artifact folder of its own, on SQLite by default."""

    def __init__(
        self, folder: Path, database: Path | None = None, backend: str | None = None
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.port = _free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.database = database or folder / "server.db"
        self._backend = backend or f"sqlite:///{self.database}"
        self.artifacts = folder / "artifacts"
        self._server: Started | None = None

    def start(self) -> None:
        words = [
            *(sys.executable, "-m", "mlflow", "server"),
            *("--workers", "1" if "sqlite" in self._backend else "2"),
            *("--host", "127.0.0.1", "--port", self.port),
            *("--backend-store-uri", self._backend),
            *("--artifacts-destination", self.artifacts),
        ]
        environment = {k: v for k, v in os.environ.items() if "MLFLOW" not in k}
        environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
        self._server = Started(words, cwd=self.folder, env=environment)
        self._server.answer(f"{self.uri}/health")

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
        self._server = None


@pytest.fixture(scope="session")
def mlflow_server_class() -> type[MlflowServer]:
    """``MlflowServer(folder, backend=uri)``, to start and stop."""
    return MlflowServer


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[MlflowServer]:
    """A running server of its own; it ends with the test."""
    server = MlflowServer(tmp_path / "server")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def compared(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Project, MlflowServer]]:
    """A project with runs of two seeds, and a server that shows them."""
    folder = tmp_path_factory.mktemp("compared")
    project = Project(folder / "project")
    before = os.getcwd()
    os.chdir(project.path)
    for seed in (0, 1):
        project.run(params={"seed": seed})
    os.chdir(before)
    server = MlflowServer(folder / "server", project.path / "mlflow.db")
    try:
        server.start()
        yield project, server
    finally:
        server.stop()
