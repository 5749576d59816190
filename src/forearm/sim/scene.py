"""The table around the arm: everything that a session's seed decides."""

from importlib.resources import files

import numpy as np

from forearm.sim.engine import mujoco
from forearm.sim.names import PAN_AXIS, PHYSICS_HZ
from forearm.sim.objects import COLOURS, FRICTION, FreeObject, Part, World

TABLE_SIZE = (1.05, 1.10)  # metres, along x and y
TABLE_CENTRE = (0.225, 0.0)
_PIXELS_PER_METRE = 640
REGION, REGION_RADIUS = "region", 0.035
"""A marked place on the table, and its radius in metres."""
_OBJECT_SHAPES = ("box", "cylinder", "sphere")


def build_model(session_seed: int, world: World | None = None) -> mujoco.MjModel:
    """Put the arm on a table with objects, lights and the base camera.

    The table top, the room and the cameras are the same in every session; the objects' positions, shapes and
    sizes and the light vary with ``session_seed``. The objects are fixed, unless a ``world`` has free ones.
    """
    rng = np.random.default_rng(session_seed)
    spec = mujoco.MjSpec.from_string(files("forearm.sim").joinpath("so101.xml").read_text(encoding="utf-8"))
    spec.option.timestep = 1 / PHYSICS_HZ
    _set_picture_quality(spec)
    _add_surroundings(spec)
    _add_light(spec, rng)
    if world is None:
        _add_objects(spec, rng)
    else:
        _add_world(spec, world, session_seed)
    _add_base_camera(spec)
    return spec.compile()


def _set_picture_quality(spec: mujoco.MjSpec) -> None:
    """Shadows and edges fine enough for 224 pixels; more would only cost time, which small pictures feel most."""
    visual = spec.visual
    visual.quality.shadowsize, visual.quality.offsamples = 768, 4
    visual.quality.numslices, visual.quality.numstacks, visual.quality.numquads = 16, 10, 1
    spec.stat.center, spec.stat.extent = [0.18, 0, 0.1], 0.6  # where shadows are drawn
    visual.map.znear, visual.map.zfar, visual.map.shadowclip = 0.008, 10, 1.35
    visual.headlight.ambient = [0.30] * 3
    visual.headlight.diffuse = [0.30] * 3
    visual.headlight.specular = [0.05] * 3


def _add_surroundings(spec: mujoco.MjSpec) -> None:
    """A parquet table and, well below it, a dark tiled floor."""
    box = mujoco.mjtGeom.mjGEOM_BOX
    _add_material(spec, "parquet", parquet(TABLE_SIZE))
    _add_material(spec, "tiles", tiles())
    world = spec.worldbody
    half = [TABLE_SIZE[0] / 2, TABLE_SIZE[1] / 2, 0.02]
    world.add_geom(name="table", type=box, size=half, pos=[*TABLE_CENTRE, -0.02], material="parquet")
    world.add_geom(
        name="floor", type=box, size=[3, 3, 0.01], pos=[0, 0, -0.75], material="tiles", contype=0, conaffinity=0
    )
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.55, 0.62, 0.70],
        rgb2=[0.25, 0.28, 0.33],
        width=64,
        height=384,
    )


def _add_material(spec: mujoco.MjSpec, name: str, picture: np.ndarray) -> None:
    height, width, _ = picture.shape
    flat = mujoco.mjtTexture.mjTEXTURE_2D
    texture = spec.add_texture(name=name, type=flat, width=width, height=height, nchannel=3)
    texture.data = picture.tobytes()
    textures = [""] * mujoco.mjtTextureRole.mjNTEXROLE
    textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    spec.add_material(name=name, textures=textures, specular=0.1, shininess=0.1)


def parquet(size: tuple[float, float], seed: int = 0) -> np.ndarray:
    """Draw wooden floor boards, each with its own tone, length and grain, so that no two places look alike.

    Args:
        size: metres along x and y.

    Returns:
        (height, width, 3) uint8.
    """
    rng = np.random.default_rng(seed)
    width, height = (round(side * _PIXELS_PER_METRE) for side in size)
    picture = np.zeros((height, width, 3))
    board = round(0.065 * _PIXELS_PER_METRE)
    for top in range(0, height, board):
        left = -int(rng.integers(0, board * 3))
        while left < width:
            right = left + int(rng.integers(board * 2, board * 5))
            tone = np.array([0.66, 0.47, 0.30]) * rng.uniform(0.62, 1.22) + rng.uniform(-0.03, 0.03, 3)
            area = picture[top : top + board, max(left, 0) : right]
            rows = np.arange(area.shape[0])[:, None]
            waves = np.sin(rows * rng.uniform(0.5, 1.1) + rng.uniform(0, 6)) * 0.025
            grain = rng.normal(0, 0.018, area.shape[:2]) + waves
            area[:] = tone + grain[..., None]
            area[:2] *= 0.7
            area[:, -2:] *= 0.7
            left = right
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8)


