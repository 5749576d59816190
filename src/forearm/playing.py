"""From a run to a page at an address of this machine: what ``forearm play`` does."""

import ipaddress
import socket
import threading
import webbrowser
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from forearm.canvas import STAY
from forearm.devices import device_named
from forearm.errors import ForearmError
from forearm.play.app import Stage
from forearm.play.truth import Recording, Simulation, Source
from forearm.training.run import Checkpoint, Run
from forearm.transitions import TransitionSet


def open_stage(
    run_path: Path,
    *,
    data: Path | None = None,
    simulator: int | None = None,
    checkpoint: Checkpoint = "best",
    device: str = "auto",
) -> Stage:
    """Open a run to play with.

    Args:
        run_path: the run's folder.
        data: the dataset whose moments to begin from; the run's own by default, which only ``simulator`` makes
            dispensable.
        simulator: a scene of the simulated SO-101 to begin in and to have beside as truth.
        checkpoint: which weights.
        device: where to predict.

    Raises:
        ForearmError: run, weights or data are missing, damaged, or do not fit each other or the simulator.
    """
    place = device_named(device)
    run = Run.open(run_path)
    config, layout = run.config(), run.layout()
    model = run.load(checkpoint, place)
    sources: list[Source] = []
    if simulator is not None:
        sources.append(Simulation(layout, simulator))
    try:
        sources.append(Recording(TransitionSet(data or Path(config["data"]["path"])), layout, f"run {run.name}"))
    except ForearmError as error:
        if data is not None or not sources:
            raise ForearmError(f"{error} (choose moments to begin from with --data, or --simulator)") from error
    seen = {int(code): count for code, count in config["data"]["actions_seen"].items()}
    practised = (STAY,) if config["model"].get("synthetic_stay") and not seen.get(STAY) else ()
    by_name = {source.name: source for source in sources}
    return Stage(run.name, config["family"], model, layout, by_name, seen, practised, place)


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
