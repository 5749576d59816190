"""The stand-in for two arms: settings that recording takes, and two episodes beside each other."""

import numpy as np
from support.benchmarks import load

from forearm.recordings import EpisodeData
from forearm.recordings.features import CAMERA_PREFIX
from forearm.sim.names import JOINTS

bimanual = load("bimanual")


def episode(rows: int, seed: int) -> EpisodeData:
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(rows, len(JOINTS))).astype(np.float32)
    pictures = rng.integers(20, 230, (rows, bimanual.SIZE, bimanual.SIZE, 3)).astype(np.uint8)
    return EpisodeData(bimanual.FPS, states, states + 1, {f"{CAMERA_PREFIX}wrist": pictures}, "play", facts={})


def test_each_side_is_recorded_in_scenes_of_its_own():
    settings = [bimanual.settings_of(part, side, 6) for part in bimanual.SEEDS for side in bimanual.SIDES]
    for each in settings:
        each.require_sound()
        assert (each.task, each.joints, each.episodes, each.sessions) == ("play", JOINTS, 6, 2)
    assert len({each.seed for each in settings}) == 4


def test_two_episodes_stand_beside_each_other_and_an_arm_can_be_stilled():
    left, right = episode(5, 0), bimanual.stilled(episode(4, 1))
    both = bimanual.beside(left, right, np.random.default_rng(0))
    assert both.states.shape == both.actions.shape == (4, 2 * len(JOINTS))
    assert set(both.pictures) == {f"{CAMERA_PREFIX}{side}_wrist" for side in bimanual.SIDES}
    np.testing.assert_array_equal(both.states[:, : len(JOINTS)], left.states[:4])
    assert (both.states[:, len(JOINTS) :] == right.states[0]).all()
    assert (both.actions[:, len(JOINTS) :] == right.states[0]).all()
    still = both.pictures[f"{CAMERA_PREFIX}right_wrist"].astype(int)
    assert 1 < (still[1:] - still[:1]).std() < 5, "only a camera's noise changes"
