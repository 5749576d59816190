"""The web app of a session with an arm: the page of `forearm play`, with an arm behind it.

Everybody may look and everybody may stop the arm; what moves it is asked for by the one visitor who holds control.
Whatever touches the arm happens on one thread, one thing after another. A stop does not wait for that thread, and what
was asked for before a stop is not begun after it.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from fastapi import FastAPI
from pydantic import BaseModel

from forearm.base.errors import ForearmError
from forearm.play.access import OPEN, Access
from forearm.play.app import Begin, Choice, TakeStep, start_of
from forearm.play.control import Control
from forearm.play.live import LiveSession
from forearm.play.live_stage import LiveStage
from forearm.play.state import live_state_of
from forearm.play.web import Visitor, make_web

T = TypeVar("T")


class MoveTo(BaseModel):
    """Move joints to a pose: positions in their units, by name."""

    pose: dict[str, float]


class LiveApp:
    """A session with an arm and who may do what in it, for `make_live_app`.

    Args:
        stage: the arm, and what predicts.
        session: with that arm; it was made on ``worker``.
        worker: the arm's thread.
    """

    def __init__(self, stage: LiveStage, session: LiveSession, worker: ThreadPoolExecutor):
        self.stage, self.session, self.worker = stage, session, worker
        self.control, self.moving = Control(), ""
        self._stops = itertools.count(1)
        self._stopped = 0

    def stop(self) -> None:
        """Stop the arm: at once what it does, and whatever was asked for before."""
        self._stopped = next(self._stops)
        self.stage.switch.press()
        self.worker.submit(self._held)

    def _held(self) -> None:
        self.stage.switch.let_go()
        self.session.halt()

    async def on_arm(self, visitor: str, what: str, work: Callable[[LiveSession], object]) -> dict[str, Any]:
        """Let the arm do something for whoever holds control; ``what`` says so meanwhile. Returns what is seen then."""
        self.control.require(visitor)
        asked = self._stopped

        def run() -> dict[str, Any]:
            if self._stopped != asked:
                raise ForearmError("the arm was stopped; press again if it is to move")
            self.moving, seen = what, self.session.last_number
            try:
                work(self.session)
            except KeyboardInterrupt as stopped:
                self.stage.switch.let_go()  # a key that stopped this stops nothing that is asked for now
                raise ForearmError(str(stopped) or "stopped; the arm holds its position") from None
            finally:
                self.moving = ""
            return live_state_of(self.session, since=seen)

        return await self.on_worker(run)

    async def on_worker(self, work: Callable[[], T]) -> T:
        """Do something on the arm's thread."""
        return await asyncio.get_running_loop().run_in_executor(self.worker, work)

    def status(self, visitor: str) -> dict[str, Any]:
        """What changes while nobody asks for anything, for a visitor; it waits for nothing."""
        session = self.session
        return {
            "control": self.control.of(visitor),
            "moving": "waiting for a y in its terminal" if self.stage.switch.is_asking else self.moving,
            "stiff": session.is_stiff,
            "seen": session.is_seen,
            "trouble": session.trouble,
            "version": session.version,
        }


def make_live_app(live: LiveApp, access: Access = OPEN) -> FastAPI:
    """The app: ``live`` is what it is about, ``access`` says who may use it."""
    app, stage, control = make_web("live", access), live.stage, live.control

    @app.get("/api/stage")
    async def about() -> dict[str, Any]:
        return stage.to_json()

    @app.get("/api/path")
    async def look(visitor: Visitor, since: int = -1) -> dict[str, Any]:
        return await live.on_worker(lambda: live_state_of(live.session, since))

    @app.get("/api/arm")
    async def status(visitor: Visitor) -> dict[str, Any]:
        return live.status(visitor)

    @app.post("/api/arm/stop")
    async def stop(visitor: Visitor) -> dict[str, Any]:
        live.stop()
        return live.status(visitor)

    @app.post("/api/arm/take")
    async def take(visitor: Visitor) -> dict[str, Any]:
        control.take(visitor)
        return live.status(visitor)

    @app.post("/api/arm/release")
    async def release(visitor: Visitor) -> dict[str, Any]:
        control.release(visitor)
        return live.status(visitor)

    @app.post("/api/path/choose")
    async def choose(visitor: Visitor, wanted: Choice) -> dict[str, Any]:
        return await live.on_arm(visitor, "", lambda session: session.choose(wanted.dimension, wanted.value))

    @app.post("/api/path/step")
    async def execute(visitor: Visitor, wanted: TakeStep) -> dict[str, Any]:
        def step(session: LiveSession) -> None:
            if session.now.number == wanted.number:  # else a second press
                session.step(wanted.which)

        return await live.on_arm(visitor, "moving", step)

    @app.post("/api/path/begin")
    async def begin(visitor: Visitor, wanted: Begin) -> dict[str, Any]:
        return await live.on_arm(
            visitor, "going to its start", lambda session: session.begin(lambda: start_of(stage.stage, wanted))
        )

    @app.post("/api/arm/move")
    async def move(visitor: Visitor, wanted: MoveTo) -> dict[str, Any]:
        return await live.on_arm(visitor, "moving slowly", lambda session: session.move_to(wanted.pose))

    for name, (words, work) in DEEDS.items():
        _add(app, live, name, words, work)
    return app


DEEDS: Mapping[str, tuple[str, Callable[[LiveSession], object]]] = {
    "home": ("moving slowly", LiveSession.home),
    "hold": ("becoming stiff", LiveSession.hold),
    "relax": ("going slack", LiveSession.relax),
    "look": ("", LiveSession.look),
}
"""What the arm does at the press of a button: what is said meanwhile, and how it is done."""


def _add(app: FastAPI, live: LiveApp, name: str, words: str, work: Callable[[LiveSession], object]) -> None:
    @app.post(f"/api/arm/{name}")
    async def do(visitor: Visitor) -> dict[str, Any]:
        return await live.on_arm(visitor, words, work)
