"""The simulated SO-101: targets in, joints and pictures out."""

import numpy as np

from forearm.base.errors import ForearmError
from forearm.sim.engine import make_renderer, mujoco
from forearm.sim.names import CAMERAS, CONTROL_HZ, JOINTS, PHYSICS_HZ
from forearm.sim.objects import World
from forearm.sim.scene import REGION, build_model

_GRIPPER = JOINTS.index("gripper")
_GRIPPER_RANGE = (-10.0, 100.0)  # degrees of the moving jaw at 0 and at 100
_ARM = slice(0, len(JOINTS))  # of MuJoCo's positions; those of free objects follow
_NEAREST = 0.008  # metres before a camera from which on it shows things


class Simulator:
    """One SO-101 on a table.

    Joints are (6,) float32 in the order of ``JOINTS``: degrees, the gripper 0 (closed) to 100 (open).

    A pose of an object is (7,): position in metres, z up and the table at 0, and quaternion (w, x, y, z).

    Args:
        session_seed: decides the objects and the light.
        world: what free objects there are; without one all objects are fixed to the table.
    """

    def __init__(self, session_seed: int = 0, world: World | None = None) -> None:
        self.model = build_model(session_seed, world)
        self.data = mujoco.MjData(self.model)
        self.objects = () if world is None else world.draw(session_seed)
        self._outlines = [thing.outline for thing in self.objects]
        self._touched = np.zeros(len(self.objects), bool)
        self._owner = self._owners()
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}
        mujoco.mj_forward(self.model, self.data)
        self.away = self.poses()
        """Poses of the objects in which they are out of the way."""

    def _owners(self) -> np.ndarray:
        """Whose each geom is, (n,): −1 of the arm, the number of a free object, or −2 of the room."""
        of_body = dict.fromkeys(self.arm_bodies, -1)
        of_body |= {self.model.body(thing.name).id: number for number, thing in enumerate(self.objects)}
        return np.array([of_body.get(int(body), -2) for body in self.model.geom_bodyid])

    @property
    def arm_bodies(self) -> list[int]:
        """The numbers of the arm's bodies in MuJoCo."""
        base = self.model.body("base").id
        return [body for body in range(self.model.nbody) if self.model.body_rootid[body] == base]

    @property
    def limits(self) -> np.ndarray:
        """Lowest and highest joint values, (2, 6) float32."""
        return np.stack([from_radians(bound) for bound in self.model.jnt_range[_ARM].T])

    def joints(self) -> np.ndarray:
        """Measured joints, (6,) float32."""
        return from_radians(self.data.qpos[_ARM])

    def targets(self) -> np.ndarray:
        """The servos' present targets, (6,) float32."""
        return from_radians(self.data.ctrl)

    def place(self, joints: np.ndarray) -> None:
        """Put the arm at rest at ``joints`` with the targets that hold it there against gravity.

        Objects keep their poses and come to rest.
        """
        poses, region = self.poses(), self.data.mocap_pos.copy()
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[_ARM] = to_radians(joints)
        self.data.qpos[len(JOINTS) :] = poses.ravel()
        self.data.mocap_pos[:] = region
        mujoco.mj_forward(self.model, self.data)
        stiffness = self.model.actuator_gainprm[:, 0]
        self.data.ctrl[:] = self.data.qpos[_ARM] + self.data.qfrc_bias[_ARM] / stiffness

    def load(self) -> np.ndarray:
        """Share of the most force of each servo that it needs at present, (6,) from 0 to 1."""
        return np.abs(self.data.actuator_force) / self.model.actuator_forcerange[:, 1]

    def relax(self) -> None:
        """Let the servos go slack, until `stiffen`."""
        self.model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_ACTUATION

    def stiffen(self) -> None:
        """Let the servos hold the joints where they are."""
        self.model.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_ACTUATION)
        self.data.ctrl[:] = self.data.qpos[_ARM]

    def poses(self) -> np.ndarray:
        """The objects' poses, (objects, 7) float64."""
        return self.data.qpos[len(JOINTS) :].reshape(-1, 7).copy()

    def place_objects(self, poses: np.ndarray, region: np.ndarray | None = None) -> None:
        """Put the objects at rest at ``poses`` (objects, 7), and the region, if there is one, at a point (2,)."""
        self.data.qpos[len(JOINTS) :] = poses.ravel()
        self.data.qvel[len(JOINTS) :] = 0
        if region is not None:
            self.data.mocap_pos[self.model.body_mocapid[self.model.body(REGION).id]] = [*region, 0]
        mujoco.mj_forward(self.model, self.data)

    def step(self, targets: np.ndarray, seconds: float) -> None:
        """Send ``targets`` (6,) to the servos and let ``seconds``, a multiple of 1/300, pass."""
        self.data.ctrl[:] = to_radians(targets)
        steps = round(seconds * PHYSICS_HZ)
        if not self.objects:
            mujoco.mj_step(self.model, self.data, nstep=steps)
            return
        for _ in range(steps):
            mujoco.mj_step(self.model, self.data)
            self._touched |= self.touched()

    def approach(self, before: np.ndarray, targets: np.ndarray, steps: int) -> None:
        """Send targets that go evenly from ``before`` to ``targets``, both (6,), in so many control steps."""
        for share in np.arange(1, steps + 1) / steps:
            self.step(before + share * (targets - before), 1 / CONTROL_HZ)

    def follow(self, targets: np.ndarray) -> None:
        """Send one of ``targets`` (n, 6) at each physics step, 1/300 s."""
        for target in targets:
            self.step(target, 1 / PHYSICS_HZ)

    def touching(self, objects: bool = True) -> bool:
        """Whether the arm touches itself, the table or, where ``objects`` count, a free one."""
        owners = self._contacts()
        return bool(((owners == -1).any(axis=1) & (objects | (owners < 0).all(axis=1))).any())

    def touched(self) -> np.ndarray:
        """Which objects the arm touches at present, (objects,) bool."""
        owners = self._contacts()
        numbers = owners[(owners == -1).any(axis=1)].max(axis=1)  # of the arm's contacts
        touched = np.zeros(len(self.objects), bool)
        touched[numbers[numbers >= 0]] = True
        return touched

    def was_touched(self) -> np.ndarray:
        """Which objects the arm touched since `environment` or `restore` were last called, (objects,) bool."""
        return self._touched.copy()

    def _contacts(self) -> np.ndarray:
        """Whose geoms touch, (n, 2), as in `_owners`."""
        return self._owner[self.data.contact.geom]

    def environment(self) -> np.ndarray:
        """What `ObjectNames` names, (objects · 16,) float32; it forgets which objects were touched until now."""
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)
        boxes = np.stack([self._boxes(camera) for camera in CAMERAS], axis=1).reshape(len(self.objects), -1)
        state = np.column_stack([self.poses(), self._touched, boxes])
        self._touched[:] = False
        return state.ravel().astype(np.float32)

    def _boxes(self, camera: str) -> np.ndarray:
        """Left, top, right and bottom of each object in a camera's square picture, (objects, 4) in its sides."""
        boxes = np.zeros((len(self.objects), 4))
        for box, thing, outline in zip(boxes, self.objects, self._outlines, strict=True):
            body = self.data.body(thing.name)
            seen = self.seen(camera, outline @ body.xmat.reshape(3, 3).T + body.xpos)
            if np.isfinite(seen).all():
                box[:] = [*seen.min(axis=0), *seen.max(axis=0)]
        return boxes

    def seen(self, camera: str, points: np.ndarray) -> np.ndarray:
        """Where points (n, 3) are in a camera's square picture, (n, 2) right and down in its sides; NaN behind it."""
        number = self.model.camera(camera).id
        half = np.tan(np.radians(self.model.cam_fovy[number]) / 2)
        seen = (points - self.data.cam_xpos[number]) @ self.data.cam_xmat[number].reshape(3, 3)  # right, up, back
        depth = np.where(seen[:, 2:] < -_NEAREST, -seen[:, 2:], np.nan)
        return 0.5 + seen[:, :2] * [1, -1] / (2 * half * depth)

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
        self._touched[:] = False

    def close(self) -> None:
        """Free the renderers."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()


def from_radians(angles: np.ndarray) -> np.ndarray:
    """MuJoCo's joint positions (6,) in the units of `Simulator`, float32."""
    joints = np.degrees(angles)
    low, high = _GRIPPER_RANGE
    joints[_GRIPPER] = (joints[_GRIPPER] - low) / (high - low) * 100
    return joints.astype(np.float32)


def to_radians(joints: np.ndarray) -> np.ndarray:
    """The reverse of `from_radians`, float64."""
    angles = np.array(joints, dtype=np.float64)
    low, high = _GRIPPER_RANGE
    angles[_GRIPPER] = low + angles[_GRIPPER] / 100 * (high - low)
    return np.radians(angles)
