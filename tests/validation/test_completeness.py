"""Every setting of a run stands in the parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from daformer_kedro.errors import InputError
from daformer_kedro.objectives import TERMS


def test_a_setting_left_out_of_the_parameters_is_named(project: Any) -> None:
    path = project.path / "conf/base/parameters_learning.yml"
    parameters = yaml.safe_load(path.read_text())
    del parameters["training"]["epochs"], parameters["training"]["sharpness"]["rho"]
    del parameters["evaluation"]
    path.write_text(yaml.safe_dump(parameters))
    with pytest.raises(
        InputError,
        match=r"^evaluation, training\.sharpness\.rho: not set\.",  # test sets epochs
    ):
        project.parameters("test")


@pytest.mark.parametrize("name", sorted(TERMS))
def test_only_a_term_that_is_off_by_default_may_be_left_out(
    project: Any, name: str
) -> None:
    with changed_losses(project) as losses:
        del losses[name]
    if name == "pooled_distillation":
        assert name not in project.parameters("test")["losses"]
        return
    with pytest.raises(InputError, match=rf"losses\.{name}(\.weight)?.*: not set\."):
        project.parameters("test")


def test_a_term_that_is_given_sets_everything(project: Any) -> None:
    with changed_losses(project) as losses:
        del losses["knn_distillation"]["scope"], losses["classification"]["weight"]
    with pytest.raises(
        InputError,
        match=r"^losses\.classification\.weight, losses\.knn_distillation\.scope: not",
    ):
        project.parameters("test")


@contextmanager
def changed_losses(project: Any) -> Iterator[dict[str, Any]]:
    path = project.path / "conf/base/parameters_learning.yml"
    parameters = yaml.safe_load(path.read_text())
    yield parameters["losses"]
    path.write_text(yaml.safe_dump(parameters))
