"""Tasks with free objects: what is recorded of them, and that it comes out the same however it is made."""

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

if find_spec("mujoco") is None:  # not imported here: forearm.sim must be the first to do so
    pytest.skip("needs the extra `sim`", allow_module_level=True)

from forearm.arms.protocol import session_of
from forearm.base.errors import ForearmError
from forearm.recordings import open_recording
from forearm.recordings.features import CAMERA_PREFIX
from forearm.sim import CAMERAS, JOINTS, RecordingSettings, Simulator, record
from forearm.sim.names import TaskName
from forearm.sim.objects import OBSTACLE
from forearm.sim.protocol import session_seed
from forearm.sim.tasks import TASKS, pose_task
from forearm.sim.teleoperation import posed, record_task, world_of
from forearm.transitions.build import build
from forearm.transitions.settings import BuildConfig

TINY = RecordingSettings(episodes=3, size=16, fps=5, sessions=2, task="push", clumsiness=0.0)


def simulator_of(settings: RecordingSettings, index: int) -> Simulator:
    return Simulator(session_seed(settings, session_of(settings, index)), world_of(settings))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tasks") / "push"
    record(out, TINY, processes=1)
    return out


def columns(root: Path, *names: str) -> list[np.ndarray]:
    table = pq.read_table(root / "data")
    return [np.array(table[name].to_pylist()) for name in names]


def test_a_recording_says_where_the_objects_are(recorded: Path) -> None:
    features = json.loads((recorded / "meta/info.json").read_text())["features"]
    names = features["observation.environment_state"]["names"]
    pose = ["x", "y", "z", "qw", "qx", "qy", "qz", "touched"]
    sides = [f"{camera}.{side}" for camera in CAMERAS for side in ("left", "top", "right", "bottom")]
    assert names == [f"object_{n}.{what}" for n in (1, 2, 3) for what in pose + sides]
    (environment, states, actions) = columns(recorded, "observation.environment_state", "observation.state", "action")
    things = environment.reshape(len(states), 3, 16)
    assert (np.abs(things[..., :2] - [0.2, 0]) < 0.35).all()
    assert ((things[..., 2] > 0.005) & (things[..., 2] < 0.04)).all()
    np.testing.assert_allclose(np.linalg.norm(things[..., 3:7], axis=-1), 1, atol=1e-5)
    assert set(things[..., 7].ravel()) == {0.0, 1.0}
    assert np.abs(states - actions).max() > 0.5  # what is commanded is not what is reached
    assert (actions[:, 5] >= 0).all()


def test_an_object_moves_where_it_is_touched_and_nowhere_else(recorded: Path) -> None:
    environment, episodes = columns(recorded, "observation.environment_state", "episode_index")
    pushed = 0
    for episode in range(3):
        things = environment[episodes == episode].reshape(-1, 3, 16)
        moved = np.linalg.norm(np.diff(things[..., :3], axis=0), axis=-1)
        touched = things[1:, :, 7] > 0
        assert moved[~(touched | np.roll(touched, 1, axis=0))].max() < 0.002
        pushed += (moved[touched] > 0.003).sum()
    assert pushed > 5


def test_boxes_are_where_the_objects_are_seen() -> None:
    """The pixels that change when an object is taken away lie in its box and fill it."""
    simulator = simulator_of(TINY, 0)
    pose_task(simulator, TASKS["push"], np.random.default_rng(0))
    environment = simulator.environment().reshape(3, 16)
    poses = simulator.poses()
    simulator.model.light_castshadow[:] = False  # shadows change, too
    size = 128
    shown = simulator.render("base", (size, size)).astype(int)
    for number in range(3):
        without = poses.copy()
        without[number] = simulator.away[number]
        simulator.place_objects(without)
        changed = np.abs(simulator.render("base", (size, size)) - shown).max(-1) > 12
        rows, cols = np.nonzero(changed)
        left, top, right, bottom = environment[number, 8:12] * size
        assert left - 1.5 <= cols.min()
        assert cols.max() <= right + 1.5
        assert top - 1.5 <= rows.min()
        assert rows.max() <= bottom + 1.5
        simulator.place_objects(poses)


def test_an_object_behind_a_camera_has_no_box() -> None:
    simulator = simulator_of(TINY, 0)
    poses = simulator.poses()
    poses[0, :3] = [1.2, -1.0, 1.2]  # behind the base camera
    simulator.place_objects(poses)
    assert (simulator.environment().reshape(3, 16)[0, 8:12] == 0).all()


