"""Arguments of Kedro's nodes that are called with nothing around them."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from kedro.pipeline.node import Node


def inputs_of(
    node: Node, values: Mapping[str, Any], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a node's arguments by name.

    Args:
        node: of any pipeline.
        values: by data set; what is not there, such as a state to resume from, is
            ``None``.
        parameters: merged, nested.
    """
    return {name: _value(name, values, parameters) for name in node.inputs}


def _value(name: str, values: Mapping[str, Any], parameters: Mapping[str, Any]) -> Any:
    if not name.startswith("params:"):
        return values.get(name)
    value: Any = parameters
    for part in name.removeprefix("params:").split("."):
        value = value[part]
    return deepcopy(value)
