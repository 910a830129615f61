"""Context of Kedro: pipelines by validated settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext

from daformer_kedro.framework.config_loader import build_pipelines_for
from daformer_kedro.run_state import RunState


class ProjectContext(KedroContext):
    """Makes the state of the session, and builds the pipelines for it.

    Every setting is validated here, before anything is read or run.

    Attributes:
        state: handed to the hooks.
    """

    state: RunState

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        loader = arguments["config_loader"]
        loader.project = Path(arguments["project_path"])
        self.state = build_pipelines_for(loader)