def test_an_episode_is_the_same_whenever_it_is_recorded() -> None:
    simulator = simulator_of(TINY, 1)
    first = record_task(simulator, TINY, 1)
    record_task(simulator, replace(TINY, seed=5), 1)
    again = record_task(simulator, TINY, 1)
    other = record_task(simulator_of(TINY, 1), TINY, 1)
    for episode in (again, other):
        np.testing.assert_array_equal(episode.states, first.states)
        np.testing.assert_array_equal(episode.environment, first.environment)
        for camera in CAMERAS:
            np.testing.assert_array_equal(
                episode.pictures[CAMERA_PREFIX + camera], first.pictures[CAMERA_PREFIX + camera]
            )


def test_the_settings_clumsiness_is_the_hands(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    def carried_out(task, operator, look, sent, every):
        told.append((operator.misaimed(), every))
        look()
        sent(task.simulator.targets())
        return True

    monkeypatch.setattr("forearm.sim.teleoperation.carry_out", carried_out)
    for clumsiness in (0.0, 0.5, 1.0):
        record_task(simulator_of(TINY, 0), replace(TINY, clumsiness=clumsiness), 0)
    (none, every), (half, _), (whole, _) = told
    assert every == 6
    assert not none.any()
    assert half[:2].all()
    np.testing.assert_allclose(whole, 2 * half)


def test_frames_do_not_depend_on_the_frame_rate() -> None:
    slow, fast = (record_task(simulator_of(TINY, 0), replace(TINY, fps=fps), 0) for fps in (5, 15))
    rows = slice(0, 3 * len(slow.states), 3)
    count = len(fast.states[rows])
    np.testing.assert_array_equal(slow.states[:count], fast.states[rows])
    np.testing.assert_array_equal(slow.actions[: count - 1], fast.actions[2::3][: count - 1])


def test_scenes_and_tasks_travel_into_a_dataset(recorded: Path, tmp_path: Path) -> None:
    data = build([recorded], tmp_path / "data", BuildConfig(size=16, val=1))
    seeds = [session_seed(TINY, session_of(TINY, index)) for index in range(3)]
    assert [episode["scene"] for episode in data.episodes] == seeds
    assert [episode["session"] for episode in data.episodes] == [0, 1, 0]
    assert all(episode["task"].startswith("push the ") for episode in data.episodes)
    assert open_recording(recorded).joints == tuple(f"{joint}.pos" for joint in JOINTS)


def test_held_out_objects_are_others() -> None:
    known, held_out = (world_of(replace(TINY, objects=which)) for which in ("training", "held-out"))
    drawn = [
        [(thing.shape, thing.colour) for seed in range(30) for thing in world.draw(seed)] for world in (known, held_out)
    ]
    for part in (0, 1):
        assert not {thing[part] for thing in drawn[0]} & {thing[part] for thing in drawn[1]}
        assert len({thing[part] for thing in drawn[0]}) > 3


@pytest.mark.parametrize(("task", "count"), [("lift", 1), ("clutter", 2), ("obstacle", 4)])
def test_there_are_as_many_free_objects_as_are_wanted(task: TaskName, count: int) -> None:
    settings = replace(TINY, task=task, free_objects=count)
    simulator = Simulator(0, world_of(settings))
    posed(simulator, settings, 0)
    things = [thing for thing in simulator.objects if thing.name != OBSTACLE]
    assert len(things) == count


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fps": 50}, "fps is 50; with a task choose a divisor of 30"),
        ({"clumsiness": -1.0}, "clumsiness is -1; choose one from 0 to 2"),
        ({"free_objects": 0}, "free_objects is 0; choose 1 to 6, or leave it out"),
        ({"task": "clutter", "free_objects": 1}, "free_objects is 1; choose 2 to 6, or leave it out"),
        ({"task": "obstacle", "free_objects": 5}, "free_objects is 5; choose 1 to 4, or leave it out"),
    ],
)
def test_unsound_settings_are_one_clear_line(tmp_path: Path, wrong: dict, message: str) -> None:
    with pytest.raises(ForearmError, match=message):
        record(tmp_path / "out", replace(TINY, **wrong), processes=1)
