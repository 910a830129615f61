"""The pages of MLflow that show a run: their kind, and the address of the run's own."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import click
import mlflow
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from mlflow.tracking import MlflowClient
from rich.console import Console

from daformer_kedro.tracking.logbook import LOGBOOK

_KIND = "mlflow.experimentKind"
_TRAINING = "custom_model_development"
_CHOSEN_BY_USER = ("genai_development", _TRAINING)
# MLflow 3.17's pages ask the address, not the tag, which of their two menus to show.
_MENU = "?workflowType=machine_learning"


class RunPageHooks:
    """Opens the experiment on its training runs, and says where a run is shown."""

    def __init__(self) -> None:
        self._console = Console()
        self._mlflow: Any = None
        self._run: tuple[str, str] | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Say to MLflow that models are trained here, not language models tried.

        ``kedro mlflow ui`` names the page that shows them.
        """
        self._mlflow = getattr(context, "mlflow", None)
        if self._mlflow is None:
            return
        LOGBOOK.attempt(lambda: set_kind(self._mlflow.tracking.experiment.name))
        command = click.get_current_context(silent=True)
        if command is not None and command.command_path.endswith("mlflow ui"):
            given = {k: v for k, v in command.params.items() if v is not None}
            LOGBOOK.attempt(lambda: self._name_experiment(given))

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Note which run was opened, if one was."""
        active = mlflow.active_run()
        info = None if active is None else active.info
        self._run = None if info is None else (info.experiment_id, info.run_id)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Print the address of the run's page."""
        if self._run is None or self._mlflow is None:
            return
        server = self._mlflow.server.mlflow_tracking_uri or ""
        ui = self._mlflow.ui
        address = runs_page(server, ui.host, ui.port, *self._run)
        if address is not None:
            shown_by = "" if server.startswith("http") else "  (with kedro mlflow ui)"
            self._print(f"\nThis run: {address}{shown_by}")

    def _name_experiment(self, given: dict[str, str]) -> None:
        server = self._mlflow.server.mlflow_tracking_uri or ""
        ui = {"host": self._mlflow.ui.host, "port": self._mlflow.ui.port, **given}
        found = MlflowClient().get_experiment_by_name(
            self._mlflow.tracking.experiment.name
        )
        if found is not None:
            page = runs_page(server, ui["host"], ui["port"], found.experiment_id)
            self._print(f"Training runs: {page}")

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def set_kind(experiment: str) -> None:
    """Have MLflow open an experiment on its training runs.

    Without the tag MLflow guesses, and writes down what it guessed; that is replaced,
    what a user has chosen is not.
    """
    client = MlflowClient()
    found = client.get_experiment_by_name(experiment)
    if found is not None and found.tags.get(_KIND) not in _CHOSEN_BY_USER:
        client.set_experiment_tag(found.experiment_id, _KIND, _TRAINING)


def runs_page(
    server: str, host: str, port: str, experiment: str, run: str = ""
) -> str | None:
    """Address of a run's page, or of the list of all runs of an experiment.

    Args:
        server: MLflow's tracking URI. A web server shows its runs itself, and a login
            in its URI is left out; a database is shown by ``kedro mlflow ui``.
        host: where that listens; for all addresses of this machine the local one is
            given.
        port: its port.
        experiment: id of the experiment.
        run: id of the run; empty for all.

    Returns:
        ``None`` where no page is known, as on Databricks.
    """
    path = f"/#/experiments/{experiment}/runs/{run}".rstrip("/") + _MENU
    parts = urlsplit(server)
    if parts.scheme in ("http", "https"):
        place = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", "")) + path
    if parts.scheme.startswith("databricks") or server.startswith("databricks"):
        return None
    return f"http://{_reachable(host)}:{port}{path}"


def _reachable(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        address = ip_address("::1" if address.version == 6 else "127.0.0.1")
    return f"[{address}]" if address.version == 6 else str(address)
