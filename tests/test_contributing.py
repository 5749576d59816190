"""The examples in CONTRIBUTING.md run as they are printed."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny import make_layout

from forearm.batch import Prediction
from forearm.control.goals import JointGoal
from forearm.evaluation import catalogue, metrics
from forearm.transitions.build import build
from forearm.transitions.settings import BuildConfig
from forearm.transitions.store import TransitionSet

PAGE = (Path(__file__).resolve().parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
LAYOUT = make_layout()


def example(name: str) -> type:
    """The class of this name in the page's examples."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict = {"__name__": "contributing"}
    exec(next(block for block in blocks if f"class {name}" in block), names)
    return names[name]


def test_the_example_of_a_metric_is_scored_and_described():
    (line,) = re.findall(r'"val_mae": (np\.abs.*),\n', PAGE)
    regions = np.random.default_rng(0).random((2, 2, 3, LAYOUT.height, LAYOUT.frame_width))
    names = {"np": np, "region": regions[0], "truth": type("Truth", (), {"last": regions[1]}), "h": LAYOUT.frame_height}
    values = eval(line, names)
    pictures = regions[..., : LAYOUT.frame_height, :]
    assert values == pytest.approx(np.abs(pictures[0] - pictures[1]).reshape(2, -1).mean(1))
    described = catalogue._metric("val_mae", "picture", "")
    assert (described.better, described.unit) == ("lower", "joint"), "so the page asks for a unit of its own"
    for named in ("_picture_metrics", "_motor_metrics", "counterfactuals", "against_outcomes"):
        assert f"`{named}`" in PAGE
        assert callable(getattr(metrics, named))


def test_the_example_of_a_goal_wants_all_of_its_goals():
    pan, lift = (JointGoal.named(LAYOUT, {joint: target}) for joint, target in (("pan", 10.0), ("lift", -5.0)))
    both = example("AllGoals")((pan, lift))
    at = torch.tensor([[10.0, -5.0], [10.0, 10.0], [0.0, -5.0]])
    frames = torch.zeros(3, 3, LAYOUT.height, LAYOUT.frame_width)
    costs = both.cost(Prediction(frames, at))
    assert (costs <= both.enough).tolist() == [True, False, False]
    assert costs[1:].tolist() == pytest.approx([1.0, 1.0])  # lift is 15° off, its most; pan a move of 10°


def test_the_example_of_a_reader_makes_transitions(tmp_path, monkeypatch):
    folder = tmp_path / "arrays"
    folder.mkdir()
    for episode in range(3):
        states = np.cumsum(np.ones((20, 2), np.float32) * (1 + episode), axis=0)
        pictures = np.random.default_rng(episode).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
        np.savez(folder / f"{episode}.npz", states=states, pictures=pictures)
    reader = example("ArrayRecording")
    monkeypatch.setitem(build.__globals__, "open_recording", lambda source, **_: reader(Path(source)))
    build([folder], tmp_path / "data", BuildConfig(size=16))
    data, first = TransitionSet(tmp_path / "data"), np.load(folder / "0.npz")
    assert data.layout.joint_names == ("lift", "turn")
    row = data.columns.frames[0, 0]
    assert np.array_equal(data.states[row], first["states"][0])
    assert np.array_equal(data.frames[row], first["pictures"][0])
