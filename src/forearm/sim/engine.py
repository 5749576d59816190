"""MuJoCo, imported so that it can draw without a display."""

import os
import sys

from forearm.base.errors import ForearmError

_LIBRARIES = "OpenGL libraries are missing; run `apt-get install libegl1 libopengl0 libgl1-mesa-dri`"


def _opens_display() -> bool:
    """Whether a window could be opened; DISPLAY may lead nowhere, as in a container or in tmux after ssh."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        import glfw  # which MuJoCo brings along and draws with

        glfw.ERROR_REPORTING = "ignore"
        return bool(glfw.init())  # MuJoCo will do the same; it may be done twice
    except (ImportError, OSError):
        return False


_backend = os.environ.get("MUJOCO_GL", "")
_headless = sys.platform == "linux" and not _backend and not _opens_display()
# MuJoCo reads the variable once, when it is first imported.
_imported_blind = _headless and "mujoco" in sys.modules
if _headless and not _imported_blind:
    os.environ["MUJOCO_GL"] = "egl"  # a user's setting wins


def _cannot_draw(error: Exception) -> ForearmError:
    if _backend:
        why = f"MUJOCO_GL is {_backend} ({' '.join(str(error).split())[:80]}); unset it, or set it to egl or osmesa"
    else:
        why = f"{_LIBRARIES}, or set MUJOCO_GL to a backend that works here"
    return ForearmError(f"MuJoCo cannot draw because {why}")


try:
    import mujoco
except ModuleNotFoundError as error:
    raise ForearmError("the simulator needs MuJoCo; run `pip install 'forearm[sim]'`") from error
except Exception as error:  # the OpenGL binding fails with another exception for every missing library
    raise _cannot_draw(error) from error


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
        raise _cannot_draw(error) from error
