"""Success by objects: where they are read to be, whether they are raised, and what starts know of them."""

import dataclasses
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.pushes import COLOURS, METRES, SIDE, write_pushes

from forearm.base.errors import ForearmError
from forearm.environment.commands import Commands
from forearm.evaluation.object_reader import object_reader_of
from forearm.transitions import TransitionSet
from forearm.trials import classifier
from forearm.trials.classifier import Examples, classifier_of, stacked
from forearm.trials.object_scorers import ObjectScorer, RegionScorer, WayScorer
from forearm.trials.scoring import AutoScorer, LearnedScorer, scorer_named
from forearm.trials.starts import ObjectTask, Start, read_starts
from forearm.trials.trying import Film

RED = np.array(COLOURS[0])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Pushes in which the square that is pushed also rises: by 3 cm a step."""
    pushes = write_pushes(tmp_path_factory.mktemp("raised") / "data", episodes=24, val=4)
    values = np.load(pushes.path / "objects.npy")
    values[:, 0, 2] = 0.02 + 0.03 * values[:, 0, 3]  # where it was touched
    np.save(pushes.path / "objects.npy", values)
    return TransitionSet(pushes.path)


class Reader:
    """Finds what is red in the later picture of the first camera, which sees a square of the table."""

    cameras = (0,)

    def __init__(self, layout):
        self.layout = layout
        a = torch.zeros(1, 11, dtype=torch.float64)
        a[0, 1] = a[0, 6] = 1 / METRES
        self.network = SimpleNamespace(projection=a)

    def offsets(self, before, motions):
        return np.zeros((*motions.boxes.shape[:1], 1, 2, 2))

    def places(self, before, after, motions, offsets):
        red = after[:, 0, :SIDE].astype(float) - after[:, 2, :SIDE] > 100
        found = np.full((len(after), 1, 2, 2), np.nan)
        for number, mask in enumerate(red):
            rows, columns = np.nonzero(mask)
            found[number, 0, 0] = (columns.mean() + 0.5) / SIDE, (rows.mean() + 0.5) / SIDE
        return found


def film(x, lifts=False):
    """A trial that ends with the object at x of the table's width, and began at a quarter; its place is the middle."""
    pictures = np.full((5, SIDE, SIDE, 3), 90, np.uint8)
    for picture, middle in zip(pictures, [*np.linspace(0.25, x, 3).tolist(), x, x], strict=True):
        column = round(middle * SIDE)
        picture[14:18, column - 2 : column + 2] = RED
    box, place = np.full((2, 4), np.nan), np.full((2, 2), np.nan)
    box[0], place[0] = (0.2, 0.4, 0.3, 0.6), (0.5, 0.5)
    task = ObjectTask(0, np.array([0.1, 0.2, 0.02]), np.array([0.2, 0.2, 0.12 if lifts else 0.02]), box, place)
    start = Start(3, "push", {}, {}, np.zeros((4, 1), np.float32), task)
    shown = {"base": pictures[2:], "wrist": pictures[2:] * 0}
    return Film(start, shown, np.zeros((5, 2)), np.zeros((4, 1)), np.zeros(5), done=False)


def test_an_object_counts_as_there_near_its_place(data):
    beside = METRES / SIDE * 1000  # a pixel in millimetres
    judge = ObjectScorer(Reader(data.layout), within=1.5 * beside)
    there, near, far = judge.scores([film(0.5), film(0.5 + 1 / SIDE), film(0.8)])
    assert there > near > 0.5 > far
    assert far < 0.01
    with pytest.raises(ForearmError, match="does not show how high"):
        judge.scores([film(0.5, lifts=True)])


def test_the_way_of_an_object_is_a_share_of_all_of_it(data, monkeypatch, tmp_path):
    judge = WayScorer(Reader(data.layout))
    there, half, start, away = judge.scores([film(0.5), film(0.375), film(0.25), film(0.1)])
    assert there == pytest.approx(1, abs=0.05)
    assert half == pytest.approx(0.5, abs=0.1)
    assert start < 0.1
    assert away == 0
    far = film(0.375)
    box = far.start.object.box.copy()
    box[0, [0, 2]] = 0.0, 0.1
    far = dataclasses.replace(
        far, start=dataclasses.replace(far.start, object=dataclasses.replace(far.start.object, box=box))
    )
    assert judge.scores([far])[0] == pytest.approx(1 - 0.125 / 0.45, abs=0.1)
    with monkeypatch.context() as patched:
        patched.setattr("forearm.trials.scoring.object_reader_of", lambda of: judge.reader)
        assert scorer_named("way", data, tmp_path) == judge
    with pytest.raises(ForearmError, match="does not show how high"):
        judge.scores([film(0.5, lifts=True)])


def test_a_region_holds_the_object_or_not(data):
    judge = RegionScorer(Reader(data.layout), 0, (0.4, 0.4, 0.6, 0.6))
    assert judge.scores([film(0.5), film(0.8)]).tolist() == [1, 0]


