"""Several datasets become one: same sides, common bounds, actions side by side."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.canvases import decode
from support.tiny import make_layout, write_data

from forearm.base.errors import ForearmError
from forearm.canvas import ActionDimension, Camera, Joint
from forearm.environment.commands import Commands
from forearm.transitions import TransitionSet
from forearm.transitions.combine import combine

PAN, LIFT = ActionDimension("pan", "pan", "deg", 10.0), ActionDimension("lift", "lift", "deg", 10.0)


@pytest.fixture
def parts(tmp_path):
    """One set that moves pan, and one that moves lift, whose positions lie elsewhere."""
    first = write_data(tmp_path / "first", make_layout(), episodes=4, val=1)
    second = write_data(tmp_path / "second", make_layout(actions=(LIFT,)), episodes=5, val=2, seed=1)
    np.save(second.path / "states.npy", second.states[:, ::-1] + 100)
    return first, TransitionSet(second.path)


def test_everything_is_there_and_on_its_side(parts, tmp_path):
    both = combine(parts, tmp_path / "both")
    n = len(parts[0])
    assert len(both) == n + len(parts[1])
    assert both.columns.validation.tolist() == [*parts[0].columns.validation, *parts[1].columns.validation]
    assert [e["recording"] for e in both.episodes] == ["first"] * 4 + ["second"] * 5
    assert both.columns.episodes[n] == 4
    for offset, part in zip((0, n), parts, strict=True):
        rows = part.rows()
        frames = both.frames[both.columns.frames[rows + offset]]
        np.testing.assert_array_equal(frames, part.frames[part.columns.frames])
        np.testing.assert_array_equal(both.positions(rows + offset), part.positions(rows))
    training, validation = (set(both.columns.frames[both.rows(side)].ravel()) for side in ("train", "val"))
    assert not training & validation
    assert len(both.frames) == sum(len(part.frames) for part in parts)


def test_moments_stay_apart(parts, tmp_path):
    for part, moments in zip(parts, ([3, 3, None, 0], [None, 0, 0, 1, 3]), strict=True):
        told = [episode | {"moment": m} for episode, m in zip(part.episodes, moments, strict=True)]
        pq.write_table(pa.Table.from_pylist(told), part.path / "episodes.parquet")
    both = combine([TransitionSet(part.path) for part in parts], tmp_path / "both")
    assert [e["moment"] for e in both.episodes] == [3, 3, None, 0, None, 4, 4, 5, 7]
    before = write_data(tmp_path / "before", seed=2)
    for sets in ((before, both), (both, before)):
        together = combine(sets, tmp_path / sets[0].path.name / "together")
        assert sum(e["moment"] is not None for e in together.episodes) == 7
        assert len(np.unique(together.groups)) == len(np.unique(both.groups)) + 8


def test_strips_have_common_bounds_and_decode_to_the_same_positions(parts, tmp_path):
    both = combine(parts, tmp_path / "both")
    training = both.positions(both.rows("train"))
    assert (both.layout.lows < training.min((0, 1))).all()
    assert (both.layout.highs > training.max((0, 1))).all()
    assert both.layout.highs.max() - both.layout.lows.min() > 100, "both ranges"
    shown = decode(both.layout, both.batch(both.rows("train")).canvas.numpy())
    np.testing.assert_allclose(shown.positions, training, atol=1e-3)


def test_bounds_come_from_training_alone(parts, tmp_path):
    second = parts[1]
    states = second.states.copy()
    states[np.unique(second.columns.frames[second.rows("val")])] += 1e4
    np.save(second.path / "states.npy", states)
    both = combine([parts[0], TransitionSet(second.path)], tmp_path / "both")
    assert both.layout.highs.max() < 200


def test_entries_stand_side_by_side(parts, tmp_path):
    both = combine(parts[::-1], tmp_path / "both")
    assert both.layout.actions == (PAN, LIFT), "in the order of the joints"
    n = len(parts[1])
    taken = both.columns.actions[:, 0]
    np.testing.assert_array_equal(taken[:n], parts[1].columns.actions[:, 0] * [0, 1])
    np.testing.assert_array_equal(taken[n:], parts[0].columns.actions[:, 0] * [1, 0])
    assert both.columns.dimensions.tolist() == [1] * n + [0] * len(parts[0])
    shown = decode(both.layout, both.batch(both.rows()).canvas.numpy())
    np.testing.assert_allclose(shown.actions[:, 0], taken / 10, atol=1e-6)


def test_continuous_entries_take_the_larger_scale(tmp_path):
    sets = [
        write_data(
            tmp_path / str(scale),
            make_layout(actions=(ActionDimension("pan", "pan", "deg", scale),), discrete=False),
        )
        for scale in (10.0, 20.0)
    ]
    both = combine(sets, tmp_path / "both")
    assert both.layout.actions[0].scale == 20
    assert np.abs(both.action_values(both.rows())).max() == 0.5


@pytest.mark.parametrize(
    ("says", "changes"),
    [
        ("cameras", {"cameras": (Camera("base", 8, 8),)}),
        ("joint_names", {"joints": (Joint("pan"), Joint("roll"))}),
        ("units", {"joints": (Joint("pan", "rad"), Joint("lift", "rad"))}),
        ("discrete", {"discrete": False}),
        ("history", {"history": 3}),
        ("action_is", {"action_is": "target"}),
        ("stacking", {"stacking": "horizontal"}),
        ("separator", {"separator": 8}),
        ("moves pan by 5", {"actions": (ActionDimension("pan", "pan", "deg", 5.0),)}),
    ],
)
def test_unlike_sets_are_refused(tmp_path, says, changes):
    sets = [write_data(tmp_path / "a"), write_data(tmp_path / "b", make_layout(**changes))]
    with pytest.raises(ForearmError, match=says) as failure:
        combine(sets, tmp_path / "both")
    assert "\n" not in str(failure.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_actions_of_another_kind_are_refused(tmp_path):
    sets = [write_data(tmp_path / name) for name in "ab"]
    facts = json.loads((sets[1].path / "dataset.json").read_text())
    (sets[1].path / "dataset.json").write_text(json.dumps(facts | {"actions": "dominant"}))
    with pytest.raises(ForearmError, match="kind of actions"):
        combine([sets[0], TransitionSet(sets[1].path)], tmp_path / "both")


def test_an_episode_must_not_train_here_and_validate_there(tmp_path):
    one = write_data(tmp_path / "1" / "set", val=2)
    same = write_data(tmp_path / "2" / "set", val=2)
    assert len(combine([one, same], tmp_path / "doubled")) == 2 * len(one)
    elsewhere = write_data(tmp_path / "3" / "set", val=3)
    with pytest.raises(ForearmError, match="episode 5 of set trains in one set and validates in another"):
        combine([one, elsewhere], tmp_path / "both")
    renamed = write_data(tmp_path / "5" / "renamed", val=3)
    with pytest.raises(ForearmError, match="trains in one set and validates in another"):
        combine([one, renamed], tmp_path / "both")
    namesake = write_data(tmp_path / "4" / "set", val=3, seed=7)
    assert len(combine([one, namesake], tmp_path / "namesakes")) == 2 * len(one)


def test_one_set_or_a_taken_target_are_refused(parts, tmp_path):
    with pytest.raises(ForearmError, match="at least two"):
        combine(parts[:1], tmp_path / "both")
    with pytest.raises(ForearmError, match="already exists"):
        combine(parts, parts[0].path)


def test_weights_stay_when_sets_are_combined_again(parts, tmp_path):
    weighed = combine(parts, tmp_path / "weighed", weights=(1, 2))
    again = combine([weighed, write_data(tmp_path / "third", seed=2)], tmp_path / "again")
    assert [episode["weight"] for episode in again.episodes][: len(weighed.episodes)] == [1] * 4 + [2] * 5
    assert again.weights(again.rows())[-1] == 1
    assert f"trainings draw the transitions of {parts[1].path} with weight 2" in again.facts["choices"]


@pytest.mark.parametrize("weights", [(1,), (1, 0), (1, float("nan")), (1, 2, 3)])
def test_weights_are_one_positive_number_a_set(parts, tmp_path, weights):
    with pytest.raises(ForearmError, match=r"give 2 numbers from 0\.001 to 1000, one a dataset"):
        combine(parts, tmp_path / "both", weights=weights)
    assert not (tmp_path / "both").exists()


def test_targets_lie_as_far_beside_the_states_as_before(tmp_path):
    """Combined action dimensions stand in the order of their joints, and may be more."""
    sets = []
    for seed, (name, actions, offsets) in enumerate(
        (("a", (LIFT, PAN), [7.0, 3.0]), ("b", (LIFT,), [5.0]), ("c", (PAN,), []))
    ):
        layout = make_layout(discrete=False, action_is="target", action_duration=0.2, actions=actions)
        data = write_data(tmp_path / name, layout, seed=seed)
        facts = json.loads((data.path / "dataset.json").read_text())
        facts["recordings"][0]["offsets"] = offsets
        (data.path / "dataset.json").write_text(json.dumps(facts))
        sets.append(TransitionSet(data.path))
    both = combine(sets, tmp_path / "both")
    assert [dimension.name for dimension in both.layout.actions] == ["pan", "lift"]
    commands = Commands(both)
    assert [commands.offsets(episode).tolist() for episode in (0, 8, 16)] == [[3, 7], [0, 5], [0, 0]]
    both.facts["recordings"][1]["name"] = "a"
    with pytest.raises(ForearmError, match="several recordings called a"):
        Commands(both)
    both.facts["recordings"][1] |= {"name": "b", "offsets": [5.0]}
    with pytest.raises(ForearmError, match="build it anew"):
        Commands(both)


def test_what_the_commands_are_is_handed_on(tmp_path):
    """Older parts do not say for each recording how far targets lie beside the states, only whether they do."""
    layout = make_layout(discrete=False, action_is="target", action_duration=0.2, actions=(PAN,))
    sets = {}
    for seed, (name, told, offsets) in enumerate(
        (("new", "targets, taken off", {"offsets": [3.0]}), ("beside", "targets, taken off", {}), ("at", "targets", {}))
    ):
        data = write_data(tmp_path / name, layout, seed=seed)
        facts = json.loads((data.path / "dataset.json").read_text())
        facts["recordings"][0] |= offsets
        (data.path / "dataset.json").write_text(json.dumps(facts | {"commands": told}))
        sets[name] = TransitionSet(data.path)
    known = combine([sets["new"], sets["at"]], tmp_path / "known")
    assert known.facts["commands"] == "targets, taken off; targets"
    assert [Commands(known).offsets(episode).tolist() for episode in (0, 8)] == [[3], [0]]
    with pytest.raises(ForearmError, match="build it anew"):
        Commands(combine([sets["at"], sets["beside"]], tmp_path / "unknown"))
