"""The web app: one page, and beneath it a handful of addresses that speak JSON.

Nothing that a client says names a file. Whatever touches a model or the simulator happens on one thread, one thing
after another and each as a whole: a browser that leaves in mid-step leaves a session before or after the step.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse
from pydantic import BaseModel
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forearm.base.errors import ForearmError
from forearm.play import clip
from forearm.play.access import OPEN, Access
from forearm.play.session import PlaySession
from forearm.play.stage import Stage
from forearm.play.state import state_of
from forearm.play.visitors import Full, Visitors

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

T = TypeVar("T")


class TakeStep(BaseModel):
    """Take an action in the state that the visitor saw, by its number."""

    number: int
    which: int


class Choice(BaseModel):
    """Choose the action dimension, and the value where actions are continuous."""

    dimension: int
    value: float | None = None


class Back(BaseModel):
    """Go back to a state of the path, by its number."""

    number: int


class Begin(BaseModel):
    """Begin anew: at a source's start of a number, or at any of them."""

    source: str
    number: int | None = None


def make_app(stage: Stage, access: Access = OPEN) -> FastAPI:
    """The app: ``stage`` is what is played with, ``access`` says who may use it."""
    app = FastAPI(title="forearm play", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, access=access)
    worker = ThreadPoolExecutor(1, thread_name_prefix="model")
    worker.submit(lambda: stage.session().previews()).result()  # what cannot be is said before anybody comes
    films = ThreadPoolExecutor(1, thread_name_prefix="film")  # nobody's steps wait for it
    visitors = Visitors(stage.session)
    page = {name: (resources.files("forearm.play") / "page" / name).read_bytes() for name in PAGE}

    async def on_worker(visitor: str, work: Callable[[PlaySession], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(worker, lambda: work(visitors.path(visitor)))

    async def changed(visitor: str, change: Callable[[PlaySession], object]) -> dict[str, Any]:
        def work(session: PlaySession) -> dict[str, Any]:
            change(session)
            return state_of(session)

        return await on_worker(visitor, work)

    def step(session: PlaySession, wanted: TakeStep) -> None:
        if session.now.number == wanted.number:  # else a second click, or another tab
            session.step(wanted.which)

    def begin(session: PlaySession, wanted: Begin) -> None:
        if wanted.source not in stage.sources:
            raise ForearmError(f"there is no {wanted.source!r} here; choose among {', '.join(stage.sources)}")
        source = stage.sources[wanted.source]
        number = int(np.random.default_rng().integers(source.count)) if wanted.number is None else wanted.number
        session.reset(source.begin(number))

    @app.get("/")
    async def index() -> Response:
        return Response(page["index.html"], media_type=PAGE["index.html"])

    @app.get("/app.css")
    async def style() -> Response:
        return Response(page["app.css"], media_type=PAGE["app.css"])

    @app.get("/app.js")
    async def script() -> Response:
        return Response(page["app.js"], media_type=PAGE["app.js"])

    @app.get("/api/stage")
    async def about() -> dict[str, Any]:
        return stage.to_json()

    @app.get("/api/path")
    async def look(visitor: Visitor) -> dict[str, Any]:
        return await on_worker(visitor, lambda session: state_of(session, whole=True))

    @app.post("/api/path/step")
    async def go_on(visitor: Visitor, wanted: TakeStep) -> dict[str, Any]:
        return await changed(visitor, lambda session: step(session, wanted))

    @app.post("/api/path/choose")
    async def choose(visitor: Visitor, wanted: Choice) -> dict[str, Any]:
        return await changed(visitor, lambda session: session.choose(wanted.dimension, wanted.value))

    @app.post("/api/path/undo")
    async def undo(visitor: Visitor) -> dict[str, Any]:
        return await changed(visitor, lambda session: session.undo())

    @app.post("/api/path/back")
    async def back(visitor: Visitor, wanted: Back) -> dict[str, Any]:
        return await changed(visitor, lambda session: session.back_to(wanted.number))

    @app.post("/api/path/begin")
    async def begin_anew(visitor: Visitor, wanted: Begin) -> dict[str, Any]:
        return await changed(visitor, lambda session: begin(session, wanted))

    @app.get("/api/path.json")
    async def as_json(visitor: Visitor) -> Response:
        start, path = await on_worker(
            visitor, lambda session: (session.start, clip.numbers(stage.layout, session.path, session.step_errors))
        )
        episode = {
            "run": stage.run_name,
            "family": stage.family,
            "start": {"source": start.source, "number": start.number, "note": start.note},
            "path": path,
        }
        return JSONResponse(episode, headers=_to_keep("json"))

    @app.get("/api/path.{kind}")
    async def as_film(visitor: Visitor, kind: str) -> Response:
        if kind not in FILMS:
            raise ForearmError(f"a path comes as json, {', '.join(FILMS)}, not as {kind}")
        path = await on_worker(visitor, lambda session: list(session.path))
        make, media_type = FILMS[kind]
        content = await asyncio.get_running_loop().run_in_executor(films, make, stage.layout, path)
        return Response(content, media_type=media_type, headers=_to_keep(kind))

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


PAGE = {"index.html": "text/html; charset=utf-8", "app.css": "text/css", "app.js": "text/javascript"}
"""The files of the page and their kinds."""
FILMS: dict[str, tuple[Callable[..., bytes], str]] = {"mp4": (clip.mp4, "video/mp4"), "gif": (clip.gif, "image/gif")}


async def visitor_of(request: Request, response: Response) -> str:
    """The visitor's name, from the cookie; whoever has none is given one."""
    name = request.cookies.get(COOKIE, "")
    if not re.fullmatch(r"[\w-]{22}", name):
        name = secrets.token_urlsafe(16)
        response.set_cookie(COOKIE, name, httponly=True, samesite="strict")
    return name


Visitor = Annotated[str, Depends(visitor_of)]


def _to_keep(kind: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="path.{kind}"'}


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
            return _refusal("this is not the address that forearm play printed; open that one, or use --allow-host")
        if _is_foreign(request):
            return _refusal("another site may not ask this")
        origin, own = request.headers.get("origin"), f"{request.scope['scheme']}://{host}"
        if origin is not None and origin != own:
            return _refusal(f"{origin} is another site than {own}; a proxy has to pass on Host and X-Forwarded-Proto")
        if self._access.token is not None:
            brought = request.query_params.get("token")
            if not _equal(brought or request.cookies.get(self._cookie, ""), self._access.token):
                return _refusal("a token is missing; open the whole address that forearm play printed")
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
