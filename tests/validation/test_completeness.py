"""Every setting of a run stands in the parameters."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from daformer_kedro.errors import InputError


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


def test_a_loss_terms_block_may_be_left_out(project: Any) -> None:
    path = project.path / "conf/base/parameters_learning.yml"
    parameters = yaml.safe_load(path.read_text())
    del parameters["losses"]["pooled_distillation"]
    path.write_text(yaml.safe_dump(parameters))
    assert "pooled_distillation" not in project.parameters("test")["losses"]
