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
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

if find_spec("mujoco") is None:  # not imported here: forearm.sim must be the first to do so
    pytest.skip("needs the extra `sim`", allow_module_level=True)

from forearm.errors import ForearmError
from forearm.recordings import staged_episodes
from forearm.sim import JOINTS, Simulator, SingleActionSettings, perform, record, record_episode, settle
from forearm.sim.protocol import decision, session_of, session_seed

TINY = SingleActionSettings(episodes=6, size=32, fps=2, sessions=2)


def simulator_of(settings: SingleActionSettings, index: int) -> Simulator:
    return Simulator(session_seed(settings, session_of(settings, index)))


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file of a recording with the hash of what it holds."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_an_episode_begins_at_the_decision_and_ends_with_its_outcome() -> None:
    settings = SingleActionSettings(size=32, actions={"MOVE+": 1})
    episode = record_episode(simulator_of(settings, 0), settings, 0)
    clip, log = episode.clip, episode.log
    assert clip.states.shape == clip.actions.shape == (16, 6)
    assert {name: frames.shape for name, frames in clip.pictures.items()} == {
        "base": (16, 32, 32, 3),
        "wrist": (16, 32, 32, 3),
    }
    assert (log.joint_name, log.action_duration, log.position_delta) == ("shoulder_pan.pos", 0.5, 10)
    assert log.decisions == ((0, 1),)
    pan = clip.states[:, 0]
    assert pan[-1] - pan[0] == pytest.approx(10, abs=1)
    assert (np.diff(pan) > -0.2).all()  # on its way all the time
    assert clip.actions[-1, 0] - clip.actions[0, 0] == pytest.approx(10, abs=0.5)
    assert np.abs(clip.states[:, 1:] - clip.states[0, 1:]).max() < 0.5


def test_the_log_is_enough_to_replay_the_episode() -> None:
    settings = replace(TINY, joints=JOINTS)
    episode = record_episode(simulator_of(settings, 1), settings, 1)
    extra = episode.log.extra
    simulator = Simulator(extra["session_seed"])
    settle(simulator, np.array(extra["start_pose"], np.float32))
    joint, code = decision(settings, 1)
    clip = perform(simulator, joint, (0, 1, -1)[code] * settings.position_delta, fps=2, size=32)
    np.testing.assert_array_equal(clip.states, episode.clip.states)
    np.testing.assert_array_equal(clip.pictures["wrist"], episode.clip.pictures["wrist"])


def test_frames_do_not_depend_on_the_frame_rate() -> None:
    slow, fast = TINY, replace(TINY, fps=30)
    a, b = (record_episode(simulator_of(TINY, 0), settings, 0).clip for settings in (slow, fast))
    np.testing.assert_array_equal(a.states[[0, -1]], b.states[[0, -1]])
    np.testing.assert_array_equal(a.pictures["base"][-1], b.pictures["base"][-1])


def test_only_the_acting_joint_varies_by_default() -> None:
    simulator = simulator_of(TINY, 0)
    poses = np.array([record_episode(simulator, replace(TINY, sessions=1), i).clip.states[0] for i in range(6)])
    assert np.ptp(poses[:, 0]) > 20
    assert np.ptp(poses[:, 1:], axis=0).max() < 3.2
    everything = replace(TINY, sessions=1, vary="all")
    poses = np.array([record_episode(simulator, everything, i).clip.states[0] for i in range(6)])
    assert np.ptp(poses, axis=0).min() > 5


@given(
    seed=st.integers(0, 2**31),
    joints=st.lists(st.sampled_from(JOINTS), min_size=1, max_size=6, unique=True),
    counts=st.tuples(*[st.integers(0, 3)] * 3).filter(any),
    runs=st.integers(1, 4),
)
def test_actions_and_joints_are_balanced(seed: int, joints: list[str], counts: tuple[int, int, int], runs: int) -> None:
    actions = dict(zip(("STAY", "MOVE+", "MOVE-"), counts, strict=True))
    settings = SingleActionSettings(joints=tuple(joints), actions=actions, seed=seed)
    drawn = Counter(decision(settings, i) for i in range(runs * len(settings.cycle)))
    assert drawn == {
        (JOINTS.index(joint), code): runs * count for joint in joints for code, count in enumerate(counts) if count
    }


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
from forearm.sim import SingleActionSettings, record
if __name__ == "__main__":
    settings = SingleActionSettings(episodes=60, size=32, fps=2, sessions=2)
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
    while len(staged_episodes(partial)) < 3 and running.poll() is None:
        time.sleep(0.02)
    os.killpg(running.pid, how)  # as Ctrl-C does: to parent and workers alike
    _, said = running.communicate(timeout=60)
    begun = staged_episodes(partial)
    assert 3 <= len(begun) < 60
    assert not out.exists()
    if how == signal.SIGINT:
        assert running.returncode == 130
        assert "of 60 episodes; run the same command again to go on" in said
        assert "Traceback" not in said
    settings = SingleActionSettings(episodes=60, size=32, fps=2, sessions=2)
    with pytest.raises(ForearmError, match="holds a recording with other seed; record with the same settings"):
        record(out, replace(settings, seed=1), processes=1)
    # Only a few of what is left, to save time: pretend that all was begun with fewer episodes.
    shorter = replace(settings, episodes=max(begun) + 2)
    path = partial / "settings.json"
    path.write_text(path.read_text().replace('"episodes": 60', f'"episodes": {shorter.episodes}'))
    record(out, shorter, processes=1)
    record(tmp_path / "unbroken", shorter, processes=1)
    assert fingerprint(out) == fingerprint(tmp_path / "unbroken")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"episodes": 0}, "episodes is 0; record at least 1"),
        ({"sessions": 0}, "sessions is 0; record at least 1"),
        ({"seed": -1}, "seed is -1; choose a number from 0 up"),
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
    while not (tmp_path / "out.partial").exists():
        time.sleep(0.01)
    time.sleep(0.1)
    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "run the same command again to go on" in said
    assert "Traceback" not in said


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(ForearmError, match="already exists"):
        record(tmp_path, TINY)
