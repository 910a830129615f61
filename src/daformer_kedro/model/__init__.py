"""The DAFormer network."""

from daformer_kedro.model.checks import check_earlier_blocks, check_model
from daformer_kedro.model.daformer import DAFormer
from daformer_kedro.model.output import DAFormerOutput

__all__ = ["DAFormer", "DAFormerOutput", "check_earlier_blocks", "check_model"]
