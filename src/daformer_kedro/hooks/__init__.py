"""Hooks around the pipelines: checks, the cache, the console, the run log."""

from daformer_kedro.hooks.cache import CacheHooks
from daformer_kedro.hooks.console import ConsoleHooks
from daformer_kedro.hooks.final_model import FinalModelHooks
from daformer_kedro.hooks.guard import GuardHooks
from daformer_kedro.hooks.parent_run import ParentRunHooks
from daformer_kedro.hooks.run_page import RunPageHooks
from daformer_kedro.hooks.server import ServerHooks
from daformer_kedro.hooks.tracking import TrackingHooks

__all__ = [
    "CacheHooks",
    "ConsoleHooks",
    "FinalModelHooks",
    "GuardHooks",
    "ParentRunHooks",
    "RunPageHooks",
    "ServerHooks",
    "TrackingHooks",
]
