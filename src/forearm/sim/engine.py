"""MuJoCo, imported so that it can draw without a display."""

import os
import sys

from forearm.errors import ForearmError

_GL_HELP = (
    "MuJoCo cannot draw: OpenGL libraries are missing; "
    "run `apt-get install libegl1 libopengl0 libgl1-mesa-dri` (or set MUJOCO_GL to a backend that works here)"
)


def _choose_backend() -> None:
    """Draw off screen through EGL where there is no display; a user's MUJOCO_GL wins.

    MuJoCo reads the variable once, when it is first imported.
    """
    headless = sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if headless:
        os.environ.setdefault("MUJOCO_GL", "egl")


_choose_backend()
try:
    import mujoco
except ModuleNotFoundError as error:
    raise ForearmError("the simulator needs MuJoCo; run `pip install 'forearm[sim]'`") from error
except Exception as error:  # the OpenGL binding fails at import, with a different exception for every missing library
    raise ForearmError(_GL_HELP) from error


def make_renderer(model: mujoco.MjModel, height: int, width: int) -> mujoco.Renderer:
    """Open an off-screen renderer.

    Raises:
        ForearmError: no OpenGL context can be made on this machine.
    """
    model.vis.global_.offheight, model.vis.global_.offwidth = height, width  # read when the context is made
    try:
        return mujoco.Renderer(model, height, width)
    except Exception as error:  # mujoco.FatalError, RuntimeError or the binding's own, by backend
        raise ForearmError(_GL_HELP) from error
