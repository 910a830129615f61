"""Fingerprint of a node: everything that its result depends on."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node

from daformer_kedro.config.run import Config, result_settings
from daformer_kedro.datasets import (
    CheckpointDataset,
    OptionalJSONDataset,
    StoredDataset,
    TrainingStateDataset,
)
from daformer_kedro.learning.devices import resolve_device
from daformer_kedro.model.encoders import encoder_class
from daformer_kedro.pipelines.naming import READS_SOURCE_FILES
from daformer_kedro.reuse.code import code_of, function_name
from daformer_kedro.reuse.node_files import stored_outputs
from daformer_kedro.reuse.source_files import describe_files
from daformer_kedro.storage.checksum import checksum
from daformer_kedro.storage.record import read_record

_PARAMETERS = ("params:", "parameters")
_DEVICE = ("params:training", "params:training.device", "parameters")


class Fingerprinter:
    """Collects what nodes' results depend on, and remembers what it found last.

    Args:
        catalog: with the nodes' inputs and outputs.
        config: the settings.
    """

    def __init__(self, catalog: CatalogProtocol, config: Config) -> None:
        self._catalog: Any = catalog
        self._config = config
        self._settings = json.loads(json.dumps(result_settings(config)))
        self._found: dict[str, dict[str, Any]] = {}
        self._code_of: dict[Any, dict[str, str]] = {}
        self._described: str | None = None  # once a run: it may be a million files

    def read(self, node: Node) -> dict[str, Any]:
        """Collect function, code, parameters, inputs by content, and storage formats.

        Raises:
            OSError: an input cannot be read.
        """
        stored = stored_outputs(self._catalog, node)
        found = {
            "function": function_name(node.func),
            "code": self._code(node),
            "parameters": self._parameters(node),
            "inputs": self._inputs(node),
            "stored_as": [dataset.format for dataset in stored],
            "source_files": self._source_files(node),
        }
        weights = self._weights(node)
        if weights is not None:
            found["weights"] = weights
        if READS_SOURCE_FILES in node.tags and found["source_files"] is None and stored:
            # Source files that are away at the moment prove nothing against what was
            # read from them.
            record = read_record(stored[0].filepath)
            if record is not None and record.provenance is not None:
                earlier = record.provenance.fingerprint
                found["source_files"] = earlier.get("source_files")
        self._found[node.name] = found
        return found

    def last(self, node: Node) -> dict[str, Any]:
        """Return what was read last, before the node ran."""
        return self._found[node.name] if node.name in self._found else self.read(node)

    def note_fetched_source(self, node: Node) -> None:
        """Add the source's files once a node has run that may have downloaded them."""
        found = self.last(node)
        if READS_SOURCE_FILES in node.tags and found["source_files"] is None:
            found["source_files"] = self._source_files(node)

    def _code(self, node: Node) -> dict[str, str]:
        """Collect the code of the function, of its inputs' and outputs' datasets.

        And of the method, where the node is told which one; of what may classify in its
        place, where it reads or writes models.
        """
        inputs = [n for n in node.inputs if not n.startswith(_PARAMETERS)]
        datasets = [self._catalog.get(name) for name in (*inputs, *node.outputs)]
        formats = {
            d.format_class if isinstance(d, StoredDataset) else type(d)
            for d in datasets
            if not isinstance(d, TrainingStateDataset)
        }
        method = type(self._config.method)
        used = {*filter(_is_own, formats)}
        if "params:baseline" in node.inputs:
            used.add(method)
        if CheckpointDataset in formats:
            used |= {*method.classifier_types}
        things = (node.func, frozenset(used))
        if things not in self._code_of:  # tasks have the same functions
            self._code_of[things] = code_of(node.func, *things[1])
        return self._code_of[things]

    def environment(self, node: Node) -> dict[str, str]:
        """Return what ought not to change a result, of nodes that use a device."""
        if not any(name in _DEVICE for name in node.inputs):
            return {}
        return {
            "device": resolve_device(self._config.training.device).type,
            "torch": torch.__version__,
        }

    def _parameters(self, node: Node) -> dict[str, Any]:
        names = [name for name in node.inputs if name.startswith("params:")]
        values = {name[7:]: self._value(name) for name in names}
        found = {name: value for name, value in values.items() if value is not _UNKNOWN}
        return found | (self._settings if "parameters" in node.inputs else {})

    def _value(self, name: str) -> Any:
        """A parameter as validated, without what cannot change a result."""
        value: Any = self._settings
        for part in name[7:].split("."):
            if not isinstance(value, Mapping) or part not in value:
                return _UNKNOWN
            value = value[part]
        return value

    def _inputs(self, node: Node) -> dict[str, dict[str, str]]:
        found = {}
        for argument, name in bound_inputs(node):
            if name.startswith(_PARAMETERS):
                continue
            dataset = self._catalog.get(name)
            if not isinstance(dataset, TrainingStateDataset):
                found[argument] = {"dataset": name, "content": content_of(dataset)}
        return found

    def _weights(self, node: Node) -> str | None:
        """Return the checksum of the file of pretrained weights that a node reads."""
        if "params:model" not in node.inputs:
            return None
        model = self._config.model
        file = encoder_class(model.encoder).weights_file(model)
        return None if file is None else checksum(file)

    def _source_files(self, node: Node) -> str | None:
        path = self._config.source.path
        if READS_SOURCE_FILES not in node.tags or path is None:
            return None
        if self._described is None:
            self._described = describe_files(Path(path).expanduser())
        return self._described


def key_of(fingerprint: Mapping[str, Any]) -> str:
    """Return a digest of a fingerprint; what its inputs are called does not count."""
    inputs = {name: value["content"] for name, value in fingerprint["inputs"].items()}
    text = json.dumps({**fingerprint, "inputs": inputs}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def bound_inputs(node: Node) -> list[tuple[str, str]]:
    """Return argument and dataset of each of a node's inputs."""
    inputs = node._inputs
    if isinstance(inputs, dict):
        return list(inputs.items())
    names = [inputs] if isinstance(inputs, str) else inputs or []
    return [(str(number), name) for number, name in enumerate(names)]


def content_of(dataset: Any) -> str:
    """Return the checksum of what a dataset holds here; else its description.

    What lies on another machine is never taken for the same.
    """
    path = getattr(dataset, "filepath", getattr(dataset, "_filepath", None))
    if path is not None and Path(str(path)).exists():
        return checksum(Path(str(path)))
    if getattr(dataset, "_protocol", "file") != "file":
        return f"elsewhere, {secrets.token_hex(8)}"  # and perhaps changed
    return "absent" if isinstance(dataset, OptionalJSONDataset) else str(dataset)


def _is_own(format_class: type) -> bool:
    return format_class.__module__.partition(".")[0] == __name__.partition(".")[0]


_UNKNOWN = object()
