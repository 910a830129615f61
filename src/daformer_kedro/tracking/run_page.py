"""Pages of MLflow that show the runs."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import click
from kedro.framework.hooks import hook_impl
from rich.console import Console

from daformer_kedro.run_state import StateHooks
from daformer_kedro.tracking.client import TrackingClient
from daformer_kedro.usage import UsageError

PAGES_VARIABLE = "DAFORMER_MLFLOW_PAGES"
"""Variable with the address of MLflow's pages where users see the server elsewhere than
its clients do, as from outside of containers."""

# MLflow 3.17's pages ask the address, not the tag, which of their two menus to show.
_MENU = "?workflowType=machine_learning"
_LOCAL = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses of this machine for the addresses of all machines."""


class RunPageHooks(StateHooks):
    """Prints where a run is shown."""

    def __init__(self, console: Console, client: TrackingClient) -> None:
        self._console = console
        self._client = client
        self._mlflow: Any = None
        self._pages: str | None = None

    @hook_impl(trylast=True)
    def after_context_created(self, context: Any) -> None:
        """Name the page of the training runs if the command is ``kedro mlflow ui``.

        Raises:
            UsageError: the variable of the pages' address holds something else.
        """
        super().after_context_created(context)
        self._mlflow = context.mlflow
        self._pages = os.environ.get(PAGES_VARIABLE) or None
        if self._pages and urlsplit(self._pages).scheme not in ("http", "https"):
            raise UsageError(
                f"{PAGES_VARIABLE} = {self._pages!r}: allowed: the address of MLflow's "
                "pages, such as http://127.0.0.1:5000"
            )
        command = click.get_current_context(silent=True)
        if command is not None and command.command_path.endswith("mlflow ui"):
            page = self._page("", command.params)
            if self._client.experiment and page is not None:
                self._print(f"Training runs: {page}")

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Print the address of the run's page."""
        run = self._client.runs.get(None)
        page = None if run is None else self._page(run, {})
        if page is not None:
            server = self._mlflow.server.mlflow_tracking_uri
            command = (
                "kedro mlflow ui"
                if self.state.is_in_project
                else f"mlflow ui --backend-store-uri {server}"
            )
            shown_by = "" if server.startswith("http") else f"  (with {command})"
            self._print(f"\nThis run: {page}{shown_by}")

    def _page(self, run: str, given: dict[str, Any]) -> str | None:
        server, ui = self._mlflow.server.mlflow_tracking_uri, self._mlflow.ui
        host, port = given.get("host") or ui.host, given.get("port") or ui.port
        if server.startswith("http"):
            server = self._pages or server
        return runs_page(server, host, port, self._client.experiment, run)

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def runs_page(
    server: str, host: str, port: str, experiment: str, run: str = ""
) -> str | None:
    """Return the address of a run's page, or of the list of an experiment's runs.

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
    page = f"/#/experiments/{experiment}/runs/{run}".rstrip("/") + _MENU
    if server.startswith("databricks"):
        return None
    parts = urlsplit(server)
    if parts.scheme in ("http", "https"):
        place = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{place}{parts.path.rstrip('/')}{page}"
    host = _LOCAL.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{page}"
