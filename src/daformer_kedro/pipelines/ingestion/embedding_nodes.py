"""The node that runs a fixed encoder over all images, once.

Apart from the other nodes, so that a change of these embeds nothing again.
"""

from __future__ import annotations

from typing import Any

from daformer_kedro.config import (
    AugmentationConfig,
    EvaluationConfig,
    ModelConfig,
    PreprocessingConfig,
)
from daformer_kedro.learning.chunks import encoder_images_at_once
from daformer_kedro.learning.devices import resolve_device
from daformer_kedro.learning.embedding import EncoderInUse, embed_images
from daformer_kedro.learning.seeding import make_generator
from daformer_kedro.model.decoders import decoder_class
from daformer_kedro.model.encoders import encoder_class
from daformer_kedro.scenario.embedded_images import EmbeddedImages
from daformer_kedro.scenario.images import Images
from daformer_kedro.storage.state_file import StateFile

_SEED = 0  # of what the pretrained weights replace


def embed_images_node(
    images: Images,
    encoder: str,
    encoder_settings: dict[str, Any],
    decoder: str,
    preprocessing: PreprocessingConfig,
    evaluation: EvaluationConfig,
    device: str,
    state: StateFile,
    augmentation: AugmentationConfig | None = None,
    previous: EmbeddedImages | None = None,
) -> EmbeddedImages:
    """Run the encoder, which no task changes, over every image.

    No other setting of the network counts, so that another width or head embeds nothing
    again: what maps the tokens to the decoder's width comes after them.
    ``augmentation`` is given where several versions of an image are wanted.
    """
    config = ModelConfig(encoder=encoder, encoder_settings=encoder_settings)
    place = resolve_device(device)
    network = encoder_class(encoder)(
        config,
        image_size=images.image_size,
        in_channels=images.num_channels,
        generator=make_generator(_SEED, 0, "weights"),
    )
    network.load_weights()
    used = EncoderInUse(
        network.to(place).eval(),
        preprocessing,
        pool=decoder_class(decoder).reads_mean,
        batch_size=encoder_images_at_once(network, evaluation.batch_size, place),
        device=place,
    )
    return embed_images(images, used, state, previous, augmentation)
