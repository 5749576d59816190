"""Episodes are known again in datasets that were built anew, and nothing else is taken for them."""

import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.recordings import CAMERA, VIDEO_PATH, make_recording, picture_of, write_video

from forearm.training.config import TrainConfig
from forearm.training.loop import start_run
from forearm.transitions.build import BuildConfig, build
from forearm.transitions.fingerprint import fingerprint, known_among

LENGTHS = (18,) * 6
SMALL = {"width": 16, "depth": 1, "heads": 2, "decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2}
SETTINGS = BuildConfig(size=32, val=0.34)


def pictures(episode):
    return [picture_of(episode, n) for n in range(18)]


def film(root, episode, shown, **options):
    write_video(root / VIDEO_PATH[0].format(episode_chunk=0, episode_index=episode, video_key=CAMERA), shown, **options)


def coded_anew(root):
    for episode in range(6):
        film(root, episode, pictures(episode), crf="36")
    return {}


def one_picture_changed(root):
    for episode in range(6):
        shown = pictures(episode)
        shown[0] = 255 - shown[0]
        film(root, episode, shown)
    return {}


def cut(root):
    """The first rows and pictures of each episode are missing."""
    for episode in range(6):
        film(root, episode, pictures(episode)[5:])
        path = root / f"data/chunk-000/episode_{episode:06d}.parquet"
        table = pq.read_table(path).slice(5)
        pq.write_table(table.set_column(3, "frame_index", pa.array(np.arange(13))).drop(["timestamp"]), path)
    return {}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run and the dataset that it is trained on; only to be read."""
    shelf = tmp_path_factory.mktemp("trained")
    data = build(make_recording(shelf / "set", lengths=LENGTHS), shelf / "data", SETTINGS)
    return start_run(shelf / "run", "mae", SMALL, TrainConfig(steps=1), data), data


@pytest.mark.parametrize(
    "change",
    [
        coded_anew,
        one_picture_changed,
        cut,
        lambda root: {"stride": 0.3},
        lambda root: {"step": 0.2, "stride": 0.2},
        lambda root: {"camera_lag": 0.05},
    ],
    ids=["coded anew", "one picture changed", "cut", "stride", "step", "lag"],
)
def test_training_episodes_are_known_in_a_dataset_that_is_built_anew(trained, tmp_path, change):
    run, data = trained
    root = make_recording(tmp_path / "again", lengths=LENGTHS)
    again = build(root, tmp_path / "data", BuildConfig(**{"size": 32, "val": 1.0} | change(root)))
    assert not set(again.digests_of("val")) & set(data.digests_of("train")), "the content differs"
    left = {again.episodes[number]["index"] for number in again.columns.episodes[run.held_out(again)]}
    assert left == {data.episodes[number]["index"] for number in data.episodes_of("val")}


def test_another_recording_is_not_left_out_though_its_joints_move_alike(trained, tmp_path):
    run, _ = trained
    root = make_recording(tmp_path / "other", lengths=LENGTHS)
    for episode in range(6):
        film(root, episode, [picture_of(episode + 40, n) for n in range(18)])
    other = build(root, tmp_path / "data", SETTINGS)
    known = run.known_in(other)
    assert len(run.held_out(other)) == len(other)
    assert not known.same_joints.any(), "in the training, too, several episodes have these joints"


def frame(level):
    return np.full((16, 16, 3), level, np.uint8)


def print_of(states, level, scene=None):
    return fingerprint(np.asarray(states, np.float32), frame(level), frame(level), scene)


def test_the_same_joints_before_other_pictures_are_told_where_motions_tell_episodes_apart():
    motions = np.random.default_rng(0).normal(size=(8, 60, 6)).cumsum(axis=1)
    trained = [print_of(motion, 20 * i) for i, motion in enumerate(motions[:4])]
    scored = [print_of(motion, 200) for motion in motions[2:]]
    known = known_among(scored, trained)
    assert known.same_joints.tolist() == [True, True, False, False, False, False]
    assert not known.copies.any()
    assert known_among(trained, trained).copies.all()


@pytest.mark.parametrize("scenes", [(None, None), (1, 2)])
def test_a_grid_of_positions_raises_no_alarm(scenes):
    """Single moves from a grid of start poses are alike by construction; what differs are the scenes."""
    ramp = np.linspace(0, 10, 6)
    moves = []
    for start, joint, sign in itertools.product(itertools.product((0, 15, 30), repeat=2), (0, 1), (1, -1)):
        states = np.tile(np.array(start, np.float32), (6, 1))
        states[:, joint] += sign * ramp
        moves.append(states)
    trained, scored = (
        [print_of(m, level, scene) for m in moves] for level, scene in zip((40, 60), scenes, strict=True)
    )
    known = known_among(scored, trained)
    assert not known.same_joints.any()
    assert not known.copies.any()


def test_episodes_that_stand_still_are_known_where_the_scene_is():
    first, other = (print_of(np.full((6, 2), 7.5), 20, scene) for scene in (3, 4))
    assert known_among([first, other], [first]).copies.tolist() == [True, False]


def test_episodes_that_stand_still_and_damaged_fingerprints_are_never_known():
    still = print_of(np.zeros((30, 2)), 20)
    for each in (still, "", "torn", "zz" * 64 + " 00"):
        known = known_among([each], [each, still])
        assert not (known.copies | known.same_joints).any()
