"""``kedro run`` as Kedro has it, with an exit status of what a stream of images says.

A runner that cannot be used is one message.
"""

from __future__ import annotations

import copy
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run

from daformer_kedro.errors import InputError
from daformer_kedro.framework.selection import check_runner
from daformer_kedro.pipelines.naming import DAYS_DIFFER, DAYS_TESTED
from daformer_kedro.usage import UsageError

DIFFERS_STATUS = 3
"""Exit status where the pipeline ``monitor`` finds days that differ: not a failure."""

UNTESTED_STATUS = 4
"""Exit status where it could test no day: nothing is known, least of all no change."""


@click.group(name=__file__)
def cli() -> None:
    """Commands of this project in place of Kedro's."""


def _run(**options: Any) -> Any:
    try:
        check_runner(options["runner"])
        unknown = sorted(set(options["runner_params"]) - {"is_async"})
        if unknown:
            raise InputError(f"--runner-params {unknown[0]}: allowed: is_async")
    except InputError as error:
        raise UsageError(str(error)) from error
    result = _kedros(**options)
    if _loaded(result.get(DAYS_DIFFER)):
        raise click.exceptions.Exit(DIFFERS_STATUS)
    if _loaded(result.get(DAYS_TESTED, True)) is False:
        raise click.exceptions.Exit(UNTESTED_STATUS)
    return result


def _loaded(output: Any) -> Any:
    """Return a free output; Kedro's runners give it as a dataset."""
    return output.load() if hasattr(output, "load") else output


_kedros: Any = kedro_run.callback
run = copy.copy(kedro_run)
run.callback = _run
cli.add_command(run)
