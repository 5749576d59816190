"""MuJoCo, imported so that it can draw without a display."""

import os
import sys

from forearm.base.errors import ForearmError

_NO_GL = (
    "MuJoCo cannot draw because OpenGL libraries are missing; "
    "run `apt-get install libegl1 libopengl0 libgl1-mesa-dri`, or set MUJOCO_GL to a backend that works here"
)
_headless = sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
# MuJoCo reads the variable once, when it is first imported.
_imported_blind = _headless and "MUJOCO_GL" not in os.environ and "mujoco" in sys.modules
if _headless and not _imported_blind:
    os.environ.setdefault("MUJOCO_GL", "egl")  # a user's setting wins

try:
    import mujoco
except ModuleNotFoundError as error:
    raise ForearmError("the simulator needs MuJoCo; run `pip install 'forearm[sim]'`") from error
except Exception as error:  # the OpenGL binding fails with another exception for every missing library
    raise ForearmError(_NO_GL) from error


def make_renderer(model: mujoco.MjModel, height: int, width: int) -> mujoco.Renderer:
    """Open an off-screen renderer.

    Raises:
        ForearmError: no OpenGL context can be made on this machine.
    """
    if _imported_blind:  # trying regardless would end the process
        raise ForearmError("mujoco was imported before forearm.sim and found no display; set MUJOCO_GL=egl")
    model.vis.global_.offheight, model.vis.global_.offwidth = height, width  # read when the context is made
    try:
        return mujoco.Renderer(model, height, width)
    except Exception as error:  # mujoco.FatalError, ImportError or the binding's own
        raise ForearmError(_NO_GL) from error
