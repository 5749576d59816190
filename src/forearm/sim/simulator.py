"""The simulated SO-101: targets in, joints and pictures out."""

import numpy as np

from forearm.base.errors import ForearmError
from forearm.sim.engine import make_renderer, mujoco
from forearm.sim.names import CAMERAS, JOINTS, PHYSICS_HZ
from forearm.sim.scene import build_model

_GRIPPER = JOINTS.index("gripper")
_GRIPPER_RANGE = (-10.0, 100.0)  # degrees of the moving jaw at 0 and at 100


class Simulator:
    """One SO-101 on a table.

    Joints are (6,) float32 in the order of ``JOINTS``: degrees, the gripper 0 (closed) to 100 (open).

    Args:
        session_seed: decides the objects and the light.
    """

    def __init__(self, session_seed: int = 0) -> None:
        self.model = build_model(session_seed)
        self.data = mujoco.MjData(self.model)
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}
        mujoco.mj_forward(self.model, self.data)

    @property
    def limits(self) -> np.ndarray:
        """Lowest and highest joint values, (2, 6) float32."""
        return np.stack([_from_radians(bound) for bound in self.model.jnt_range.T])

    def joints(self) -> np.ndarray:
        """Measured joints, (6,) float32."""
        return _from_radians(self.data.qpos)

    def targets(self) -> np.ndarray:
        """The servos' present targets, (6,) float32."""
        return _from_radians(self.data.ctrl)

    def place(self, joints: np.ndarray) -> None:
        """Put the arm at rest at ``joints`` with the targets that hold it there against gravity."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = _to_radians(joints)
        mujoco.mj_forward(self.model, self.data)
        stiffness = self.model.actuator_gainprm[:, 0]
        self.data.ctrl[:] = self.data.qpos + self.data.qfrc_bias / stiffness

    def step(self, targets: np.ndarray, seconds: float) -> None:
        """Send ``targets`` (6,) to the servos and let ``seconds``, a multiple of 1/300, pass."""
        self.data.ctrl[:] = _to_radians(targets)
        mujoco.mj_step(self.model, self.data, nstep=round(seconds * PHYSICS_HZ))

    def follow(self, targets: np.ndarray) -> None:
        """Send one of ``targets`` (n, 6) at each physics step, 1/300 s."""
        for target in targets:
            self.step(target, 1 / PHYSICS_HZ)

    def touching(self) -> bool:
        """Whether the arm touches itself, the table or an object."""
        return self.data.ncon > 0

    def render(self, camera: str, size: tuple[int, int] = (224, 224)) -> np.ndarray:
        """Draw what a camera sees, (height, width, 3) uint8.

        Args:
            camera: one of ``CAMERAS``.
            size: height and width, pixels.

        Raises:
            ForearmError: no such camera, or this machine cannot draw.
        """
        if camera not in CAMERAS:
            raise ForearmError(f"there is no camera {camera!r}; the simulator has {', '.join(CAMERAS)}")
        if size not in self._renderers:
            self._renderers[size] = make_renderer(self.model, *size)
        renderer = self._renderers[size]
        mujoco.mj_kinematics(self.model, self.data)  # a step leaves bodies where they were before it
        mujoco.mj_camlight(self.model, self.data)
        renderer.update_scene(self.data, camera)
        return renderer.render()

    def snapshot(self) -> np.ndarray:
        """Everything that decides what the simulator does next, a vector of MuJoCo's."""
        signature = mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.empty(mujoco.mj_stateSize(self.model, signature))
        mujoco.mj_getState(self.model, self.data, state, signature)
        return state

    def restore(self, snapshot: np.ndarray) -> None:
        """Go back to a `snapshot` of this simulator; what follows is then identical."""
        mujoco.mj_setState(self.model, self.data, snapshot, mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_forward(self.model, self.data)

    def close(self) -> None:
        """Free the renderers."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()


def _from_radians(angles: np.ndarray) -> np.ndarray:
    joints = np.degrees(angles)
    low, high = _GRIPPER_RANGE
    joints[_GRIPPER] = (joints[_GRIPPER] - low) / (high - low) * 100
    return joints.astype(np.float32)


def _to_radians(joints: np.ndarray) -> np.ndarray:
    angles = np.array(joints, dtype=np.float64)
    low, high = _GRIPPER_RANGE
    angles[_GRIPPER] = low + angles[_GRIPPER] / 100 * (high - low)
    return np.radians(angles)
