"""Serve the app: a listening socket, an address to type into a browser, and a server that no visitor can stall."""

import os
import socket
import sys
import threading
import webbrowser
from asyncio import TimerHandle, Transport
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from forearm.base.errors import ForearmError

PATIENCE = 10.0
"""Seconds after which a connection is closed that sends no whole request, or does not read what it is sent."""
MOST_CONNECTIONS = 256
"""So many connections are open at a time, fewer where the process may open few files."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens, so that whoever calls waits until the app is ready."""
    if not 0 <= port <= 65535:
        raise ForearmError(f"there is no port {port}; choose one up to 65535, or 0 for any that is free")
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(where[:2], family=family)
    except OSError as error:
        reason = error.strerror or error
        raise ForearmError(
            f"cannot listen on port {port} of {host}: {reason}; choose another --port (0: any that is free) or --host"
        ) from error


def address(listening: socket.socket, host: str, token: str | None = None) -> str:
    """What to type into a browser on this machine."""
    shown = "localhost" if host in ("", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    page = f"http://{shown}:{listening.getsockname()[1]}/"
    return page if token is None else f"{page}?token={token}"


def serve(app: FastAPI, listening: socket.socket, *, show: str | None = None, at_once: bool = True) -> None:
    """Serve until Ctrl-C.

    Args:
        app: to serve.
        listening: socket on which.
        show: an address to show in a browser.
        at_once: whether Ctrl-C ends the process with exit code 130, as there is nothing to be written any more. Uvicorn
            would wait for open connections, and Python at its end for predictions and films that nobody wants any more.

    Raises:
        KeyboardInterrupt: on Ctrl-C, unless it ends the process.
    """
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        backlog=max(1, most_connections() // 4),
        timeout_keep_alive=int(PATIENCE),
    )
    if show:
        threading.Thread(target=webbrowser.open, args=(show,), daemon=True).start()
    server = uvicorn.Server(config)
    server.handle_exit = _exit if at_once else _interrupt  # type: ignore[method-assign]
    server.run(sockets=[listening])


def _exit(sig: int, frame: FrameType | None) -> None:
    print("forearm: stopped", file=sys.stderr, flush=True)
    os._exit(130)


def _interrupt(sig: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def most_connections() -> int:
    """How many connections may be open, so that files can still be opened beside them."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit
        return MOST_CONNECTIONS
    return max(4, min(MOST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4))


class Connection(H11Protocol):
    """An HTTP connection that cannot be held open for nothing.

    It is closed when it brings no whole request in ``PATIENCE`` seconds, or does not read its answer for as long. Where
    connections are too many, the one that has kept the app waiting longest gives way to the newest.
    """

    _deadline: TimerHandle | None = None
    _unread = 0

    @property
    def is_answering(self) -> bool:
        """Whether a whole request has come whose answer is not yet on its way."""
        return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Else the second part of an answer waits 40 ms until the first is acknowledged. asyncio sets it for sockets
        # that name their protocol, which those of `socket.create_server` do not.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._expect()
        if len(self.connections) > most_connections():
            idle = [one for one in self.connections if isinstance(one, Connection) and one._deadline is not None]
            min(idle, key=lambda one: one._deadline.when()).give_up()  # type: ignore[union-attr]

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.is_answering:
            self._content()

    def on_response_complete(self) -> None:
        self._expect()
        super().on_response_complete()  # may take up the next request
        if self.is_answering:
            self._content()

    def connection_lost(self, exc: Exception | None) -> None:
        self._content()
        super().connection_lost(exc)

    def give_up(self) -> None:
        """Close at once, whatever has been sent or is still to be read."""
        self._content()
        self.connections.discard(self)
        self.transport.abort()

    def _expect(self) -> None:
        self._content()
        self._unread = self.transport.get_write_buffer_size()
        self._deadline = self.loop.call_later(PATIENCE, self._late)

    def _late(self) -> None:
        if self.transport.get_write_buffer_size() < self._unread:  # a slow reader, but one that reads
            self._expect()
        else:
            self.give_up()

    def _content(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
