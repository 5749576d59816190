"""Policies: what they carry out, how they are named, and what of others' code is refused in one line."""

import random
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from support.tiny import TWO_JOINTS, make_layout, write_data
from trials.worlds import films, start

from forearm.base.errors import ForearmError
from forearm.canvas import ActionDimension
from forearm.environment.commands import Commands
from forearm.transitions import TransitionSet
from forearm.transitions.store import Columns
from forearm.trials.controls import recorded
from forearm.trials.policies import policy_named
from forearm.trials.starts import demonstrations, read_starts
from forearm.trials.trial import imagined_worlds

STARTS = [start(0, [5, 10, 20]), start(1, [3, 30])]


def paths(text, horizon=4, **given):
    return [film.positions[:, 0].tolist() for film in films(policy_named(text, STARTS, **given), STARTS, horizon)]


def test_replay_does_what_was_recorded_and_then_holds():
    assert paths("replay", 5) == [[0, 5, 10, 20, 20, 20], [1, 3, 30, 30, 30, 30]]
    assert [film.done for film in films(policy_named("replay", STARTS), STARTS)] == [True, True]


def test_cut_stops_early_and_still_never_moves_on():
    assert paths("cut:0.67") == [[0, 5, 10, 10, 10], [1, 3, 3, 3, 3]]
    assert paths("still") == [[0, 5, 5, 5, 5], [1, 3, 3, 3, 3]]


def test_noise_is_of_its_size_and_the_same_for_the_same_seed():
    long = [start(0, np.zeros(4000))]
    errors = [films(policy_named("noise:3", long, seed), long, 4000)[0].positions[1:, 0] for seed in (0, 0, 1)]
    assert errors[0].std() == pytest.approx(3, rel=0.15)
    assert np.array_equal(errors[0], errors[1])
    assert not np.array_equal(errors[0], errors[2])
    assert np.corrcoef(errors[0][:-1], errors[0][1:])[0, 1] > 0.7  # it drifts


def test_an_expert_carries_its_plan_out():
    def expert(number, clumsiness, rng):
        return np.full((2, 2), 10 * number + clumsiness, np.float32)

    assert paths("expert:0.5", 2, expert=expert) == [[0, 0.5, 0.5], [1, 10.5, 10.5]]
    with pytest.raises(ForearmError, match="--simulator"):
        policy_named("expert:1", STARTS)


def test_a_policy_of_ones_own_sees_lerobots_names_and_gets_the_seed(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\n"
        "class Mine:\n"
        "    seed, begun = 0, 0\n"
        "    def __init__(self, step): self.step = float(step)\n"
        "    def reset(self): self.begun += 1\n"
        "    def act(self, observation):\n"
        "        assert observation['observation.images.base'].shape == (2, 8, 8, 3)\n"
        "        assert observation['task'] == ['go up', 'go up']\n"
        "        return observation['observation.state'][:, None] + self.step + self.seed\n"
        "def make(step): return Mine(step)\n"
    )
    assert paths(f"{file}:make:2", 2) == [[0, 2, 4], [1, 3, 5]]
    assert paths(f"{file}:make:2", 2, seed=1) == [[0, 3, 6], [1, 4, 7]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("replai", "no policy 'replai'; there are replay"),
        ("noise", "needs a number"),
        ("noise:-1", "needs a number"),
        ("cut:2", "a number from 0 to 1,"),
        ("nowhere.py:make", "no file nowhere.py"),
        ("no_such_module:make", "cannot be imported"),
        ("json:nothing", "no function nothing"),
        ("json:dumps:1", "no method act"),
    ],
)
def test_a_policy_that_is_none_is_refused(text, says):
    with pytest.raises(ForearmError, match=re.escape(says)):
        policy_named(text, STARTS)


