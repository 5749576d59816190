"""Worlds as Gymnasium environments: policies command, trials end, and the model says when it is unsure."""

import math
import re
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import TWO_JOINTS, make_layout, untrained, write_data

from forearm.base.errors import ForearmError
from forearm.batch import present
from forearm.canvas import ActionDimension, Observation
from forearm.environment import rollout
from forearm.environment.commands import Commands
from forearm.environment.imagined_worlds import ImaginedWorlds
from forearm.transitions import meaning

IMAGINED = "forearm.gym:forearm/Imagined-v0"


def several(run, count=3, **options):
    return gymnasium.make_vec(IMAGINED, num_envs=count, run=run, **{"most_expected_error": math.inf} | options)


def pictures_of(observation):
    return np.stack([values for name, values in observation.items() if "images" in name]).astype(int)


def acted(env, seed, steps=4):
    """Observations of trials in which the same is commanded whenever the seed is the same."""
    random, seen = np.random.default_rng(7), [env.reset(seed=seed)[0]]
    for _ in range(steps):
        commands = seen[-1]["observation.state"] + random.normal(0, 4, seen[-1]["observation.state"].shape)
        seen.append(env.step(commands.astype(np.float32))[0])
    return seen


@pytest.mark.filterwarnings("ignore")
def test_it_passes_gymnasiums_own_checks(run):
    check_env(gymnasium.make(IMAGINED, run=run.path, most_expected_error=math.inf).unwrapped)


def test_names_are_lerobots(run):
    env = several(run)
    observation, info = env.reset(seed=0)
    assert {name: (values.shape, values.dtype) for name, values in observation.items()} == {
        "observation.images.base": ((3, 8, 8, 3), np.uint8),
        "observation.images.wrist": ((3, 8, 8, 3), np.uint8),
        "observation.state": ((3, 2), np.float32),
    }
    assert env.observation_space.contains(observation)
    assert env.action_space.shape == (3, 2)
    assert env.metadata["render_fps"] == 5
    assert info["start"].tolist() == [6, 7, 6]  # the episodes that the run was not trained on, in turn
    assert [picture.shape for picture in env.render()] == [(8, 16, 3)] * 3


def test_the_same_seed_is_the_same_trial(run):
    one, other, third = (acted(several(run), seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a[name], b[name]) for a, b in zip(one, other, strict=True) for name in a)
    assert not np.array_equal(one[-1]["observation.state"], third[-1]["observation.state"])


def test_worlds_side_by_side_are_as_each_by_itself(run):
    env, single = several(run), gymnasium.make(IMAGINED, run=run, most_expected_error=math.inf)
    commands = np.random.default_rng(0).normal(0, 8, (4, 3, 2)).astype(np.float32)
    together = [env.reset(options={"starts": [1, 5, 7]})[0]] + [env.step(each)[0] for each in commands]
    for world, start in enumerate((1, 5, 7)):
        alone = [single.reset(options={"start": start})[0]] + [single.step(each[world])[0] for each in commands]
        for a, b in zip(together, alone, strict=True):
            assert np.abs(pictures_of(a)[:, world] - pictures_of(b)).max() <= 1
            np.testing.assert_allclose(a["observation.state"][world], b["observation.state"], atol=1e-4)


def test_worlds_may_be_named_in_any_order(run):
    worlds = [ImaginedWorlds(run.load(), run.data(), np.arange(0), 3) for _ in range(2)]
    order, starts = np.array([2, 0, 1]), np.array([1, 5, 7])
    commands = np.random.default_rng(0).normal(0, 8, (3, 3, 2)).astype(np.float32)
    worlds[0].begin(np.arange(3), starts.tolist())
    worlds[1].begin(order, starts[order].tolist())
    for each in commands:
        one, other = worlds[0].step(np.arange(3), each), worlds[1].step(order, each[order])
        np.testing.assert_allclose(other.positions, one.positions[order], atol=1e-4)
        assert np.abs(other.pictures["base"].astype(int) - one.pictures["base"][order]).max() <= 1


def test_it_begins_at_a_recorded_frame_and_goes_on_as_a_rollout_does(run):
    env, data = several(run, 1), run.data()
    first = int(data.columns.frames[data.columns.episodes == 4].min())
    observation, _ = env.reset(options={"starts": [4]})
    assert np.array_equal(np.concatenate(list(pictures_of(observation)), axis=1)[0], data.frames[first])
    values = np.array([[[0.5, -1.0], [1.0, 0.25]]], np.float32)
    start = present(data.layout, Observation(np.asarray(data.frames[first]), data.states[first]))
    foreseen = rollout(run.load(), start, torch.from_numpy(values), torch.zeros(1, 2, dtype=torch.long))
    for step, prediction in enumerate(foreseen):
        observation, *_ = env.step(observation["observation.state"] + 10 * values[:, step])
        expected = prediction.joints(data.layout).numpy()
        np.testing.assert_allclose(observation["observation.state"], expected, atol=1e-3)


