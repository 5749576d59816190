"""An audit finds each defect where it was planted, and nothing else; it raises no false alarm."""

import dataclasses

import numpy as np
import pytest
from support.defects import DEFECTS, FPS, JOINTS, UNITS, Drawn, clean_episodes

from forearm.recordings.audit import EpisodeFigures, PictureFigures, Subject, findings, runs


def subject_of(episodes: list[Drawn], **changes) -> Subject:
    """What an audit sees of drawn episodes."""
    seen = [
        EpisodeFigures(e.index, e.states, {c: PictureFigures.of(p, FPS) for c, p in e.pictures.items()}, e.timestamps)
        for e in episodes
    ]
    return Subject("drawn", FPS, JOINTS, UNITS, seen, **changes)


@pytest.mark.parametrize("seed", range(4))
def test_clean_data_raise_no_alarm(seed):
    assert findings(subject_of(clean_episodes(seed))) == []


@pytest.mark.parametrize("kind", DEFECTS)
def test_each_planted_defect_is_found_and_no_other(kind):
    plant, where = DEFECTS[kind]
    episodes = clean_episodes()
    plant(episodes)
    found = findings(subject_of(episodes))
    assert [finding.kind for finding in found] == [kind]
    assert {index for index, _, _ in found[0].spans} == where
    assert found[0].matters == (kind != "still_joints")
    assert found[0].says.endswith(".")
    assert found[0].todo.endswith(".")


def test_places_are_exact():
    episodes = clean_episodes()
    for kind in ("black_pictures", "spike", "dropped_rows"):
        DEFECTS[kind][0](episodes)
    spans = {finding.kind: finding.spans for finding in findings(subject_of(episodes))}
    assert spans == {"black_pictures": ((3, 20, 40),), "spike": ((1, 44, 45),), "dropped_rows": ((0, 39, 41),)}


def test_how_late_pictures_are_is_told():
    episodes = clean_episodes()
    DEFECTS["late_pictures"][0](episodes)
    (found,) = findings(subject_of(episodes))
    assert float(found.todo.split()[-1].rstrip(".")) == pytest.approx(0.2, abs=0.03)


def test_surprising_episodes_stand_out_from_the_usual_spread():
    subject = subject_of(clean_episodes())
    errors = [0.5, 0.45, 0.6, 0.52, 2.5, 0.48, 0.55, 0.5]

    def told(errors):
        episodes = [dataclasses.replace(e, error=x) for e, x in zip(subject.episodes, errors, strict=True)]
        return findings(dataclasses.replace(subject, episodes=episodes))

    (found,) = told(errors)
    assert (found.kind, [index for index, _, _ in found.spans]) == ("surprising_episodes", [4])
    assert told([0.5, 0.45, 0.6, 0.52, 0.62, 0.48, 0.55, 0.5]) == []


def test_files_that_cannot_be_read_matter_and_notes_do_not():
    found = findings(subject_of(clean_episodes(), unreadable=["episode 9: a.mp4 is missing"], notes=["episode 1: odd"]))
    assert [(finding.kind, finding.matters) for finding in found] == [("unreadable", True), ("pairing", False)]


def test_pauses_that_a_log_means_are_no_finding():
    episodes = clean_episodes()
    DEFECTS["idle_ends"][0](episodes)
    assert findings(subject_of(episodes, logged=True)) == []


def test_a_resting_joint_that_stands_elsewhere_is_a_note():
    episodes = clean_episodes()
    for episode in episodes:
        episode.states[:, 1] = 20 + 12 * (episode.index == 5)
    found = findings(subject_of(episodes))
    assert [(finding.kind, finding.matters) for finding in found] == [("other_pose", False), ("still_joints", False)]


@pytest.mark.parametrize(("mask", "expected"), [([0, 0], []), ([1, 1, 0, 1], [(0, 2)]), ([0, 1, 1, 1], [(1, 4)])])
def test_runs_of_at_least_two(mask, expected):
    assert runs(np.array(mask, bool), 2) == expected


@pytest.mark.parametrize(
    ("command", "kind", "says"),
    [
        (lambda x: x, None, ""),
        (lambda x: -x, "action_sign_or_unit", "pan moves the other way than it is commanded."),
        (
            lambda x: np.deg2rad(x),
            "action_sign_or_unit",
            "57.3 times as far as it is commanded: degrees against",
        ),
        (lambda x: x + 30, "action_offset", "pan by -30"),
        (lambda x: np.random.default_rng(0).normal(0, 1, x.shape), "unclear_actions", "is not clear"),
    ],
)
def test_commands_are_compared_with_what_the_joints_did(command, kind, says):
    """A joint follows its target one row later."""
    subject = subject_of(clean_episodes())
    episodes = [
        dataclasses.replace(e, actions=command(np.concatenate([e.states[1:], e.states[-1:]]))) for e in subject.episodes
    ]
    told = {"actions": "what the actions mean is not clear", "clear": kind is None, "commanded": {0: 0}}
    found = findings(dataclasses.replace(subject, episodes=episodes, **told))
    assert [finding.kind for finding in found] == ([] if kind is None else [kind])
    assert all(says in finding.says for finding in found)


def test_of_many_copies_the_rest_is_counted():
    episodes = clean_episodes(seed=3)
    subject = subject_of([*episodes, *episodes])
    (copies,) = [finding for finding in findings(subject) if finding.kind == "near_duplicates"]
    assert f" and {len(episodes) - 3} more." in copies.says
