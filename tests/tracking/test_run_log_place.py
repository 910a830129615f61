"""The run log lies in the project, wherever its settings come from."""

from __future__ import annotations

import shutil
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pytest

# Kedro calls what OmegaConf gives up.
pytestmark = pytest.mark.filterwarnings("ignore:register_new_resolver")


@pytest.fixture(params=["folder", "archive"])
def conf_elsewhere(
    project: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> Path:
    """The project's settings outside of it, also as ``kedro package`` packs them."""
    conf = tmp_path / "elsewhere" / "conf"
    shutil.move(project.path / "conf", conf)
    if request.param == "folder":
        return conf
    archive = tmp_path / "elsewhere" / "conf.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(conf, "conf")
    return archive


def test_settings_from_elsewhere_leave_the_log_in_the_project(
    project: Any, conf_elsewhere: Path
) -> None:
    context = project.context(
        params={"source": {"cache_size": None}}, conf_source=conf_elsewhere
    )
    place = context.mlflow.tracking.experiment._experiment.artifact_location
    assert place == (project.path / "mlartifacts").as_uri()
    with sqlite3.connect(project.path / "mlflow.db") as rows:
        names = {name for (name,) in rows.execute("select name from experiments")}
    assert "daformer" in names
    copies = context.config_loader["catalog"]["folder_of_copies"]["data"]
    assert Path(copies).is_relative_to(project.path / "data")
    assert not list(conf_elsewhere.parent.rglob("mlflow.db"))


def test_a_project_of_any_name_has_its_log_beside_its_conf(
    tmp_path: Path, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "O'Brien's 100% ä:b a%20b?c#d"
    here = tmp_path / name
    project.path.rename(here)
    project.path = here
    monkeypatch.chdir(here)
    project.run("ingestion", given_database=False)
    with sqlite3.connect(here / "mlflow.db") as rows:
        assert rows.execute("select status from runs").fetchall() == [("FINISHED",)]
        places = rows.execute("select artifact_location from experiments").fetchall()
    root = (here / "mlartifacts").as_uri()
    assert {place for (place,) in places} == {root, f"{root}/0"}
    assert {path.name for path in tmp_path.iterdir()} == {name}
