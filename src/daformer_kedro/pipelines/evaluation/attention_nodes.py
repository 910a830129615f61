"""The node that draws the final model's attention.

In a module of its own, so that a change of the model redraws one figure alone.
"""

from __future__ import annotations

import pandas as pd
import torch

from daformer_kedro.augmentation.transform import normalise
from daformer_kedro.evaluation.thinning import evenly_spaced
from daformer_kedro.model.attention_maps import attention_maps
from daformer_kedro.model.checkpoint import Checkpoint
from daformer_kedro.pipelines.figure import Figure
from daformer_kedro.scenario.images import Images
from daformer_kedro.scenario.samples import of_split, sample_index

_NUM_ATTENTION_IMAGES = 6


def draw_attention_node(
    images: Images, samples: pd.DataFrame, checkpoint: Checkpoint
) -> Figure:
    """Draw the decoder's attention on a test image of each of up to six tasks."""
    from daformer_kedro.evaluation import figures

    tests = of_split(samples, "test").drop_duplicates("task")
    chosen = evenly_spaced(len(tests), _NUM_ATTENTION_IMAGES)
    shown = sample_index(tests.iloc[chosen])
    pixels = images.view("test", shown)
    tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    maps = attention_maps(
        checkpoint.build(), normalise(tensor, checkpoint.preprocessing)
    )
    return figures.attention_map_figure(
        pixels,
        None if maps.external is None else maps.external.numpy(),
        None if maps.internal is None else maps.internal.numpy(),
    )
