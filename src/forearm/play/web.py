"""What every page of the app stands on: who is let in, the files of the page, and how what goes wrong is told.

Nothing that a client says names a file.
"""

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forearm.base.errors import ForearmError
from forearm.play.access import Access
from forearm.play.visitors import Full

COOKIE, TOKEN_COOKIE = "forearm_visitor", "forearm_token"
LARGEST_BODY = 4096
RETRY = 10
"""Seconds after which whoever found no place may ask again."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
Kind = Literal["play", "live"]
SHARED = ("app.css", "page.js")
"""The files that both kinds of page load; ``own.js`` is its own."""
KINDS = {"html": "text/html; charset=utf-8", "css": "text/css", "js": "text/javascript"}


def make_web(kind: Kind, access: Access) -> FastAPI:
    """An app that only serves its kind of page yet, and refuses in one line; ``access`` says who may use it."""
    app = FastAPI(title=f"forearm {kind}", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, access=access)
    for path, name in (("/", "index.html"), ("/own.js", f"{kind}.js"), *((f"/{name}", name) for name in SHARED)):
        app.get(path)(serving(name))

    @app.exception_handler(Full)
    async def turn_away(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, 503, headers={"Retry-After": str(RETRY)})

    @app.exception_handler(ForearmError)
    async def refuse(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, 400)

    @app.exception_handler(RequestValidationError)
    async def misunderstand(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": "this is nothing that the page asks for"}, 422)

    return app


def serving(name: str) -> Callable[[], Awaitable[Response]]:
    """What serves a file of the page."""
    content = (resources.files("forearm.play") / "page" / name).read_bytes()

    async def serve() -> Response:
        return Response(content, media_type=KINDS[name.rpartition(".")[2]])

    return serve


async def visitor_of(request: Request, response: Response) -> str:
    """The visitor's name, from the cookie; whoever has none is given one."""
    name = request.cookies.get(COOKIE, "")
    if not re.fullmatch(r"[\w-]{22}", name):
        name = secrets.token_urlsafe(16)
        response.set_cookie(COOKIE, name, httponly=True, samesite="strict")
    return name


Visitor = Annotated[str, Depends(visitor_of)]


class Guard:
    """Keeps out who may not use the app, and tells browsers what the page may do.

    - The Host header shows a name of another site that was made to lead to this machine (DNS rebinding).
    - A token, where one is needed, comes with the address that was printed; a cookie keeps it.
    - The Sec-Fetch-Site header shows requests that pages of other sites send, pictures included. Following a link to
      the page is allowed.
    - The Origin header shows the same where a browser does not send Sec-Fetch-Site.
    """

    def __init__(self, app: ASGIApp, access: Access):
        self._app, self._access = app, access
        token = (access.token or "").encode()
        self._cookie = f"{TOKEN_COOKIE}_{hashlib.sha256(token).hexdigest()[:8]}"  # ports of a host share their cookies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._answer(Request(scope)) or self._app
        await answer(scope, receive, send_guarded)

    def _answer(self, request: Request) -> Response | None:
        """A refusal, or what keeps the token; None where the app is to answer."""
        host = request.headers.get("host", "")
        named = re.fullmatch(r"\[?([^\[\]@]*?)\]?(:\d+)?", host)
        if self._access.hosts is not None and (named is None or named[1].lower() not in self._access.hosts):
            return _refusal("this is not the address that was printed; open that one, or use --allow-host")
        if _is_foreign(request):
            return _refusal("another site may not ask this")
        origin, own = request.headers.get("origin"), f"{request.scope['scheme']}://{host}"
        if origin is not None and origin != own:
            return _refusal(f"{origin} is another site than {own}; a proxy has to pass on Host and X-Forwarded-Proto")
        if self._access.token is not None:
            brought = request.query_params.get("token")
            if not _equal(brought or request.cookies.get(self._cookie, ""), self._access.token):
                return _refusal("a token is missing; open the whole address that was printed")
            if brought is not None and request.url.path == "/":
                page = RedirectResponse("/", 303)
                page.set_cookie(self._cookie, brought, httponly=True, samesite="lax")  # strict breaks links to the page
                return page
        if request.method not in ("GET", "HEAD"):
            length = request.headers.get("content-length", "")
            if not length.isdigit() or int(length) > LARGEST_BODY:
                return PlainTextResponse("this is more than the page ever says", 413)
        return None


def _is_foreign(request: Request) -> bool:
    """Whether a page of another site sent the request, other than by a link that a person follows to the page."""
    headers = request.headers
    follows_link = (
        request.method == "GET"
        and request.url.path == "/"
        and (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    )
    return headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not follows_link


def _equal(brought: str, token: str) -> bool:
    return secrets.compare_digest(brought.encode(), token.encode())


def _refusal(why: str) -> Response:
    return PlainTextResponse(why, 403)
