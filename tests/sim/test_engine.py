"""Where MuJoCo cannot draw, the user reads one line that says what to do."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

if find_spec("mujoco") is None:
    pytest.skip("needs the extra `sim`", allow_module_level=True)

RENDER = """
from forearm.base.errors import ForearmError
try:
    from forearm.sim import Simulator
    print(Simulator().render("base", (32, 32)).shape)
except ForearmError as error:
    print(error)
"""
# How PyOpenGL fails without libEGL, by what is still there.
BREAK = """
import sys
class Broken:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "OpenGL":
            raise {error}
sys.meta_path.insert(0, Broken())
"""


def output(code: str, **environment: str) -> str:
    """What a fresh Python without a display prints."""
    kept = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=kept | environment, check=True
    )
    return done.stdout.strip()


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="EGL is Linux's way to draw without a display")


def test_it_draws_without_a_display() -> None:
    assert output(RENDER) == "(32, 32, 3)"


@pytest.mark.parametrize("error", ["ImportError('libEGL.so.1')", "AttributeError('eglQueryString')"])
def test_missing_libraries_are_named(error: str) -> None:
    line = output(BREAK.format(error=error) + RENDER)
    assert line.startswith("MuJoCo cannot draw because OpenGL libraries are missing; run `apt-get install")
    assert "libegl1 libopengl0 libgl1-mesa-dri" in line
    assert "\n" not in line


def test_a_users_backend_wins() -> None:
    assert output("import forearm.sim.engine, os; print(os.environ['MUJOCO_GL'])") == "egl"
    assert output("import forearm.sim.engine, os; print(os.environ['MUJOCO_GL'])", MUJOCO_GL="disable") == "disable"


def test_a_display_that_leads_nowhere_is_none() -> None:
    assert output(RENDER, DISPLAY=":77") == "(32, 32, 3)"
    assert output(RENDER, WAYLAND_DISPLAY="wayland-77") == "(32, 32, 3)"


def test_a_backend_that_is_none_is_named() -> None:
    line = output(RENDER, MUJOCO_GL="nonsense")
    assert line.startswith("MuJoCo cannot draw because MUJOCO_GL is nonsense (invalid value")
    assert "\n" not in line


def test_mujoco_imported_too_early_is_explained() -> None:
    assert output("import mujoco\n" + RENDER).endswith("found no display; set MUJOCO_GL=egl")
