"""Rules of the demo's server for browsers: headers, and whose pages may ask."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Another model may answer at the same address tomorrow.
    "Cache-Control": "no-store",
}


class Guard:
    """Middleware that sets headers and refuses what pages of other sites post.

    Such a page could have any file decoded here, although it may not read the answer.
    Programs that are no browsers are let through.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        app = self._app
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        if is_post and _is_from_elsewhere(Headers(scope=scope)):
            reason = "a page of another site may not ask this server"
            app = JSONResponse({"error": reason}, status_code=403)
        await app(scope, receive, send_guarded)


def _is_from_elsewhere(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")  # of browsers that speak to a plain HTTP address
    return origin is not None and urlsplit(origin).netloc != headers.get("host")