def test_success_ends_a_trial_and_its_world_then_stays(run):
    scores = iter([[0.2, 0.6, 0.0], [0.3, 0.0, 1.0]])
    begun = []
    success = SimpleNamespace(begin=lambda starts: begun.append(starts.tolist()))

    class Success(SimpleNamespace):
        def __call__(self, pictures, positions):
            assert set(pictures) == {"base", "wrist"}
            assert positions.shape == (3, 2)
            return np.array(next(scores))

    env = several(run, success=Success(**vars(success)), horizon=2)
    env.reset(options={"starts": [0, 1, 2]})
    assert begun == [[0, 1, 2]]
    first, reward, terminated, truncated, info = env.step(np.full((3, 2), 5, np.float32))
    assert reward.tolist() == [0, 1, 0]
    assert terminated.tolist() == info["is_success"].tolist() == [False, True, False]
    assert not truncated.any()
    second, reward, terminated, truncated, info = env.step(np.full((3, 2), -5, np.float32))
    assert reward.tolist() == [0, 0, 1]
    assert terminated.tolist() == [False, True, True]
    assert truncated.tolist() == [True, False, False]
    assert not info["abstained"].any()
    assert np.array_equal(first["observation.state"][1], second["observation.state"][1])
    assert not np.array_equal(first["observation.state"][2], second["observation.state"][2])


def test_where_the_model_is_unsure_the_trial_is_given_up_and_counted_apart(run):
    env = several(run)
    env.reset(seed=0)
    errors = env.step(np.array([[0, 0], [30, 0], [0, 9]], np.float32))[-1]["expected_error"]
    assert (errors > 0).all()
    bound = (errors.min() + errors.max()) / 2
    doubtful = several(run, most_expected_error=bound)
    doubtful.reset(seed=0)
    *_, terminated, truncated, info = doubtful.step(np.array([[0, 0], [30, 0], [0, 9]], np.float32))
    assert truncated.tolist() == info["abstained"].tolist() == (errors > bound).tolist()
    assert 0 < truncated.sum() < 3
    assert not terminated.any()


def test_the_usual_bound_is_what_the_model_expects_where_it_imagines_validation_episodes(run):
    data, usual, model = run.data(), gymnasium.make_vec(IMAGINED, run=run).most_expected_error, run.load()
    largest = []
    for row in data.rows("val")[data.leaders[data.rows("val")] < 0]:
        context, errors = data.batch(np.array([row])).context(), []
        while row >= 0:
            prediction = model.predict(context)
            errors.append(prediction.expected_error.mean().item())
            row = data.followers[row]
            if row >= 0:
                following = data.batch(np.array([row]))
                context = context.then(prediction, following.actions[:, -1], following.dimensions)
        largest.append(max(errors))
    assert len(errors) > 1
    assert usual == pytest.approx(float(np.quantile(largest, 0.95)), rel=1e-5)


@pytest.mark.parametrize("bound", [0.5, math.inf])
def test_a_bound_that_is_given_is_not_sought(run, monkeypatch, bound):
    monkeypatch.setattr("forearm.gym.usual_bound", lambda *given: pytest.fail("it is given"))
    assert several(run, most_expected_error=bound).most_expected_error == bound


def test_some_worlds_can_be_reset_while_the_others_go_on(run):
    env, other = several(run), several(run)
    for each in (env, other):
        each.reset(options={"starts": [0, 1, 2]})
        each.step(np.full((3, 2), 5, np.float32))
    _, info = env.reset(options={"reset_mask": np.array([False, True, False]), "starts": [9, 4, 9]})
    assert info["start"].tolist() == [0, 4, 2]
    mixed, apart = env.step(np.full((3, 2), -5, np.float32))[0], other.step(np.full((3, 2), -5, np.float32))[0]
    for world in (0, 2):
        assert np.abs(pictures_of(mixed)[:, world] - pictures_of(apart)[:, world]).max() <= 1
    fresh = several(run, 1)
    fresh.reset(options={"starts": [4]})
    alone = fresh.step(np.full((1, 2), -5, np.float32))[0]
    np.testing.assert_allclose(mixed["observation.state"][1], alone["observation.state"][0], atol=1e-4)


ROWS = st.lists(st.tuples(*[st.floats(-50, 50, width=32)] * 4), min_size=3, max_size=6)


