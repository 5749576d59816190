"""The page of an arm that learns on, and a server that shows it meanwhile."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from fastapi import FastAPI

from forearm.play.access import OPEN, Access
from forearm.play.server import address, serve
from forearm.play.web import Guard, serving

FILES = {"/": "learn.html", "/app.css": "app.css", "/learn.css": "learn.css", "/learn.js": "learn.js"}


class Board(Protocol):
    """What the page shows, and what people say on it."""

    def to_json(self) -> dict[str, Any]:
        """The latest state."""
        ...

    def say_rearranged(self) -> None:
        """The scene was rearranged."""
        ...

    def stop(self) -> None:
        """End learning after the action under way."""
        ...


def make_learn_app(board: Board, access: Access = OPEN) -> FastAPI:
    """The app: ``board`` is what it shows, ``access`` says who may use it."""
    app = FastAPI(title="forearm learn", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, access=access)
    for path, name in FILES.items():
        app.get(path)(serving(name))

    @app.get("/api/learning")
    async def state() -> dict[str, Any]:
        return board.to_json()

    @app.post("/api/rearranged")
    async def rearranged() -> dict[str, Any]:
        board.say_rearranged()
        return board.to_json()

    @app.post("/api/stop")
    async def stop() -> dict[str, Any]:
        board.stop()
        return board.to_json()

    return app


@contextmanager
def served(board: Board, listening: socket.socket, host: str, allowed: tuple[str, ...], show: bool) -> Iterator[str]:
    """Serve the page for the length of a block, in a thread of its own; gives its address.

    Args:
        board: what it shows.
        listening: where, from `forearm.play.server.listen`; closed by whoever opened it.
        host: as it was given.
        allowed: further names under which the page may be opened.
        show: whether to open a browser.
    """
    access = Access.of(host, allowed)
    page = address(listening, host, access.token)
    app, ended = make_learn_app(board, access), threading.Event()

    def serving_it() -> None:
        try:
            serve(app, listening, show=page if show else None)
        except OSError:  # of a block that ended before the server had begun
            if not ended.is_set():
                raise

    threading.Thread(target=serving_it, daemon=True).start()
    try:
        yield page
    finally:
        ended.set()
