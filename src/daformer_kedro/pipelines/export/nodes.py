"""Nodes of the export pipeline."""

from __future__ import annotations

from daformer_kedro.serving import ServedModel
from daformer_kedro.serving.export import ExportedModel, export_model


def export_model_node(model: ServedModel) -> ExportedModel:
    """Make ONNX, a program of ``torch.export`` and a model card, and check them."""
    return export_model(model)
