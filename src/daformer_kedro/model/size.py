"""Size of a model."""

from __future__ import annotations

from daformer_kedro.model.daformer import DAFormer


def num_parameters(model: DAFormer) -> int:
    """Count the numbers that classify an image: no head that does not answer."""
    closed_form = model.closed_form
    weights = (
        *model.encoder.parameters(),
        *model.decoder.parameters(),
        *(model.heads.parameters() if closed_form is None else closed_form.buffers()),
    )
    return sum(weight.numel() for weight in weights)
