"""The run log in MLflow: hooks that write it, and the client they write with."""

from daformer_kedro.tracking.final_model import FinalModelHooks
from daformer_kedro.tracking.parent_run import ParentRunHooks
from daformer_kedro.tracking.run_page import RunPageHooks
from daformer_kedro.tracking.server import ServerHooks
from daformer_kedro.tracking.task_runs import TrackingHooks

__all__ = [
    "FinalModelHooks",
    "ParentRunHooks",
    "RunPageHooks",
    "ServerHooks",
    "TrackingHooks",
]
