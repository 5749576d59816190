"""The simulator's tasks as Gymnasium environments: they begin as recorded episodes do, and what was done then works."""

from importlib.util import find_spec
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest

if find_spec("mujoco") is None:  # not imported here: forearm.sim must be the first to do so
    pytest.skip("mujoco is not installed", allow_module_level=True)

from forearm.base.errors import ForearmError
from forearm.environment.simulated_worlds import SimulatedWorlds
from forearm.recordings import open_recording
from forearm.sim.dataset import record
from forearm.sim.settings import SETTINGS_KEPT, RecordingSettings
from forearm.trials.trial import simulated

SIMULATED = "forearm.gym:forearm/Simulated-v0"


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    out = tmp_path_factory.mktemp("pushes") / "push"
    record(out, RecordingSettings(task="push", episodes=2, sessions=2, seed=3, fps=5, size=32, clumsiness=0.0), 1)
    return out


def test_recorded_commands_lead_to_recorded_frames_and_to_success(recording):
    env = gymnasium.make_vec(SIMULATED, num_envs=2, recording=recording)
    opened = open_recording(recording)
    episodes = list(opened.read(opened.cameras))
    observation, info = env.reset(options={"starts": [0, 1]})
    assert info["task"].tolist() == [episode.task for episode in episodes]
    assert env.metadata["render_fps"] == 5
    longest = max(map(len, episodes))
    states = [observation["observation.state"]]
    assert np.array_equal(states[0], [episode.states[0] for episode in episodes])
    done = np.zeros(2, bool)
    for row in range(longest):
        commands = np.stack([episode.actions[min(row, len(episode) - 1)] for episode in episodes])
        observation, reward, terminated, _, info = env.step(commands)
        for world, episode in enumerate(episodes):
            if row + 1 < len(episode) and not done[world]:
                np.testing.assert_allclose(observation["observation.state"][world], episode.states[row + 1], atol=5)
        assert reward.tolist() == (terminated & ~done).tolist()
        done = terminated
    assert done.all()
    assert not info["abstained"].any()
    env.close()


def test_a_world_by_seed_is_that_of_the_recording(recording):
    old = recording.parent / "old"
    old.mkdir()
    settings = {"task": "push", "sessions": 2, "seed": 3, "fps": 5, "size": 32}
    env, known = (gymnasium.make(SIMULATED, **each) for each in ({"recording": recording}, settings))
    for seed in (0, 1):
        one, other = env.reset(seed=seed)[0], known.reset(seed=seed)[0]
        assert all(np.array_equal(one[name], other[name]) for name in one)
    with pytest.raises(ForearmError, match=f"keeps no settings of the simulator.*{SETTINGS_KEPT}"):
        gymnasium.make(SIMULATED, recording=old)
    with pytest.raises(ForearmError, match="recorded with 3"):
        gymnasium.make(SIMULATED, recording=recording, seed=4)
    with pytest.raises(ForearmError, match="no task; name one: push"):
        gymnasium.make(SIMULATED)
    with pytest.raises(ForearmError, match="'color' is not known"):
        gymnasium.make(SIMULATED, task="push", color=3)


def test_a_policy_sees_the_same_cameras_in_truth_as_in_the_dream(recording):
    dream = SimpleNamespace(cameras={"base": (32, 32)}, seconds=0.2)
    truth, _ = simulated(recording, dream, [SimpleNamespace(episode=0, first={})])
    assert list(truth.begin(np.array([0]), [0]).pictures) == ["base"]
    truth.close()


def test_what_does_not_fit_the_dream_is_closed(recording, monkeypatch):
    closed = []
    monkeypatch.setattr(SimulatedWorlds, "close", lambda worlds: closed.append(worlds))
    dream = SimpleNamespace(cameras={"base": (32, 32)}, seconds=0.1)
    with pytest.raises(ForearmError, match="record with --fps 10"):
        simulated(recording, dream, [SimpleNamespace(episode=0, first={})])
    assert len(closed) == 1
