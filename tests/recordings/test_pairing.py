"""Which picture belongs to which row: the cases of docs/formats.md, and what holds for all facts."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forearm.recordings.pairing import VideoFacts, pair, pair_images

FPS = 10


def facts(rows=12, pictures=None, rate=FPS, **others) -> VideoFacts:
    """An episode alone in its file, whose clocks are those of its frames."""
    frames = others.pop("frames", np.arange(rows))
    told = {
        "times": np.arange(rows if pictures is None else pictures) / rate,
        "fps": FPS,
        "rows": rows,
        "length": rows,
        "frames": frames,
        "timestamps": None if frames is None else frames / FPS,
    }
    return VideoFacts(**(told | others))


def shared(before=12, rows=9, total=36, **others) -> VideoFacts:
    """The second of three episodes in a file."""
    told = {
        "times": np.arange(total) / FPS,
        "begin": before / FPS,
        "end": (before + rows) / FPS,
        "before": before,
        "total": total,
        "episodes": 3,
        "claimed": total / FPS,
    }
    return facts(rows, **(told | others))


ALL, CUT, DRIFTING = np.arange(36) / FPS, np.arange(3, 12), np.arange(13) * 0.11
DRIFT = "timestamp drifts"
COUNT = [
    ("all facts agree", facts(), np.arange(12), ""),
    ("no counters at all", facts(frames=None), np.arange(12), ""),
    ("a clock that drifts", facts(timestamps=np.arange(12) / 9), np.arange(12), DRIFT),
    ("seconds since 1970", facts(timestamps=1.7e9 + np.arange(12) / 10), np.arange(12), ""),
    ("a file labelled 30 fps", facts(rate=30), np.arange(12), "runs at 30 pictures"),
    ("rows and pictures cut alike", facts(frames=np.arange(5, 17)), np.arange(12), ""),
    (
        "a gap in the pictures and the table's clock",
        facts(5, times=np.array([0, 1, 2, 5, 6]) / 10, timestamps=np.array([0, 1, 2, 5, 6]) / 10),
        np.arange(5),
        DRIFT,
    ),
    ("in a shared file", shared(), np.arange(12, 21), ""),
    ("from_timestamp missing, counts agree", shared(begin=None, end=None, claimed=None), np.arange(12, 21), ""),
    (
        "30000/1001, from_timestamp of the table's rate",
        shared(1000, 900, 3000, times=np.arange(3000) * 0.1001),
        np.arange(1000, 1900),
        "the video runs at",
    ),
    (
        "30000/1001, from_timestamp of the file's rate",
        shared(1000, 900, 3000, times=np.arange(3000) * 0.1001, begin=100.1, end=190.19, claimed=300.3),
        np.arange(1000, 1900),
        "the video runs at",
    ),
    (
        "the first episode a picture short, to_timestamp says so",
        shared(times=np.arange(35) / 10, begin=1.1, end=2.0, claimed=3.5),
        np.arange(11, 20),
        "",
    ),
]
TIME = [
    ("three pictures a row", facts(pictures=36, rate=30), np.arange(0, 36, 3)),
    ("a picture for three rows", facts(pictures=4, rate=10 / 3), [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3]),
    ("rows cut from the beginning", facts(7, 12, frames=np.arange(5, 12)), np.arange(5, 12)),
    ("rows cut from the end", facts(7, 12, length=12), np.arange(7)),
    ("no frame_index but timestamp", facts(7, 12, frames=None, timestamps=np.arange(5, 12) / 10), np.arange(5, 12)),
    ("a picture too many, a clock that drifts", facts(120, 121, timestamps=np.arange(120) / 9), np.arange(120)),
    ("three times the rate in a shared file", shared(times=np.arange(108) / 30), np.arange(36, 63, 3)),
    ("rows cut in a shared file", shared(9, 9, 33, frames=CUT, times=ALL, claimed=3.6, end=2.1), range(12, 21)),
    ("rows cut, the metadata not", shared(9, 9, frames=CUT, length=12, end=2.1), range(12, 21)),
    ("rows cut, the metadata not, a clock that drifts", facts(13, 15, length=15, timestamps=DRIFTING), range(13)),
]
REFUSED = [
    ("a picture too few", facts(pictures=11), "12 rows but 11 pictures; row 11"),
    ("a picture dropped", facts(times=np.delete(np.arange(12), 5) / 10), "row 5 .* has none"),
    ("one dropped, one too many", facts(times=np.delete(np.arange(13), 5) / 10), "pass after picture 4"),
    ("rows cut, no counters", facts(7, 12, frames=None), "no column frame_index or timestamp"),
    ("a clock that drifts, pictures unaccounted for", facts(13, 15, timestamps=DRIFTING), "disagree"),
    ("clocks that both could be right", facts(pictures=20, timestamps=np.arange(12) / 9), "disagree"),
    ("no picture", facts(pictures=0), "12 rows but 0 pictures"),
    ("a picture too few in a shared file", shared(end=2.0), "9 rows but 8 pictures"),
    ("from_timestamp missing", shared(times=np.arange(35) / 10, begin=None, end=None), "from_timestamp is missing"),
    ("fewer pictures than to_timestamp says", shared(times=np.arange(35) / 10), "nothing says where pictures"),
    ("more pictures than to_timestamp says", shared(times=np.arange(37) / 10), "pictures too many"),
    ("truncated", shared(times=np.arange(15) / 10, truncated=True), "truncated"),
    ("the metadata contradicts itself", facts(contradiction="mixed up"), "mixed up"),
]


@pytest.mark.parametrize(("known", "numbers", "note"), [case[1:] for case in COUNT], ids=[case[0] for case in COUNT])
def test_paired_by_count(known, numbers, note):
    pairing = pair(known)
    assert (pairing.rule, pairing.refusal) == ("count", "")
    assert pairing.numbers.tolist() == list(numbers)
    assert (note in pairing.note) if note else not pairing.note


@pytest.mark.parametrize(("known", "numbers"), [case[1:] for case in TIME], ids=[case[0] for case in TIME])
def test_paired_by_time(known, numbers):
    pairing = pair(known)
    assert (pairing.rule, pairing.refusal) == ("time", "")
    assert pairing.numbers.tolist() == list(numbers)
    assert pairing.note


@pytest.mark.parametrize(("known", "reason"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused(known, reason):
    pairing = pair(known)
    assert (pairing.rule, len(pairing.numbers)) == ("none", 0)
    assert re.search(reason, pairing.refusal)


def test_a_truncated_file_still_gives_the_episodes_before_its_end():
    pairing = pair(shared(before=0, rows=12, times=np.arange(15) / 10, truncated=True))
    assert pairing.numbers.tolist() == list(range(12))


@given(
    rows=st.integers(1, 60),
    ratio=st.sampled_from([1 / 3, 0.5, 0.999, 1, 1.001, 2, 3, 5]),
    cut=st.integers(0, 20),
    extra=st.integers(0, 20),
)
def test_every_row_shows_its_own_time(rows, ratio, cut, extra):
    """A camera that films on its own clock: what is paired by time shows each row's time; nothing is out of range."""
    pictures = int(np.ceil((rows + cut + extra) * ratio))
    frames = np.arange(cut, cut + rows)
    pairing = pair(facts(rows, pictures, FPS * ratio, frames=frames))
    if pairing.rule == "time":
        shown = pairing.numbers / (FPS * ratio)
        assert (
            np.abs(shown - frames / FPS).max()
            <= 0.5 / FPS * max(1, 1 / ratio) + 2e-4 + max(0, (1 / ratio - 1) / FPS) / 2
        )
    if pairing.rule == "none":
        assert pairing.refusal
    else:
        assert len(pairing.numbers) == rows
        assert (np.diff(pairing.numbers) >= 0).all()
        assert 0 <= pairing.numbers[0] <= pairing.numbers[-1] < pictures
    if ratio in (1, 2, 3, 5) and (cut or extra or ratio > 1):
        assert pairing.numbers.tolist() == (frames * ratio).astype(int).tolist()


