"""Kedro's command line: how to repeat a run, and how a mistake is shown."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import click

from daformer_kedro.errors import InputError


class UsageError(click.ClickException, InputError):
    """An :class:`InputError` that a command line shows as one message."""


def run_command(env: str | None, overrides: Mapping[str, Any]) -> str:
    """Return what to type for a run with these settings.

    Args:
        env: the Kedro environment; ``None`` for the default one.
        overrides: the parameters given for this run, nested.
    """
    argv = ["kedro", "run"]
    if env:
        argv += ["--env", env]
    if overrides:
        argv += ["--params", ",".join(dotted(overrides))]
    return shlex.join(argv)


def dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Iterate over nested parameters as ``--params`` takes them: ``a.b=1``."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            yield f"{prefix}{key}={text}"
