"""The web app: one page, and beneath it a handful of addresses that speak JSON.

Whatever touches a model or the simulator happens on one thread, one thing after another and each as a whole: a browser
that leaves in mid-step leaves a session before or after the step.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from forearm.base.errors import ForearmError
from forearm.play import clip
from forearm.play.access import OPEN, Access
from forearm.play.session import PlaySession, Start
from forearm.play.stage import Stage
from forearm.play.state import state_of
from forearm.play.visitors import Visitors
from forearm.play.web import Visitor, make_web

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


def start_of(stage: Stage, wanted: Begin) -> Start:
    """The start that is asked for.

    Raises:
        ForearmError: the stage has no such source, or the source no such start.
    """
    if wanted.source not in stage.sources:
        raise ForearmError(f"there is no {wanted.source!r} here; choose among {', '.join(stage.sources)}")
    source = stage.sources[wanted.source]
    number = int(np.random.default_rng().integers(source.count)) if wanted.number is None else wanted.number
    return source.begin(number)


def make_app(stage: Stage, access: Access = OPEN) -> FastAPI:
    """The app: ``stage`` is what is played with, ``access`` says who may use it."""
    app = make_web("play", access)
    worker = ThreadPoolExecutor(1, thread_name_prefix="model")
    worker.submit(lambda: stage.session().previews()).result()  # what cannot be is said before anybody comes
    films = ThreadPoolExecutor(1, thread_name_prefix="film")  # nobody's steps wait for it
    visitors = Visitors(stage.session)

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
        return await changed(visitor, lambda session: session.reset(start_of(stage, wanted)))

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

    return app


FILMS: dict[str, tuple[Callable[..., bytes], str]] = {"mp4": (clip.mp4, "video/mp4"), "gif": (clip.gif, "image/gif")}


def _to_keep(kind: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="path.{kind}"'}
