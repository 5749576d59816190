"""The single-action protocol: what an episode holds, and that a recording comes out the same however it is made."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.waiting import PATIENCE, wait_until

if find_spec("mujoco") is None:  # not imported here: forearm.sim must be the first to do so
    pytest.skip("needs the extra `sim`", allow_module_level=True)

from forearm.arms.protocol import cycle_of, decision, session_of, start_of
from forearm.base.errors import ForearmError
from forearm.base.processes import _held_back_interrupts
from forearm.recordings import staged_episodes
from forearm.sim import (
    JOINTS,
    RecordingSettings,
    Simulator,
    change_of,
    film,
    protocol,
    record,
    record_episode,
    settle,
)
from forearm.sim.poses import HIGHEST, LOWEST, is_usable, reach, sample_pose
from forearm.sim.protocol import session_seed
from forearm.sim.tasks import TASKS
from forearm.transitions.build import build
from forearm.transitions.settings import BuildConfig

TINY = RecordingSettings(episodes=6, size=32, fps=2, sessions=2)


def simulator_of(settings: RecordingSettings, index: int) -> Simulator:
    return Simulator(session_seed(settings, session_of(settings, index)))


def test_other_moments_of_the_same_scenes() -> None:
    first, second = replace(TINY, seed=1), replace(TINY, seed=2, scene_seed=1)
    assert [session_seed(first, i) for i in range(3)] == [session_seed(second, i) for i in range(3)]
    a, b = (record_episode(simulator_of(settings, 0), settings, 0) for settings in (first, second))
    assert a.log.extra["session_seed"] == b.log.extra["session_seed"]
    assert a.log.extra["start_pose"] != b.log.extra["start_pose"]


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file of a recording with the hash of what it holds."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_an_episode_begins_at_the_decision_and_ends_with_its_outcome() -> None:
    settings = RecordingSettings(size=32, actions={"MOVE+": 1})
    episode = record_episode(simulator_of(settings, 0), settings, 0)
    log = episode.log
    assert episode.states.shape == episode.actions.shape == (16, 6)
    assert {name: frames.shape for name, frames in episode.pictures.items()} == {
        "observation.images.base": (16, 32, 32, 3),
        "observation.images.wrist": (16, 32, 32, 3),
    }
    assert (log.joint_name, log.action_duration, log.position_delta) == ("shoulder_pan.pos", 0.5, 10)
    assert log.decisions == ((0, 1),)
    pan = episode.states[:, 0]
    assert pan[-1] - pan[0] == pytest.approx(10, abs=1)
    assert (np.diff(pan) > -0.2).all()  # on its way all the time
    assert episode.actions[-1, 0] - episode.actions[0, 0] == pytest.approx(10, abs=0.5)
    assert np.abs(episode.states[:, 1:] - episode.states[0, 1:]).max() < 0.5


def test_the_log_is_enough_to_replay_the_episode() -> None:
    settings = replace(TINY, joints=JOINTS)
    episode = record_episode(simulator_of(settings, 1), settings, 1)
    extra = episode.log.extra
    simulator = Simulator(extra["session_seed"])
    settle(simulator, np.array(extra["start_pose"], np.float32))
    joint, code = decision(settings, 1)
    clip = film(simulator, [change_of(JOINTS.index(joint), (0, 1, -1)[code] * settings.position_delta)], fps=2, size=32)
    np.testing.assert_array_equal(clip.states, episode.states)
    np.testing.assert_array_equal(
        clip.pictures["observation.images.wrist"], episode.pictures["observation.images.wrist"]
    )


def test_frames_do_not_depend_on_the_frame_rate() -> None:
    slow, fast = TINY, replace(TINY, fps=30)
    a, b = (record_episode(simulator_of(TINY, 0), settings, 0) for settings in (slow, fast))
    np.testing.assert_array_equal(a.states[[0, -1]], b.states[[0, -1]])
    np.testing.assert_array_equal(a.pictures["observation.images.base"][-1], b.pictures["observation.images.base"][-1])


def test_only_the_acting_joint_varies_by_default() -> None:
    simulator = simulator_of(TINY, 0)
    poses = np.array([record_episode(simulator, replace(TINY, sessions=1), i).states[0] for i in range(6)])
    assert np.ptp(poses[:, 0]) > 20
    assert np.ptp(poses[:, 1:], axis=0).max() < 3.2
    everything = replace(TINY, sessions=1, vary="all")
    poses = np.array([record_episode(simulator, everything, i).states[0] for i in range(6)])
    assert np.ptp(poses, axis=0).min() > 5


@given(
    seed=st.integers(0, 2**31),
    joints=st.lists(st.sampled_from(JOINTS), min_size=1, max_size=6, unique=True),
    counts=st.tuples(*[st.integers(0, 3)] * 3).filter(any),
    runs=st.integers(1, 4),
)
def test_actions_and_joints_are_balanced(seed: int, joints: list[str], counts: tuple[int, int, int], runs: int) -> None:
    actions = dict(zip(("STAY", "MOVE+", "MOVE-"), counts, strict=True))
    settings = RecordingSettings(joints=tuple(joints), actions=actions, seed=seed)
    drawn = Counter(decision(settings, i) for i in range(runs * len(cycle_of(settings))))
    assert drawn == {(joint, code): runs * count for joint in joints for code, count in enumerate(counts) if count}


EVERY = replace(TINY, episodes=12, joints=("shoulder_pan", "elbow_flex"), every_action=True)


def test_every_action_begins_in_the_identical_state() -> None:
    of_session: dict[int, Simulator] = {}
    for first in (6, 0):  # in any order, with a simulator that did other things before
        episodes = {}
        for index in (first + 2, first, first + 1):
            simulator = of_session.setdefault(session_of(EVERY, index), simulator_of(EVERY, index))
            episodes[index - first] = record_episode(simulator, EVERY, index)
        start, (joint, _) = episodes[0], decision(EVERY, first)
        for code, episode in episodes.items():
            assert episode.log.decisions == ((0, code),)
            assert episode.log.extra == start.log.extra | {"moment": first // 3}
            assert episode.task == f"{joint}: {('STAY', 'MOVE+', 'MOVE-')[code]}"
            np.testing.assert_array_equal(episode.states[0], start.states[0])
            for camera, frames in episode.pictures.items():
                np.testing.assert_array_equal(frames[0], start.pictures[camera][0])
            moved = episode.states[-1] - episode.states[0]
            assert moved[JOINTS.index(joint)] == pytest.approx((0, 10, -10)[code], abs=1)


@given(
    joints=st.lists(st.sampled_from(JOINTS), min_size=1, max_size=6, unique=True),
    sessions=st.integers(1, 5),
    runs=st.integers(1, 4),
)
def test_with_every_action_joints_and_sessions_take_turns_by_moment(
    joints: list[str], sessions: int, runs: int
) -> None:
    settings = RecordingSettings(joints=tuple(joints), sessions=sessions, every_action=True, actions={"MOVE+": 2})
    indices = range(3 * runs * len(joints))
    drawn = Counter(decision(settings, i) for i in indices)
    assert drawn == {(joint, code): runs for joint in joints for code in range(3)}
    for i in indices:
        assert session_of(settings, i) == i // 3 % sessions
        assert decision(settings, i)[0] == decision(settings, 3 * start_of(settings, i))[0]


def test_a_data_set_of_every_action_knows_all_outcomes(tmp_path: Path) -> None:
    record(tmp_path / "every", EVERY, processes=1)
    data = build([tmp_path / "every"], tmp_path / "data", BuildConfig(size=32, val=1))
    assert [episode["moment"] for episode in data.episodes] == np.repeat(np.arange(4), 3).tolist()
    assert data.outcomes(data.rows()).known.all()
    assert data.actions_seen("val") == {0: 4, 1: 4, 2: 4}
    assert len({episode["scene"] for episode in data.episodes}) == EVERY.sessions
    known = [(joint.unit, joint.unit_origin) for joint in data.layout.joints]
    assert known == [("deg", "declared")] * 5 + [("%", "declared")]


def test_a_state_that_does_not_allow_every_action_is_not_recorded() -> None:
    settings = replace(EVERY, action_duration=0.1, fps=10)
    with pytest.raises(ForearmError, match=r"does not act by 10 within 0\.1 s; choose a longer action duration"):
        record_episode(simulator_of(settings, 0), settings, 0)  # STAY, which alone could be carried out


@pytest.mark.parametrize("joint", ["shoulder_pan", "shoulder_lift"])  # much and little room
def test_walks_carry_out_every_action_within_reach(joint: str) -> None:
    settings = replace(TINY, joints=(joint,), decisions=12)
    j = JOINTS.index(joint)
    simulator = simulator_of(settings, 0)
    ways = []
    for index in range(0, 6, 2):
        episode = record_episode(simulator, settings, index)
        log = episode.log
        assert episode.states.shape == episode.actions.shape == (13, 6)
        assert episode.pictures["observation.images.base"].shape == (13, 32, 32, 3)
        assert [frame for frame, _ in log.decisions] == list(range(12))
        assert "moment" not in log.extra
        assert episode.task == f"{joint}: 12 actions"
        changes = np.array([(0, 10, -10)[code] for _, code in log.decisions])
        np.testing.assert_allclose(np.diff(episode.states[:, j]), changes, atol=1)
        assert LOWEST[j] - 11 < episode.states[:, j].min()
        assert episode.states[:, j].max() < HIGHEST[j] + 11
        ways.append(tuple(changes))
        for state in episode.states:
            simulator.place(state)
            assert not simulator.touching()
    assert len(set(ways)) == 3
    assert {change for way in ways for change in way} == {-10, 0, 10}


def test_a_walk_can_be_replayed_at_any_frame_rate() -> None:
    slow = replace(TINY, decisions=4)
    fast = replace(slow, fps=30)
    a, b = (record_episode(simulator_of(slow, 1), settings, 1) for settings in (slow, fast))
    assert [frame for frame, _ in b.log.decisions] == [0, 15, 30, 45]
    np.testing.assert_array_equal(a.states, b.states[::15])
    np.testing.assert_array_equal(a.pictures["observation.images.wrist"], b.pictures["observation.images.wrist"][::15])
    np.testing.assert_array_equal(a.actions[:-1], b.actions[14::15])  # at the end of each action
    simulator = Simulator(b.log.extra["session_seed"])
    settle(simulator, np.array(b.log.extra["start_pose"], np.float32))
    changes = [change_of(JOINTS.index(decision(slow, 1)[0]), (0, 10, -10)[code]) for _, code in b.log.decisions]
    clip = film(simulator, changes, fps=30, cameras=())
    assert clip.pictures == {}
    np.testing.assert_array_equal(clip.states, b.states)
    np.testing.assert_array_equal(clip.actions, b.actions)


def test_walks_are_of_the_actions_that_are_wanted() -> None:
    moves = replace(TINY, decisions=20, actions={"MOVE+": 1, "MOVE-": 1})
    codes = [code for _, code in record_episode(simulator_of(moves, 0), moves, 0).log.decisions]
    assert set(codes) == {1, 2}
    upwards = replace(TINY, decisions=40, actions={"MOVE+": 1})
    with pytest.raises(ForearmError, match=r"does not act 40 times in a row .* or fewer decisions"):
        record_episode(simulator_of(upwards, 0), upwards, 0)


def test_reach_is_as_far_as_moves_begin_in_usable_poses() -> None:
    simulator, joint = Simulator(1), JOINTS.index("wrist_flex")
    for seed in range(3):
        pose = sample_pose(simulator, joint, 10, "all", np.random.default_rng(seed))

        def begins(moves: int, pose: np.ndarray = pose) -> bool:
            """Whether one more move may begin this many moves from the pose."""
            there = pose.copy()
            there[joint] += 10 * moves
            return LOWEST[joint] <= there[joint] <= HIGHEST[joint] and is_usable(simulator, there, joint, 10)

        below, above = reach(simulator, pose, joint, 10, 50)
        assert all(begins(moves) for moves in range(-below + 1, above))
        assert not begins(-below)
        assert not begins(above)
        assert reach(simulator, pose, joint, 10, 1) == (1, 1)


def test_a_recording_is_the_same_however_many_processes_made_it(tmp_path: Path) -> None:
    record(tmp_path / "one", TINY, processes=1)
    record(tmp_path / "two", TINY, processes=2)
    assert fingerprint(tmp_path / "one") == fingerprint(tmp_path / "two")
    assert not (tmp_path / "two.partial").exists()
    rows = pq.read_table(tmp_path / "one/data")
    assert rows.num_rows == 12
    assert rows["frame_index"].to_pylist() == [0, 1] * 6
    logs = sorted((tmp_path / "one/meta/discrete_action_logs").iterdir())
    assert len(logs) == 6


SCRIPT = """
import sys
from pathlib import Path
from forearm.sim import RecordingSettings, record
if __name__ == "__main__":
    settings = RecordingSettings(episodes=60, size=32, fps=2, sessions=2)
    try:
        record(Path(sys.argv[1]), settings, processes=int(sys.argv[2]))
    except KeyboardInterrupt as interrupt:
        print(interrupt, file=sys.stderr)
        sys.exit(130)
