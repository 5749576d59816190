"""Serve the app: a listening socket, the address to type into a browser, and the server that runs until Ctrl-C."""

import ipaddress
import socket
import threading
import webbrowser

import uvicorn
from fastapi import FastAPI

from forearm.errors import ForearmError


def serve(app: FastAPI, listening: socket.socket, *, show: str | None = None) -> None:
    """Serve until interrupted.

    Args:
        app: from `make_app`.
        listening: from `listen`.
        show: an address to open in a browser.
    """
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
    if show:
        threading.Thread(target=webbrowser.open, args=(show,), daemon=True).start()
    server.run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens, so that whoever calls waits until the app is ready.

    Raises:
        ForearmError: the port is in use or not allowed, or the host is no name or address of this machine.
    """
    if not 0 <= port <= 65535:
        raise ForearmError(f"there is no port {port}; choose one up to 65535, or 0 for any that is free")
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(place[:2], family=family)
    except OSError as error:
        reason = error.strerror or error
        raise ForearmError(
            f"cannot listen on port {port} of {host}: {reason}; choose another --port (0: any that is free) or --host"
        ) from error


def address(listening: socket.socket, host: str) -> str:
    """What to type into a browser on this machine."""
    shown = "localhost" if host in ("", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}/"


def names_of(host: str) -> frozenset[str] | None:
    """Under which names the app may be called: of this machine alone where it listens there alone, else any."""
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    return frozenset({"127.0.0.1", "localhost", "::1", host}) if is_loopback else None