def test_what_is_raised_what_is_moved_and_what_is_unknown_have_a_judge_each():
    def one(value):
        return SimpleNamespace(scores=lambda films: np.full(len(films), value))

    unknown = film(0.5)
    unknown = dataclasses.replace(unknown, start=dataclasses.replace(unknown.start, object=None))
    judge = AutoScorer(one(0.1), one(0.9), one(0.5))
    assert judge.scores([film(0.5, True), film(0.5), unknown, film(0.6, True)]).tolist() == [0.1, 0.9, 0.5, 0.1]


def test_frames_are_raised_by_the_truth_about_one_object(data):
    examples = Examples.of(data, data.rows("train"))
    assert len(examples.done) == 20 * 5 * 2  # episodes, frames, objects
    assert examples.done.sum() == 20 * 3  # of one object, from the second step on
    positions, _ = data.objects.at(examples.now[examples.done])
    assert (positions[:, 0, 2] > 0.06).all()
    begun, _ = data.objects.at(examples.first[examples.done])
    moved = (positions - begun)[:, 0] / classifier.UNIT
    np.testing.assert_allclose(examples.shifts[examples.done], moved.clip(-6, 6), atol=1e-5)


def test_a_classifier_learns_how_far_objects_come_too(data, monkeypatch):
    """Else it is content with what goes along with success, such as a raised arm."""
    learned = {}

    def ends(network, loss, recipe, hidden):
        loss(torch.Generator().manual_seed(0)).backward()
        learned.update({name: parameter.grad for name, parameter in network.named_parameters()})
        assert len(hidden) == sum(name.endswith("weight") and g.ndim > 1 for name, g in learned.items()) - 1
        assert not any(weight is network.head[-1].weight for weight in hidden)

    monkeypatch.setattr(classifier, "FEWEST", 40)
    monkeypatch.setattr(classifier, "kept_or_learned", lambda data, file, network, recipe, learn: learn(network))
    monkeypatch.setattr(classifier, "fit", ends)
    classifier_of(data)
    assert (learned["head.3.weight"].abs().sum(dim=1) > 0).all(), "success and all three directions"


def test_a_classifier_learns_from_true_pictures_and_is_kept(data, monkeypatch):
    monkeypatch.setattr(classifier, "FEWEST", 40)
    for name, value in (("steps", 40), ("side", 32), ("batch", 16)):
        monkeypatch.setitem(classifier.RECIPE, name, value)
    learned = classifier_of(data)
    held_out = Examples.of(data, data.rows("val"))
    likely = learned.probability(data.frames[held_out.first], data.frames[held_out.now], held_out.boxes)
    assert likely[held_out.done].mean() > likely[~held_out.done].mean()
    monkeypatch.setattr(classifier, "fit", lambda *given: pytest.fail("it is kept"))
    again = classifier_of(data).probability(data.frames[held_out.first], data.frames[held_out.now], held_out.boxes)
    np.testing.assert_allclose(likely, again, rtol=1e-5)
    with pytest.raises(ForearmError, match="raises no object"):
        LearnedScorer(learned).scores([film(0.5)])
    shown = film(0.5, lifts=True)
    assert 0 <= LearnedScorer(learned).scores([shown])[0] <= 1


def test_success_that_no_frame_shows_cannot_be_learned(tmp_path):
    flat = write_pushes(tmp_path / "flat", episodes=4, val=1)
    with pytest.raises(ForearmError, match=re.escape("0 of its training frames show a raised object")):
        classifier_of(flat)


def test_from_a_pure_test_set_nothing_is_learned(tmp_path):
    tests = write_pushes(tmp_path / "tests", episodes=4, val=4)
    with pytest.raises(ForearmError, match=re.escape("0 of its training frames show a raised object and 0 do not")):
        classifier_of(tests)
    with pytest.raises(ForearmError, match="has 0 training pictures with objects"):
        object_reader_of(tests)


def test_an_object_that_is_not_there_teaches_nothing(data, tmp_path):
    """Recordings with fewer objects stand beside others in one dataset; what they lack is NaN."""
    shutil.copytree(data.path, tmp_path / "fewer")
    values = np.load(data.path / "objects.npy")
    absent = data.columns.frames[data.columns.episodes == 0]
    values[np.unique(absent), 1] = np.nan
    np.save(tmp_path / "fewer" / "objects.npy", values)
    fewer = TransitionSet(tmp_path / "fewer")
    examples, before = (Examples.of(each, each.rows("train")) for each in (fewer, data))
    assert len(examples.now) == len(before.now) - len(np.unique(absent))
    assert np.isfinite(examples.shifts).all()


def test_starts_name_the_object_that_moved_most(data, monkeypatch):
    with pytest.raises(ForearmError, match="single logged actions"):
        Commands(data)
    layout = dataclasses.replace(data.layout, discrete=False, action_is="target", action_duration=0.2)
    monkeypatch.setattr(data, "layout", layout)
    commands = SimpleNamespace(targets=lambda actions, positions, episode: actions)
    (start,) = read_starts(data, commands, {7: 0})
    assert start.episode == 7
    assert start.object.number == 0
    assert start.object.lifts
    assert start.object.end[2] == pytest.approx(0.02 + 0.03 * 4)
    assert start.first["base"].shape == (SIDE, SIDE, 3)
    assert stacked([start.first], layout).shape == (1, 2 * SIDE, SIDE, 3)