"""


@pytest.mark.parametrize(("how", "processes"), [(signal.SIGKILL, 1), (signal.SIGINT, 2)])
def test_an_interrupted_recording_goes_on_to_the_same_end(tmp_path: Path, how: signal.Signals, processes: int) -> None:
    script, out = tmp_path / "make.py", tmp_path / "out"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(out), str(processes)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    partial = tmp_path / "out.partial"
    wait_until(lambda: len(staged_episodes(partial)) >= 3 or running.poll() is not None)
    os.killpg(running.pid, how)  # as Ctrl-C does: to parent and workers alike
    _, said = running.communicate(timeout=PATIENCE)
    begun = staged_episodes(partial)
    assert 3 <= len(begun) < 60
    assert not out.exists()
    if how == signal.SIGINT:
        assert running.returncode == 130
        assert "of 60 episodes; run the same command again to go on" in said
        assert "Traceback" not in said
    settings = RecordingSettings(episodes=60, size=32, fps=2, sessions=2)
    with pytest.raises(ForearmError, match="holds a recording with other seed; record with the same settings"):
        record(out, replace(settings, seed=1), processes=1)
    # Only a few of what is left, to save time: pretend that all was begun with fewer episodes.
    shorter = replace(settings, episodes=max(begun) + 2)
    path = partial / "settings.json"
    path.write_text(path.read_text().replace('"episodes": 60', f'"episodes": {shorter.episodes}'))
    record(out, shorter, processes=1)
    record(tmp_path / "unbroken", shorter, processes=1)
    assert fingerprint(out) == fingerprint(tmp_path / "unbroken")


def test_a_killed_recording_leaves_no_process_and_no_lock(tmp_path: Path) -> None:
    script, out = tmp_path / "make.py", tmp_path / "out"
    script.write_text(SCRIPT)
    running = subprocess.Popen([sys.executable, str(script), str(out), "2"], stderr=subprocess.PIPE)
    wait_until(lambda: staged_episodes(tmp_path / "out.partial"))
    with pytest.raises(ForearmError, match=rf"is being written by process {running.pid} \(make.py .*out 2\)"):
        record(out, replace(TINY, episodes=60), processes=1)
    workers = psutil.Process(running.pid).children(recursive=True)
    assert len(workers) >= 2
    running.kill()  # the parent alone, as the system does where memory is short
    running.communicate(timeout=PATIENCE)
    _, left = psutil.wait_procs(workers, timeout=PATIENCE)
    for worker in left:
        worker.kill()
    assert not left
    with pytest.raises(ForearmError, match="holds a recording with other seed"):  # so it would go on
        record(out, replace(TINY, episodes=60, seed=1), processes=1)


def test_what_a_recording_left_beside_its_result_is_named(tmp_path: Path) -> None:
    record(tmp_path / "out", replace(TINY, episodes=1), processes=1)
    (tmp_path / "out.partial").mkdir()  # killed before it was removed
    with pytest.raises(ForearmError, match=r"already exists.*out\.partial is what a stopped recording left"):
        record(tmp_path / "out", replace(TINY, episodes=1), processes=1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"episodes": 0}, "episodes is 0; record at least 1"),
        ({"sessions": 0}, "sessions is 0; record at least 1"),
        ({"decisions": 0}, "decisions is 0; record at least 1"),
        ({"every_action": True, "decisions": 2}, "decisions is 2 with every action; choose one of the two"),
        ({"every_action": True, "episodes": 7}, "episodes is 7; .* choose a multiple of 3"),
        ({"seed": -1}, "seed is -1; choose a number from 0 up"),
        ({"scene_seed": -1}, "scene_seed is -1; choose a number from 0 up"),
        ({"joints": ("elbow",)}, "joints are elbow; choose among shoulder_pan"),
        ({"joints": ()}, "joints are none; choose among shoulder_pan"),
        ({"actions": {}}, "actions are {}; give STAY, MOVE"),
        ({"actions": {"JUMP": 1}}, "actions are .*JUMP.*; give STAY, MOVE"),
        ({"fps": 7}, "fps is 7; choose a divisor of 300"),
        ({"fps": 3}, "1.5 frames at 3 fps; choose a whole number"),
        ({"size": 33}, "size is 33; choose an even number of pixels from 16 to 1024"),
        ({"position_delta": 0}, "position delta is 0; choose one above 0"),
    ],
)
def test_unsound_settings_are_one_clear_line(tmp_path: Path, wrong: dict, message: str) -> None:
    with pytest.raises(ForearmError, match=message) as caught:
        record(tmp_path / "out", replace(TINY, **wrong), processes=1)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_interrupt_while_processes_start_leaves_no_traceback(tmp_path: Path) -> None:
    script = tmp_path / "make.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(tmp_path / "out"), "2"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until((tmp_path / "out.partial").exists)
    time.sleep(0.1)
    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert "run the same command again to go on" in said
    assert "Traceback" not in said


def test_an_interrupt_that_is_held_back_is_not_lost() -> None:
    with pytest.raises(KeyboardInterrupt), _held_back_interrupts():
        signal.raise_signal(signal.SIGINT)  # to this thread; os.kill lets another one have it, at any later time


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(ForearmError, match="already exists"):
        record(tmp_path, TINY)


BESIDE = replace(TINY, episodes=6, task="push", every_action=True, joints=("shoulder_pan", "elbow_flex"))


def test_with_a_task_single_actions_begin_beside_an_object_that_a_move_touches(tmp_path: Path) -> None:
    record(tmp_path / "beside", BESIDE, processes=1)
    things = np.array(pq.read_table(tmp_path / "beside/data")["observation.environment_state"].to_pylist())
    things = things.reshape(2, 3, 2, 3, 16)  # moment, action, frame, object
    np.testing.assert_array_equal(things[:, 0, 0], things[:, 1, 0])  # from the identical state
    np.testing.assert_array_equal(things[:, 0, 0], things[:, 2, 0])
    touched = things[:, :, 1, :, 7] > 0
    assert not things[:, :, 0, :, 7].any()
    assert not touched[:, 0].any()  # STAY
    assert touched[:, 1:].any(axis=(1, 2)).all()
    moved = np.linalg.norm(things[:, :, 1, :, :3] - things[:, :, 0, :, :3], axis=-1)
    assert moved[touched].max() > 0.003
    assert moved[:, 0].max() < 0.0005
    data = build([tmp_path / "beside"], tmp_path / "data", BuildConfig(size=16, val=1))
    assert data.outcomes(data.rows()).known.all()


def test_walks_touch_objects_too() -> None:
    settings = replace(TINY, decisions=4, task="push", single_actions=True)
    simulator = Simulator(session_seed(settings, 0), TASKS["push"].world)
    episode = record_episode(simulator, settings, 0)
    again = record_episode(simulator, settings, 0)
    np.testing.assert_array_equal(episode.environment, again.environment)
    assert episode.environment.shape == (5, 48)
    assert len(episode.log.decisions) == 4


def test_where_no_pose_fits_beside_the_objects_they_are_arranged_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    arranged, settings = [], replace(BESIDE, episodes=1)
    world = Simulator(session_seed(settings, 0), TASKS["push"].world)

    def found(simulator: Simulator, *_: object) -> np.ndarray | None:
        arranged.append(simulator.poses())
        return sample_pose(simulator, 0, 10, "all", np.random.default_rng(0)) if len(arranged) == 2 else None

    monkeypatch.setattr(protocol, "sample_precontact_pose", found)
    record_episode(world, settings, 0)
    assert len(arranged) == 2
    assert not np.allclose(arranged[0], arranged[1])
    with pytest.raises(ForearmError, match=r"no pose beside an object that .* touches by moving ±10"):
        record_episode(world, settings, 0)