def tiles(count: int = 24, pixels: int = 16, seed: int = 1) -> np.ndarray:
    """Draw a floor of bluish tiles with differing tones, (count·pixels, count·pixels, 3) uint8."""
    rng = np.random.default_rng(seed)
    tones = rng.uniform(0.55, 1.25, (count, count, 1)) * np.array([0.20, 0.24, 0.30])
    picture = tones.repeat(pixels, 0).repeat(pixels, 1)
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _add_light(spec: mujoco.MjSpec, rng: np.random.Generator) -> None:
    position = np.array([0.0, 0.45, 1.2]) + rng.uniform(-0.12, 0.12, 3)
    direction = np.array([0.18, 0.0, 0.0]) - position
    strength = rng.uniform(0.62, 0.74)
    spec.worldbody.add_light(
        pos=position.tolist(),
        dir=(direction / np.linalg.norm(direction)).tolist(),
        diffuse=[strength, strength, strength * 0.95],
        specular=[0.15] * 3,
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        castshadow=True,
    )


def _add_world(spec: mujoco.MjSpec, world: World, session_seed: int) -> None:
    """Free objects, still away from the table, and the region if there is one."""
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10  # else what is grasped slides out of the jaws
    for number, thing in enumerate(world.draw(session_seed)):
        body = spec.worldbody.add_body(name=thing.name, pos=[0.2 * number, 0, -0.5])
        body.add_freejoint(name=thing.name)
        for part in thing.parts:
            _add_part(body, thing, part)
    if world.region:
        body = spec.worldbody.add_body(name=REGION, pos=[0, 0, -1], mocap=True)
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=[REGION_RADIUS, 0.0006, 0],
            rgba=[0.02, 0.02, 0.02, 1],
            contype=0,
            conaffinity=0,
        )


def _add_part(body: mujoco.MjsBody, thing: FreeObject, part: Part) -> None:
    turned = np.sqrt(0.5)
    body.add_geom(
        type=getattr(mujoco.mjtGeom, f"mjGEOM_{part.kind.upper()}"),
        size=[*part.size, 0, 0][:3],
        pos=list(part.at),
        quat=[turned, -turned, 0, 0] if part.lying else [1, 0, 0, 0],
        rgba=[*thing.rgb, 1],
        density=thing.density,
        friction=list(FRICTION),
        condim=6,
        priority=1,  # over the arm, which has no friction of its own
    )


def _add_objects(spec: mujoco.MjSpec, rng: np.random.Generator) -> None:
    """Things of different shape and colour in a ring before the arm: seen by the wrist, out of the arm's body."""
    kinds = {
        "box": mujoco.mjtGeom.mjGEOM_BOX,
        "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
        "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    }
    for (x, y), (name, rgb) in zip(
        _object_positions(rng, len(COLOURS["training"])), COLOURS["training"].items(), strict=True
    ):
        shape = _OBJECT_SHAPES[rng.integers(len(_OBJECT_SHAPES))]
        radius = rng.uniform(0.014, 0.021)
        height = radius if shape != "cylinder" else rng.uniform(0.016, 0.026)
        angle = rng.uniform(0, np.pi)
        spec.worldbody.add_geom(
            name=f"object_{name}",
            type=kinds[shape],
            size=[radius, height, 0] if shape == "cylinder" else [radius] * 3,
            pos=[x, y, height],
            quat=[np.cos(angle / 2), 0, 0, np.sin(angle / 2)],
            rgba=[*rgb, 1],
        )


def _object_positions(rng: np.random.Generator, count: int, apart: float = 0.075) -> list[tuple[float, float]]:
    """Draw positions on the table by rejection: one in each slice of the fan before the arm, none close to another."""
    positions: list[tuple[float, float]] = []
    slices = rng.permutation(np.linspace(-80, 80, count))
    for slice_angle in slices:
        while True:
            angle = np.radians(slice_angle + rng.uniform(-12, 12))
            distance = rng.uniform(0.20, 0.40)
            position = (PAN_AXIS[0] + distance * np.cos(angle), PAN_AXIS[1] + distance * np.sin(angle))
            if all(np.hypot(position[0] - x, position[1] - y) > apart for x, y in positions):
                positions.append(position)
                break
    return positions


def _add_base_camera(spec: mujoco.MjSpec) -> None:
    """A camera over the table's far left corner that keeps the whole arm in view."""
    position, target = np.array([0.56, -0.40, 0.56]), np.array([0.13, 0.0, 0.09])
    back = (position - target) / np.linalg.norm(position - target)
    right = np.cross([0, 0, 1], back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, np.stack([right, up, back], axis=1).ravel())
    spec.worldbody.add_camera(name="base", pos=position.tolist(), quat=quat.tolist(), fovy=38)
