"""The server of the demo page: its addresses, its limits and its headers."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from daformer_kedro.errors import InputError
from daformer_kedro.scenario.decoding_process import DecodingProcesses
from daformer_kedro.scenario.image_formats import formats
from daformer_kedro.serving.classifier import Classifier
from daformer_kedro.serving.demo.answer import (
    ImageAnswer,
    answer_example,
    answer_exemplar,
    answer_file,
)
from daformer_kedro.serving.demo.guard import Guard
from daformer_kedro.serving.demo.knowledge import describe
from daformer_kedro.serving.demo.pictures import png
from daformer_kedro.serving.demo.turns import TooManyWaitError, Turns
from daformer_kedro.serving.demo.uploads import MOST_MEBIBYTES, UploadError, Uploads

LOCAL_HOSTS = ("127.0.0.1", "localhost")
"""Names of this machine in the address of a page."""

MOST_FILES = 24
_AT_ONCE = 2  # each may hold an image of 50 megapixels
_MOST_WAITING = 30
_DECODING_SECONDS = 15.0
_LONGEST_NAME = 100
_PARTS = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "cards.js": "text/javascript",
}
_KNOWN = {"examples": answer_example, "exemplars": answer_exemplar}
_LOGGER = logging.getLogger(__name__)


def demo_app(classifier: Classifier, hosts: Sequence[str] = LOCAL_HOSTS) -> Starlette:
    """Build the server of the page.

    - ``GET /``: the page, with ``/page.css``, ``/page.js`` and ``/cards.js``
    - ``GET /examples/N.png``, ``/exemplars/N.png``: images to try
    - ``POST /classify?name=NAME``: takes the bytes of an image file
    - ``POST /examples/N``, ``/exemplars/N``: classifies an image to try

    A POST is answered with the JSON values of an
    :class:`~daformer_kedro.serving.demo.answer.ImageAnswer`, or with ``error`` and
    status 400 (no image, or one that takes over 15 seconds to decode), 403 (see
    :class:`~daformer_kedro.serving.demo.guard.Guard`), 404 (no such row), 408 (a slow
    upload), 413 (more than 64 MiB), 500 (a fault of ours, which the log explains) or
    503 (too many images are waiting). Files are decoded in processes of their own.

    Args:
        classifier: the model.
        hosts: names under which the server may be addressed, ``*`` for all. Another
            site's page whose name points at this machine is refused.
    """
    demo = _Demo(classifier)
    return Starlette(
        routes=[
            Route("/", demo.page),
            *(Route(f"/{name}", demo.part) for name in _PARTS),
            Route("/classify", demo.classify, methods=["POST"]),
            Route("/{kind}/{row:int}.png", demo.picture),
            Route("/{kind}/{row:int}", demo.classify_known, methods=["POST"]),
        ],
        middleware=[
            Middleware(Guard),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts)),
        ],
    )


class _Demo:
    """Responses of the server."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._page = _render(classifier)
        self._turns = Turns(_AT_ONCE, _MOST_WAITING)
        self._uploads = Uploads()
        self._decoding = DecodingProcesses(_AT_ONCE, _DECODING_SECONDS)

    async def page(self, _: Request) -> Response:
        return HTMLResponse(self._page)

    async def part(self, request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        return Response(_text(name), media_type=_PARTS[name])

    async def picture(self, request: Request) -> Response:
        kind, row = request.path_params["kind"], request.path_params["row"]
        bank = self._classifier.model.bank
        pictures: Any = ()
        if bank is not None and kind in _KNOWN:
            pictures = bank.examples if kind == "examples" else bank.thumbnails
        if row >= len(pictures):
            return _fault(f"{kind}/{row}.png: the model's file has no such image", 404)
        return Response(png(pictures[row].numpy()), media_type="image/png")

    async def classify(self, request: Request) -> Response:
        name = _shown(request.query_params.get("name", ""))
        try:
            async with self._uploads.read(request) as content:
                answer = functools.partial(
                    answer_file, self._classifier, content, name, self._decoding.prepare
                )
                return await self._answered(request, answer, name, 400)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except UploadError as error:
            return _fault(error.message, error.status)

    async def classify_known(self, request: Request) -> Response:
        kind, row = request.path_params["kind"], request.path_params["row"]
        if kind not in _KNOWN:
            return _fault(f"{kind}/{row}: there is no such address", 404)
        answer = functools.partial(_KNOWN[kind], self._classifier, row)
        return await self._answered(request, answer, f"{kind}/{row}", 404)

    async def _answered(
        self,
        request: Request,
        answer: Callable[[], ImageAnswer],
        name: str,
        status: int,
    ) -> Response:
        """The answer to one image; ``status`` and the reason if it cannot be read."""
        client = request.client.host if request.client else ""
        try:
            async with self._turns.take(client):
                found = await run_in_threadpool(answer)
        except TooManyWaitError:
            return _fault("the server is busy with other images; try again", 503)
        except InputError as error:
            return _fault(str(error).removeprefix(f"{name}: "), status)
        except Exception:
            _LOGGER.exception("%s: could not be classified", name)
            return _fault("the server failed on this image; its log says why", 500)
        return JSONResponse(asdict(found))


def _render(classifier: Classifier) -> str:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # Browsers do not count HEIC among the images, and iPhones turn it into JPEG where
    # it is not asked for.
    accepted = "image/*,.heic,.heif" if "HEIF" in formats() else "image/*"
    return environment.from_string(_text("page.html.j2")).render(
        about=describe(classifier),
        accepted=accepted,
        most_files=MOST_FILES,
        most_mebibytes=MOST_MEBIBYTES,
    )


def _text(name: str) -> str:
    source = files("daformer_kedro.serving.demo").joinpath(name)
    return source.read_text(encoding="utf-8")


def _shown(name: str) -> str:
    """A file's name from outside, fit for messages; its ending stays."""
    plain = "".join(sign if sign.isprintable() else "?" for sign in name)
    return plain[-_LONGEST_NAME:] or "the file"


def _fault(message: str, status: int) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status)
