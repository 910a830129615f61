"""Costs of a run: time to learn, and bytes to keep for the next task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from daformer_kedro.pipelines.naming import LEARNING, STATISTICS, task_name
from daformer_kedro.reuse.node_files import stored_outputs
from daformer_kedro.scenario.plan import TaskPlan
from daformer_kedro.storage.record import Provenance, Record, read_record

_HISTORY = "_history"
_PARAMETER_BYTES = 4
"""Of a parameter, as float32, whatever it was trained in."""


def run_costs(
    pipeline: Pipeline, catalog: CatalogProtocol, tasks: TaskPlan, metrics: Any
) -> dict[str, float]:
    """Return what a run has cost, from the records of its results.

    Steps that were reused count with the time that they took when they were made.

    Args:
        pipeline: all nodes of the run.
        catalog: with their outputs.
        tasks: of the run.
        metrics: of the run.

    Returns:
        ``learning_seconds`` and ``processor_seconds`` of the steps that learn, where
        all were measured; ``exemplar_bytes`` (a byte per pixel and channel, as Zhou et
        al., ICLR 2023, count), ``parameter_bytes``, ``statistics_bytes`` and their sum
        ``stored_bytes``, after the last task. Empty where tasks are not in
        ``pipeline``.
    """
    nodes = [node for node in pipeline.nodes if LEARNING & node.tags]
    names = {task_name(task) for task in range(tasks.num_tasks)}
    if names != {node.namespace for node in nodes if "training" in node.tags}:
        return {}
    source = tasks.source
    exemplars = metrics["num_exemplars"][-1]
    sizes = {
        "exemplar_bytes": exemplars * source.image_size**2 * source.num_channels,
        "parameter_bytes": _PARAMETER_BYTES * metrics["num_parameters"][-1],
        "statistics_bytes": _statistics_bytes(nodes, catalog, max(names)),
    }
    return _seconds(nodes, catalog) | sizes | {"stored_bytes": sum(sizes.values())}


def _seconds(nodes: list[Node], catalog: CatalogProtocol) -> dict[str, float]:
    times = []
    for node in nodes:
        found = [r.provenance for r in _records(node, catalog) if r.provenance]
        epochs = sum(
            float(catalog.load(name)["seconds"].sum())
            for name in node.outputs
            if name.endswith(_HISTORY)
        )
        times.append(time_to_learn(found, epochs))
    measured = [time for time in times if time is not None]
    if len(measured) < len(times):
        return {}
    return {
        "learning_seconds": sum(seconds for seconds, _ in measured),
        "processor_seconds": sum(processor for _, processor in measured),
    }


def time_to_learn(
    found: Sequence[Provenance], epochs: float
) -> tuple[float, float] | None:
    """Return what a step has taken on the clock and of the processor, in seconds.

    A training that was interrupted has records of its last part alone. The parts before
    it are taken to have used the processor as much.

    Args:
        found: how the results of the step were made.
        epochs: seconds of all epochs, of all parts; 0 where there are none.

    Returns:
        ``None`` where either was not measured.
    """
    seconds = [made.seconds for made in found if made.seconds is not None]
    used = [m.processor_seconds for m in found if m.processor_seconds is not None]
    if not seconds or not used:
        return None
    last = max(seconds)
    whole = max(last, epochs)
    return whole, max(used) * (whole / last if last else 1.0)


def _statistics_bytes(
    nodes: list[Node], catalog: CatalogProtocol, last_task: str
) -> int:
    name = f"{last_task}.{STATISTICS}"
    if not any(name in node.outputs for node in nodes):
        return 0
    record = read_record(catalog[name].filepath)
    return 0 if record is None else record.size


def _records(node: Node, catalog: CatalogProtocol) -> list[Record]:
    found = [read_record(o.filepath) for o in stored_outputs(catalog, node)]
    return [record for record in found if record is not None]
