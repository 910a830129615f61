"""Types of the arguments that nodes take sections of the parameters by."""

from __future__ import annotations

import inspect
from dataclasses import is_dataclass
from typing import Any, get_type_hints

import pytest

from daformer_kedro.config.run import Config
from daformer_kedro.methods import METHODS
from daformer_kedro.pipelines import (
    evaluation,
    inference,
    ingestion,
    monitor,
    study,
    task,
)
from daformer_kedro.reuse.fingerprint import bound_inputs

_SECTIONS = {
    name: kind for name, kind in get_type_hints(Config).items() if is_dataclass(kind)
}


def _pipelines(baseline: str) -> list[Any]:
    config = Config.from_parameters(
        {"baseline": baseline, **METHODS[baseline]().overlay(), "model": {}}
    )
    return [
        ingestion.create_pipeline(2, config),
        task.create_pipeline(0, config),
        task.create_pipeline(1, config),
        evaluation.create_pipeline(2, config),
        inference.create_pipeline(),
        monitor.create_pipeline(),
        study.create_pipeline(),
    ]


@pytest.mark.filterwarnings("ignore:One or more dataset names contain")
@pytest.mark.parametrize("baseline", ["none", "nearest_mean", "ridge"])
def test_a_section_is_taken_as_its_own_type(baseline: str) -> None:
    seen = 0
    for node in (n for pipeline in _pipelines(baseline) for n in pipeline.nodes):
        names = list(inspect.signature(node.func).parameters)
        hints = get_type_hints(node.func)
        for position, (argument, dataset) in enumerate(bound_inputs(node)):
            section = dataset.removeprefix("params:")
            if section == dataset or section not in _SECTIONS:
                continue
            name = argument if isinstance(node._inputs, dict) else names[position]
            if name in names:  # not one of **sections
                seen += 1
                kinds = (_SECTIONS[section], _SECTIONS[section] | None)
                assert hints[name] in kinds, (node.name, name)
    assert seen > 10


def test_kedro_hands_nodes_their_sections(project: Any) -> None:
    parameters = project.sections()
    for name in ("training", "losses", "memory", "source", "inference"):
        assert type(parameters[name]) is _SECTIONS[name]