@given(
    lengths=st.lists(st.integers(1, 12), min_size=2, max_size=6),
    filmed=st.lists(st.integers(-2, 2), min_size=6, max_size=6),
    said=st.booleans(),
)
def test_no_episode_shows_anothers_pictures(lengths, filmed, said):
    """Episodes of a shared file have pictures more or fewer than rows; the metadata knows it, or counts rows."""
    held = [max(0, length + more) for length, more in zip(lengths, filmed, strict=False)]
    times = np.arange(sum(held)) / FPS
    if sum(held) == sum(lengths) and held != lengths and not said:
        return  # nothing in the files tells that
    counted = held if said else lengths
    for index, rows in enumerate(lengths):
        begin, own = sum(counted[:index]), sum(held[:index])
        known = facts(
            rows,
            times=times,
            begin=begin / FPS,
            end=(begin + counted[index]) / FPS,
            before=sum(lengths[:index]),
            total=sum(lengths),
            episodes=len(lengths),
            claimed=sum(counted) / FPS,
        )
        pairing = pair(known)
        if pairing.rule != "none":
            surplus = sum(held) - sum(lengths)
            if said or 0 <= surplus <= len(lengths):
                assert pairing.numbers.tolist() == list(range(own, own + rows))


@given(st.lists(st.floats(0, 100), max_size=20), st.lists(st.floats(0, 100), min_size=1, max_size=20), st.booleans())
def test_any_facts_give_a_pairing_or_a_reason(times, stamps, known_begin):
    begin = 1.0 if known_begin else None
    rows = len(stamps)
    pairing = pair(
        facts(rows, times=np.sort(np.array(times)), timestamps=np.array(stamps), begin=begin, total=rows, episodes=2)
    )
    assert bool(pairing.refusal) == (len(pairing.numbers) != rows)
    assert ((pairing.numbers >= 0) & (pairing.numbers < max(1, len(times)))).all()


def test_images_are_paired_by_the_numbers_in_their_names():
    frames = np.arange(5, 8)
    assert pair_images([5, 6, 7], frames, 3).numbers.tolist() == [0, 1, 2]
    assert pair_images([0, 1, 2, 3, 4, 5, 6, 7], frames, 3).numbers.tolist() == [5, 6, 7]
    assert pair_images([1, 2, 3], np.arange(3), 3).rule == "count"  # counted from 1
    assert pair_images([None, None, None], None, 3).rule == "count"
    assert "no image of frame_index 1" in pair_images([0, 2, 3], np.arange(4), 4).refusal
    assert "3 rows but 8 images" in pair_images([None] * 8, frames, 3).refusal