def test_a_file_takes_no_other_modules_place(tmp_path):
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        for name in ("random", "my_policy"):
            (tmp_path / folder / f"{name}.py").write_text(
                "class Mine:\n"
                "    def act(self, observation):\n"
                f"        return observation['observation.state'][:, None] + {len(folder)}\n"
                "def make():\n"
                "    return Mine()\n"
            )
            policy = policy_named(f"{tmp_path / folder / name}.py:make", STARTS)
            assert vars(sys.modules[type(policy).__module__])["Mine"] is type(policy)
    assert sys.modules["random"] is random
    first = sys.modules.pop("my_policy")
    assert first.__file__ == str(tmp_path / "one" / "my_policy.py")


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ("1 / 0", "cannot be made: ZeroDivisionError: division by zero"),
        ("open('/nowhere/at all')", "cannot be made: FileNotFoundError"),
        ("Mine", "failed in reset(): RuntimeError: not again"),
    ],
)
def test_a_policy_that_fails_before_it_acts_is_refused_in_a_line(tmp_path, made, says):
    (tmp_path / "failing.py").write_text(
        "class Mine:\n"
        "    def reset(self): raise RuntimeError('not again')\n"
        "    def act(self, observation): return observation['observation.state'][:, None]\n"
        f"def make(): return {made if made != 'Mine' else 'Mine()'}\n"
    )
    with pytest.raises(ForearmError, match=re.escape(says)):
        films(policy_named(f"{tmp_path}/failing.py:make", STARTS), STARTS)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import sys\nsys.exit()", "cannot be imported: SystemExit"),
        ("def make(): return missing", "cannot be made: NameError: name 'missing'"),
        ("def make(): raise SystemExit(0)", "cannot be made: SystemExit: 0"),
    ],
)
def test_a_file_that_makes_no_policy_ends_no_command(tmp_path, code, says):
    file = tmp_path / "mine_that_ends.py"
    file.write_text(code)
    with pytest.raises(ForearmError, match=re.escape(says)):
        policy_named(f"{file}:make", STARTS)


def test_a_policy_that_ends_the_process_is_refused():
    class Leaves:
        def act(self, observation):
            raise SystemExit(0)

    with pytest.raises(ForearmError, match="SystemExit"):
        films(Leaves(), STARTS)


@pytest.mark.parametrize(
    ("returns", "says"),
    [("1 / 0", "ZeroDivisionError"), ("[[0, 0]]", "shape"), ("[[[float('nan'), 0]]] * 2", "no finite")],
)
def test_a_chunk_that_is_none_is_refused(returns, says):
    class Bad:
        def act(self, observation):
            return np.array(eval(returns))

    with pytest.raises(ForearmError, match=says):
        films(Bad(), STARTS)


def test_starts_know_what_was_commanded(commanded_run):
    worlds = imagined_worlds(commanded_run, None)
    starts = read_starts(worlds.data, worlds.commands, dict(list(worlds.episodes.items())[-2:]))
    data = worlds.data
    for each in starts:
        rows = np.flatnonzero(data.columns.episodes == worlds.episodes[each.episode])
        frames = np.unique(data.columns.frames[rows])
        assert each.commands.shape == (len(frames) - 1, 2)
        np.testing.assert_allclose(
            each.commands[0], data.states[frames[0]] + data.columns.actions[rows[0], 0], rtol=1e-5
        )
        assert each.first["base"].shape == (8, 8, 3)
    shown = list(demonstrations(data.path))
    assert len(shown) == 8
    assert all(len(each.commands) == len(each.states) - 1 for each in shown)


def test_demonstrations_of_overlapping_transitions_are_a_step_apart(tmp_path):
    """Where a transition begins at every frame and lasts for two of them, a command lasts for two frames."""
    layout = make_layout(discrete=False, action_is="target", action_duration=0.2, actions=TWO_JOINTS)
    data = write_data(tmp_path / "data", layout, episodes=2, length=6, val=1)
    whole = [rows[:-1] for rows in data.columns.by_episode().values()]
    rows = np.concatenate(whole)
    frames = data.columns.frames[rows] + [0, 1]
    actions = (data.states[frames[:, 1]] - data.states[frames[:, 0]])[:, None]
    columns = Columns(
        frames, actions, *(getattr(data.columns, of)[rows] for of in ("dimensions", "episodes", "validation"))
    )
    columns.write(data.path / "transitions.parquet")
    data = TransitionSet(data.path)
    worlds = SimpleNamespace(data=data, episodes={0: 0, 1: 1})
    films = recorded(worlds, read_starts(data, Commands(data), worlds.episodes), 99)
    for shown, film in zip(demonstrations(data.path), films, strict=True):
        assert len(shown.states) == 4  # of seven frames the first, third, fifth and seventh
        np.testing.assert_allclose(shown.commands, shown.states[1:], atol=1e-4)
        np.testing.assert_array_equal(film.positions, shown.states)
        np.testing.assert_array_equal(film.pictures["wrist"], shown.pictures["wrist"])


def test_a_command_that_no_joint_answers_is_replayed_as_it_was(tmp_path):
    """A gripper's switch, which counts from the value at which it rests."""
    switch = ActionDimension("gripper", None, "", 1.0, 30.0)
    layout = make_layout(discrete=False, action_is="target", action_duration=0.2, actions=(TWO_JOINTS[0], switch))
    data = write_data(tmp_path / "data", layout)
    (first, *_) = read_starts(data, Commands(data), {0: 0})
    assert first.commands[:, 1].tolist() == [30.0] * len(first.commands)
    assert len(set(first.commands[:, 0].tolist())) > 1
