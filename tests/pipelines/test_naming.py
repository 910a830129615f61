"""Names that hooks look for are those of the pipelines and the catalog."""

from __future__ import annotations

from typing import Any

import pytest
from kedro.framework.project import pipelines

from daformer_kedro.pipelines import naming

# Kedro calls what OmegaConf deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:register_new_resolver")

OF_A_RUN = ("IMAGES", "METRICS", "CONFIDENCE", "RESULTS", "REPORT")
OF_STANDALONE = ("INFERENCE_TABLE", "EXPORTED_MODEL")
OF_THE_LAST_TASK = (
    naming.SAMPLES,
    naming.CHECKPOINT,
    *naming.MODEL_COMPANIONS,
    *naming.ATTACHED,
)


@pytest.fixture
def catalog(untouched: Any) -> Any:
    return untouched.context().catalog


def test_datasets_of_these_names_are_made(catalog: Any) -> None:
    made = {n for name in pipelines for n in pipelines[name].all_outputs()}
    names = {getattr(naming, name) for name in (*OF_A_RUN, *OF_STANDALONE)}
    names |= {naming.of_task(naming.task_name(2), name) for name in OF_THE_LAST_TASK}
    assert names - made == set()
    assert {name for name in names if name not in catalog} == set()


def test_nodes_and_tags_of_these_names_are_there(catalog: Any) -> None:
    nodes = [node for name in pipelines for node in pipelines[name].nodes]
    assert naming.SUMMARISE in {node.name for node in nodes}
    tags = {tag for node in nodes for tag in node.tags}
    assert {
        naming.EVALUATION,
        naming.READS_SOURCE_FILES,
        naming.USES_FINISHED_MODEL,
    } <= tags


def test_standalone_pipelines_are_no_part_of_a_run(catalog: Any) -> None:
    assert set(pipelines) >= naming.STANDALONE
    of_a_run = set(pipelines["__default__"].nodes)
    for name in naming.STANDALONE:
        assert of_a_run.isdisjoint(pipelines[name].nodes)
