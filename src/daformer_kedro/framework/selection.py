"""Checks of what a command asks to be run, before anything is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kedro.pipeline import Pipeline
from kedro.runner import AbstractRunner, SequentialRunner

from daformer_kedro.errors import InputError, did_you_mean

_MOST_SHOWN = 12


def check_runner(runner: AbstractRunner | str | None) -> None:
    """Refuse a runner that runs steps in parallel.

    Tasks follow one another, and a run's record in MLflow and the reuse of results are
    kept by one process in one thread.

    Args:
        runner: the runner, or its name as typed; ``None`` for the usual one.

    Raises:
        InputError: names the runner and what is allowed.
    """
    if runner is None or isinstance(runner, SequentialRunner):
        return
    name = runner if isinstance(runner, str) else type(runner).__name__
    if name not in ("SequentialRunner", "kedro.runner.SequentialRunner"):
        raise InputError(
            f"--runner {name}: allowed: SequentialRunner. Steps run one after another; "
            "for several devices or machines see training.devices"
        )


def check_versions(load_versions: Iterable[str] | None) -> None:
    """Refuse versions of datasets.

    Raises:
        InputError: names the datasets.
    """
    if load_versions:
        raise InputError(
            f"--load-versions {','.join(load_versions)}: no dataset of this "
            "project has versions; results of other settings lie in other folders"
        )


def check_selection(
    pipelines: Mapping[str, Pipeline], options: Mapping[str, Any]
) -> None:
    """Make sure that every name exists and that something is left to run.

    Args:
        pipelines: all pipelines by name.
        options: keyword arguments of Kedro's ``session.run``.

    Raises:
        InputError: names the option, what was given, and what there is.
    """
    check_versions(options.get("load_versions"))
    names = options.get("pipeline_names") or ["__default__"]
    _check("--pipelines", names, pipelines)
    chosen = sum((pipelines[name] for name in names), Pipeline([]))
    given = {}
    for option, (argument, known) in _FILTERS.items():
        values = options.get(argument)
        if values:
            _check(option, values, known(chosen))
            given[option] = list(values)
    try:
        chosen.filter(
            **{_FILTER_NAMES.get(o, _FILTERS[o][0]): v for o, v in given.items()}
        )
    except ValueError as error:
        asked = " ".join(f"{option} {','.join(v)}" for option, v in given.items())
        raise InputError(f"{asked}: no step fits all of this") from error


def _check(option: str, given: Iterable[str] | None, known: Iterable[str]) -> None:
    known = sorted(known)
    for name in given or ():
        if name in known:
            continue
        shown = ", ".join(known[:_MOST_SHOWN])
        more = len(known) - _MOST_SHOWN
        rest = f" and {more} more (kedro registry describe)" if more > 0 else ""
        raise InputError(
            f"{option} {name}: does not exist."
            f"{did_you_mean(name, known)} Allowed: {shown}{rest}"
        )


def _nodes(pipeline: Pipeline) -> set[str]:
    return {node.name for node in pipeline.nodes}


def _tags(pipeline: Pipeline) -> set[str]:
    return {tag for node in pipeline.nodes for tag in node.tags}


def _namespaces(pipeline: Pipeline) -> set[str]:
    return {node.namespace for node in pipeline.nodes if node.namespace}


_FILTERS: dict[str, tuple[str, Callable[[Pipeline], set[str]]]] = {
    "--tags": ("tags", _tags),
    "--nodes": ("node_names", _nodes),
    "--from-nodes": ("from_nodes", _nodes),
    "--to-nodes": ("to_nodes", _nodes),
    "--from-inputs": ("from_inputs", Pipeline.datasets),
    "--to-outputs": ("to_outputs", Pipeline.datasets),
    "--namespaces": ("namespaces", _namespaces),
}
"""Argument of ``session.run`` for each option, and the names that it may have."""

_FILTER_NAMES = {"--namespaces": "node_namespaces"}
"""Options that ``Pipeline.filter`` calls otherwise than ``session.run``."""
