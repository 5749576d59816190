"""The cameras: what the simulator draws, sent over Unix sockets to whoever opens them.

A client connects to a camera's socket and sends the width and the height that it wants, as two little-endian uint32.
Then it gets one picture after another, (height, width, 3) uint8 in the order blue, green, red, until it hangs up. A
camera that is switched off sends nothing. Through ``video.c``, OpenCV opens these sockets as V4L2 devices: of what else
it opens, it lets nobody set the size, which LeRobot insists on.
"""

import contextlib
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from forearm.base.errors import ForearmError
from forearm.sim import CAMERAS, Simulator
from forearm.virtual.scene import Scene

REQUEST = struct.Struct("<II")
LARGEST = 2000
"""Pixels of a side that a client may ask for."""
USUAL = (480, 640)
"""Height and width that are mostly asked for."""
DRAWN = 240
"""Rows that are drawn at most, where larger pictures can be had by repeating pixels: drawing takes the time."""


@dataclass
class Moment:
    """What is to be drawn."""

    scene: Scene
    state: np.ndarray
    """A `snapshot` of the simulator."""


@dataclass(eq=False)
class Client:
    """Somebody who has opened a camera."""

    camera: str
    size: tuple[int, int]
    """Height and width."""
    connection: socket.socket
    waiting: threading.Event = field(default_factory=threading.Event)
    """Set while the client has no picture to send."""
    pictures: "SimpleQueue[bytes | None]" = field(default_factory=SimpleQueue)
    """The next one; None ends it."""

    def send(self) -> None:
        """Send pictures until the client hangs up; one that reads slowly gets fewer."""
        with contextlib.suppress(OSError), self.connection:
            self.waiting.set()
            while picture := self.pictures.get():
                self.connection.sendall(picture)
                self.waiting.set()


class Cameras:
    """Sockets for the cameras, and a thread that draws for those who have opened one.

    Args:
        folder: gets a socket for each camera.
        moment: the present.
        fps: pictures a second, at most.

    Raises:
        ForearmError: this machine cannot draw.
    """

    def __init__(self, folder: Path, moment: Moment, fps: float):
        self.moment, self.fps = moment, fps
        self.off: set[str] = set()
        """Cameras that send nothing at present."""
        self._clients: list[Client] = []
        self._failure: ForearmError | None = None
        self._ended, self._ready = threading.Event(), threading.Event()
        self._sockets = {name: _listen(folder / name) for name in CAMERAS}
        self._threads = [threading.Thread(target=self._draw, daemon=True)]
        self._threads += [threading.Thread(target=self._accept, args=(name,), daemon=True) for name in CAMERAS]
        for thread in self._threads:
            thread.start()
        self._ready.wait()
        if self._failure:
            raise self._failure

    def close(self) -> None:
        """Stop drawing, and hang up."""
        self._ended.set()
        self._threads[0].join()
        for listening in self._sockets.values():
            listening.close()
        for client in list(self._clients):
            client.pictures.put(None)

    def _accept(self, camera: str) -> None:
        """Take on who connects."""
        while True:
            try:
                connection, _ = self._sockets[camera].accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(camera, connection), daemon=True).start()

    def _serve(self, camera: str, connection: socket.socket) -> None:
        try:
            width, height = REQUEST.unpack(connection.recv(REQUEST.size, socket.MSG_WAITALL))
        except (struct.error, OSError):  # who looks whether somebody is there
            connection.close()
            return
        if not (0 < width <= LARGEST and 0 < height <= LARGEST):
            connection.close()
            return
        client = Client(camera, (height, width), connection)
        self._clients.append(client)
        client.send()
        self._clients.remove(client)

    def _draw(self) -> None:
        """Draw what is wanted, with a simulator of its own, as OpenGL wants one thread."""
        moment = self.moment
        simulator, scene = moment.scene.build(), moment.scene
        try:
            picture(simulator, CAMERAS[0], USUAL)  # opens what is needed to draw, which takes a while
        except ForearmError as error:
            self._failure = error
        self._ready.set()
        drawn: dict[tuple[str, tuple[int, int]], tuple[bytes, bytes]] = {}  # by camera and size: pose and picture
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due = max(due + 1 / self.fps, time.monotonic())
            moment, clients = self.moment, list(self._clients)
            asked = [client for client in clients if client.waiting.is_set() and client.camera not in self.off]
            if scene != moment.scene:
                simulator.close()
                simulator, scene = moment.scene.build(), moment.scene
                drawn.clear()
            if asked:
                simulator.restore(moment.state)
            pose = np.round(simulator.data.qpos, 4).tobytes()
            for client in asked:
                view = client.camera, client.size
                if view not in drawn or drawn[view][0] != pose:
                    drawn[view] = pose, picture(simulator, *view)
                client.waiting.clear()
                client.pictures.put(drawn[view][1])
        simulator.close()


def picture(simulator: Simulator, camera: str, size: tuple[int, int]) -> bytes:
    """What a camera sees, height × width × 3 bytes in the order blue, green, red."""
    times = max(n for n in range(1, LARGEST) if n == 1 or (size[0] % n == 0 == size[1] % n and size[0] // n >= DRAWN))
    seen = simulator.render(camera, (size[0] // times, size[1] // times))
    return seen[..., ::-1].repeat(times, axis=0).repeat(times, axis=1).tobytes()


def video_library(folder: Path) -> Path | None:
    """Compile ``video.c``, by which OpenCV opens the cameras as devices; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if not compiler or sys.platform != "linux":
        return None
    library = folder / "video.so"
    source = files("forearm.virtual").joinpath("video.c").read_bytes()
    words = [compiler, "-xc", "-", "-O2", "-shared", "-fPIC", "-o", str(library), "-ldl"]
    done = subprocess.run(words, input=source, capture_output=True, check=False)
    return library if done.returncode == 0 else None


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    return listening