@given(ROWS, st.sampled_from(["target", "delta", "velocity"]), st.integers(1, 3), st.booleans())
def test_commands_mean_what_they_meant_when_the_data_was_built(rows, what, held, beside):
    """Each command of a recording at 10 rows a second is held for a step of some rows; the gripper has no joint."""
    fps, offsets = 10.0, (3.0, -2.0, 0.0) if beside and what == "target" else ()
    table = np.array(rows, np.float32).repeat(held, axis=0)
    states, actions = table[:, :2], table[:, [3, 2, 0]]  # of lift, pan, and no joint
    known = meaning.Commands(what, (1, 0, -1), "", offsets)
    frames = np.stack([np.arange(0, len(table) - held, held), np.arange(held, len(table), held)], axis=1)
    for first, last in frames:
        actions[first:last] = actions[first]
    taken = meaning.taken(known, states, actions, frames, fps)[:, 0]
    zeros, scales = np.array([0, 0, 4.0]), np.array([8.0, 20.0, 5.0])
    dimensions = [
        ActionDimension(name, joint, "deg", scale, zero)
        for name, joint, scale, zero in zip("abc", ("lift", "pan", None), scales, zeros, strict=True)
    ]
    layout = make_layout(discrete=False, action_is=what, action_duration=held / fps, actions=tuple(dimensions))
    data = SimpleNamespace(
        layout=layout,
        path="data",
        episodes=[{"recording": "r"}],
        facts={"recordings": [{"name": "r", "fps": fps, "offsets": list(offsets)}]},
    )
    values = Commands(data).values(actions[frames[:, 0]], states[frames[:, 0]], [0] * len(frames))
    np.testing.assert_allclose(values, np.clip((taken - zeros) / scales, -1, 1), atol=1e-4)
    if what == "target":
        back = Commands(data).targets(taken - zeros, states[frames[:, 0]], 0)
        np.testing.assert_allclose(back, actions[frames[:, 0]], atol=1e-3)


def test_what_cannot_be_done_is_refused_in_a_line(run, tmp_path):
    for settings, words in (
        ({"horizon": 0}, "horizon is 0"),
        ({"most_expected_error": -1.0}, "most_expected_error is -1"),
        ({"starts": []}, "starts is empty"),
    ):
        with pytest.raises(ForearmError, match=words):
            several(run, **settings)
    env = several(run)
    with pytest.raises(ForearmError, match="reset them before"):
        env.step(np.zeros((3, 2)))
    for options, words in (({"starts": [0]}, "1 starts were given for 3"), ({"starts": [0, 1, 99]}, "no episode 99")):
        with pytest.raises(ForearmError, match=words):
            env.reset(options=options)
    with pytest.raises(ForearmError, match="2 seeds were given for 3"):
        env.reset(seed=[1, 2])
    env.reset(seed=0)
    for commands, words in ((np.full((3, 2), np.nan), "not all finite"), (np.zeros((3, 1)), re.escape("shape (3, 1)"))):
        with pytest.raises(ForearmError, match=words):
            env.step(commands)
    wrong = several(run, success=lambda pictures, positions: np.full(3, 2.0))
    wrong.reset(seed=0)
    with pytest.raises(ForearmError, match="from 0 to 1"):
        wrong.step(np.zeros((3, 2)))


def test_a_run_of_changes_is_refused(tmp_path):
    layout = make_layout(discrete=False, action_duration=0.2, actions=TWO_JOINTS)
    changes = untrained(write_data(tmp_path / "data", layout), tmp_path / "run")
    with pytest.raises(ForearmError, match="build with --actions command"):
        several(changes)
    logged = untrained(write_data(tmp_path / "logged"), tmp_path / "logged-run")
    with pytest.raises(ForearmError, match="single logged actions"):
        several(logged)


def test_a_bound_for_a_model_that_expects_no_error_is_refused(tmp_path):
    layout = make_layout(discrete=False, action_is="target", action_duration=0.2, actions=TWO_JOINTS)
    silent = untrained(write_data(tmp_path / "data", layout), tmp_path / "run")
    model = silent.load()
    assert model.predict(silent.data().batch(np.arange(1)).context()).expected_error is None
    assert gymnasium.make_vec(IMAGINED, run=silent).most_expected_error == math.inf
    with pytest.raises(ForearmError, match="does not say what error it expects"):
        several(silent, most_expected_error=0.1)


def test_targets_beside_the_states_of_an_older_dataset_are_refused(run):
    data = run.data()
    data.facts["commands"] = "target; targets lie beside the states, which is taken off: pan by 3"
    with pytest.raises(ForearmError, match="build it anew"):
        Commands(data)
