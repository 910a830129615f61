"""Dockerfile and compose.yaml agree with the rest of the project."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SERVICES = ["postgres", "minio", "buckets", "mlflow", "train"]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def steps(builder: Any) -> list[tuple[str, str]]:
    """Instructions of the Dockerfile, in order."""
    return list(builder.instructions(read("Dockerfile")))


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """Services of ``compose.yaml``, with what they share merged into each."""
    found: dict[str, Any] = yaml.safe_load(read("compose.yaml"))["services"]
    return found


def test_versions_are_those_of_the_project(steps: list[tuple[str, str]]) -> None:
    given = dict(rest.split("=") for name, rest in steps if name == "ARG")
    (uv,) = re.findall(r"^UV_VERSION := (\S+)", read("Makefile"), re.M)
    assert given["UV_VERSION"] == uv
    assert given["DEVICE"] == "cpu"
    # The locks are made for this version of Python and newer ones.
    assert re.fullmatch(r"3\.11\.\d+-slim-bookworm", given["PYTHON"])
    assert read("Makefile").count("--python-version 3.11") == 2
    assert [rest for name, rest in steps if name == "FROM"] == [
        "python:${PYTHON} AS build",
        "python:${PYTHON}",
    ]


def test_what_the_image_installs_is_pinned() -> None:
    pins, all_pins = (
        {line.partition(" ")[0] for line in read(name).splitlines()}
        for name in ("requirements.lock", "requirements-dev.lock")
    )
    assert pins <= all_pins
    names = {canonicalize_name(Requirement(pin).name) for pin in all_pins}
    extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    wanted = re.findall(r"--extra (\S+)", read("docker/install.sh"))
    assert wanted == ["heif", "s3", "server"]
    for extra in wanted:
        for requirement in extras[extra]:
            assert canonicalize_name(Requirement(requirement).name) in names


def test_the_image_gets_nothing_but_the_project(
    builder: Any, steps: list[tuple[str, str]]
) -> None:
    kept = ["conf/base/catalog.yml", "conf/local/.gitkeep", "src/daformer_kedro/cli.py"]
    left_out = [
        *("conf/local/credentials.yml", ".env", "mlflow.db", "data/a/b", ".git/config"),
        *("src/daformer_kedro/__pycache__/a.pyc", "src/a.egg-info/b", "tests/a.py"),
    ]
    assert builder.sent([*kept, *left_out]) == set(kept)
    copied = [shlex.split(rest)[:-1] for name, rest in steps if name == "COPY"]
    names = {word for words in copied for word in words if words[0][0] != "-"}
    found = [p for name in names for p in [ROOT / name, *(ROOT / name).rglob("*")]]
    assert all((ROOT / name).exists() for name in names)
    files = {p.relative_to(ROOT).as_posix() for p in found if p.is_file()}
    assert not [
        n for n in names if not any(f.startswith(n) for f in builder.sent(files))
    ]


def test_it_ends_as_a_user_without_rights(steps: list[tuple[str, str]]) -> None:
    assert [name for name, _ in steps][-2:] == ["USER", "CMD"]
    assert steps[-2][1] == "daformer"
    assert steps[-1][1] == '["kedro", "run"]'


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dependencies"], "DEVICE = 'tpu' is not possible: cpu or cuda"),
        (["other"], "install.sh dependencies, project or user"),
    ],
)
def test_a_wrong_step_or_device_installs_nothing(
    words: list[str], message: str
) -> None:
    done = subprocess.run(
        ["sh", ROOT / "docker" / "install.sh", *words],
        env={"DEVICE": "tpu", "PATH": "/usr/bin:/bin"},
        stderr=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (2, message)


def test_services_wait_for_what_can_tell_that_it_is_there(
    services: dict[str, Any],
) -> None:
    assert list(services) == SERVICES
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            healthy = how["condition"] == "service_healthy"
            assert healthy == ("healthcheck" in services[other]), (name, other)
        if "build" not in service:
            assert re.search(r":[\w.-]*\d", service["image"]), name  # a version
    assert services["train"]["profiles"] == ["train"]


@pytest.mark.filterwarnings("ignore")  # MLflow uses what SQLAlchemy deprecates
def test_commands_of_services_exist(
    services: dict[str, Any], steps: list[tuple[str, str]]
) -> None:
    from mlflow.cli import server as mlflow_server

    program, command, *options = services["mlflow"]["command"]
    assert (program, command) == ("mlflow", "server")
    known = {name for option in mlflow_server.params for name in option.opts}
    assert {option.partition("=")[0] for option in options} <= known
    variables = {str(option.envvar) for option in mlflow_server.params}
    assert "MLFLOW_BACKEND_STORE_URI" in variables
    _, script, *buckets = services["buckets"]["command"]
    assert ("COPY", f"docker/make_buckets.py {script}") in steps
    assert f"--artifacts-destination=s3://{buckets[0]}" in options
    assert services["train"]["command"] == ["kedro", "run"]


def test_secrets_have_no_default_and_ports_are_this_machine_s(
    services: dict[str, Any],
) -> None:
    asked = re.findall(r"\$\{(\w+)([^}]*)\}", read("compose.yaml"))
    assert {default for _, default in asked} == {":?set it in .env"}
    example = [line for line in read(".env.example").splitlines() if line[:1] != "#"]
    assert {f"{name}=" for name, _ in asked} == set(example)
    assert ".env" in [line.strip("/") for line in read(".gitignore").splitlines()]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:5000:5000"]
    for name in ("postgres", "minio", "buckets"):
        assert services[name]["networks"] == ["servers"]
    assert yaml.safe_load(read("compose.yaml"))["networks"]["servers"]["internal"]


def test_the_first_process_of_each_container_heeds_signals(
    services: dict[str, Any],
) -> None:
    """Linux keeps signals from a first process that has not asked for them."""
    texts = [read(str(path)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))]
    runs = re.findall(r"docker run (?:\\\n|[^\n])+", "\n".join(texts))
    assert len(runs) == 3
    assert all(" --init " in run for run in runs)
    assert {n for n, service in services.items() if service.get("init")} == {
        *("buckets", "mlflow", "train"),
    }


def test_a_run_names_the_page_that_this_machine_sees(services: dict[str, Any]) -> None:
    pages = services["train"]["environment"]["DAFORMER_MLFLOW_PAGES"]
    (port,) = services["mlflow"]["ports"]
    assert pages == f"http://{port.rpartition(':')[0]}"


def test_gpus_are_for_trainings_alone(services: dict[str, Any]) -> None:
    changed = yaml.safe_load(read("compose.cuda.yaml"))["services"]
    assert list(changed) == ["train"]
    assert changed["train"]["build"]["args"] == {"DEVICE": "cuda"}
    assert changed["train"]["image"] != services["train"]["image"]
