"""A local page to try a model: drop an image, see classes, attention, exemplars.

The server is Starlette, which MLflow brings along; it needs no network.
"""

from __future__ import annotations

import base64
import io
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from daformer_kedro.augmentation.transform import normalise
from daformer_kedro.errors import InputError
from daformer_kedro.model.attention_maps import attention_maps
from daformer_kedro.scenario.image_decoding import decode_rgb
from daformer_kedro.serving.classifier import NUM_RANKED, Classifier

_NUM_EXEMPLARS = 5
_SHOWN_SIDE = 192
_MOST_BYTES = 64 << 20


def demo_app(classifier: Classifier) -> Starlette:
    """The page, and ``POST /classify``, which takes the bytes of an image file."""

    async def page(_: Request) -> HTMLResponse:
        source = files("daformer_kedro.serving").joinpath("demo.html")
        text = source.read_text(encoding="utf-8")
        return HTMLResponse(text.replace("{{ model }}", escape(classifier.model.name)))

    async def classify(request: Request) -> JSONResponse:
        content = bytearray()  # bytes would be copied with every part
        async for part in request.stream():
            content += part
            if len(content) > _MOST_BYTES:
                return _fault("the file is larger than 64 MiB", 413)
        try:
            found = await run_in_threadpool(look, classifier, bytes(content))
        except InputError as error:
            return _fault(str(error), 400)
        return JSONResponse(found)

    return Starlette(
        routes=[Route("/", page), Route("/classify", classify, methods=["POST"])]
    )


def look(classifier: Classifier, content: bytes) -> dict[str, Any]:
    """Everything that the page shows of one image.

    Args:
        classifier: the model.
        content: an image file of any mode and size.

    Returns:
        JSON values: ``classes`` (name, probability, task), ``unknown_score``,
        ``is_unknown``, and pictures as data addresses: ``seen`` (what the network
        reads), ``attention`` (by name) and ``exemplars`` (class, distance, picture).

    Raises:
        InputError: the bytes are no image.
    """
    pixels = classifier.view(decode_rgb(content, "the file"))
    answers = classifier.answer(pixels[None])
    row = classifier.table(answers).iloc[0]
    classes = [
        {
            "name": str(row[f"class_{rank}"]),
            "probability": float(row[f"probability_{rank}"]),
            "task": int(row[f"task_{rank}"]),
        }
        for rank in range(1, min(NUM_RANKED, len(classifier.class_names)) + 1)
    ]
    known = row["is_unknown"]
    return {
        "classes": classes,
        "unknown_score": float(row["unknown_score"]),
        "is_unknown": None if pd.isna(known) else bool(known),
        "seen": _picture(pixels),
        "attention": _attention(classifier, pixels),
        "exemplars": _exemplars(classifier, answers.embeddings),
    }


def _attention(classifier: Classifier, pixels: NDArray[np.uint8]) -> dict[str, str]:
    """Draw where the decoder looks, over the image; nothing for another decoder."""
    network = classifier.network
    device = next(network.parameters()).device
    image = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].to(device)
    try:
        maps = attention_maps(
            network, normalise(image, classifier.model.checkpoint.preprocessing)
        )
    except InputError:
        return {}
    found = {"external": maps.external, "internal": maps.internal}
    return {
        name: _overlay(pixels, values[0].mean(dim=0).cpu().numpy())
        for name, values in found.items()
        if values is not None
    }


def _exemplars(classifier: Classifier, embeddings: torch.Tensor) -> list[Any]:
    nearest = classifier.nearest_exemplars(embeddings, _NUM_EXEMPLARS)
    known = classifier.model.known
    if nearest is None or known is None:
        return []
    return [
        {
            "name": classifier.class_names[int(known.targets[place])],
            "distance": float(distance),
            "picture": _picture(known.thumbnails[place].numpy()),
        }
        for distance, place in zip(nearest[0][0], nearest[1][0].tolist(), strict=True)
    ]


def _overlay(pixels: NDArray[np.uint8], share: NDArray[Any]) -> str:
    """The image, brighter where more attention goes."""
    spread = share - share.min()
    level = (255 * spread / max(float(spread.max()), 1e-12)).astype(np.uint8)
    side = (pixels.shape[1], pixels.shape[0])
    mask = Image.fromarray(level).resize(side, Image.Resampling.BICUBIC)
    image = _image(pixels).convert("RGB")
    heat = Image.new("RGB", side, (255, 140, 0))
    mixed = Image.composite(heat, image, mask.point(lambda x: int(0.65 * x)))
    return _picture(np.asarray(mixed))


def _picture(pixels: NDArray[np.uint8]) -> str:
    image = _image(pixels)
    image = image.resize((_SHOWN_SIDE, _SHOWN_SIDE), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/png;base64,{text}"


def _image(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _fault(message: str, status: int) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status)
