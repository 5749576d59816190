"""Predictions fed back: with the truth fed back the contexts are the dataset's own, and nothing else is looked at."""

import dataclasses

import numpy as np
import pytest
import torch
from support.tiny import make_layout, write_data

from forearm.batch import Prediction
from forearm.canvas import ActionDimension
from forearm.environment import rollout
from forearm.evaluation.baselines import Persistence

HORIZON = 4


class Oracle:
    """Paints the true last frames of one set of rows after the other, and keeps what it was shown."""

    def __init__(self, data, rows_of_steps):
        self.data, self.rows, self.shown = data, iter(rows_of_steps), []

    def predict(self, batch):
        self.shown.append(batch)
        return Prediction(torch.from_numpy(self.data.last_frames(next(self.rows))))


def told(data, paths):
    """The actions and dimensions along paths (P, K), as ``rollout`` takes them."""
    actions = np.stack([data.action_values(rows)[:, -1] for rows in paths.T], axis=1)
    return torch.from_numpy(actions), torch.from_numpy(data.columns.dimensions[paths])


@pytest.fixture(params=[2, 3])
def data(tmp_path, request):
    dimensions = (ActionDimension("pan", "pan", "deg", 10.0), ActionDimension("lift", "lift", "deg", 10.0))
    return write_data(tmp_path / "data", make_layout(history=request.param, actions=dimensions), val=1)


def test_with_the_truth_fed_back_the_contexts_are_the_datasets_own(data):
    layout, paths = data.layout, data.paths(HORIZON, data.rows("train"))
    assert len(paths) == 7 * 3
    oracle = Oracle(data, paths.T)
    frames = rollout(oracle, data.batch(paths[:, 0]), *told(data, paths))
    assert len(frames) == HORIZON
    for step, (rows, shown) in enumerate(zip(paths.T, oracle.shown, strict=True)):
        assert np.array_equal(frames[step].frame.numpy(), data.last_frames(rows))
        own = data.batch(rows).context()
        pictures = slice(0, layout.frame_height)
        assert torch.equal(shown.canvas[:, :, pictures], own.canvas[:, :, pictures])
        assert torch.equal(shown.actions, own.actions)
        assert torch.equal(shown.dimensions, own.dimensions)
        # Positions pass through the greys of a strip: float32, which a joint that never moved magnifies most.
        torch.testing.assert_close(shown.canvas, own.canvas, atol=1e-5, rtol=0)
        torch.testing.assert_close(shown.positions, own.positions, atol=1e-5, rtol=0, equal_nan=True)


def test_persistence_stays_frozen(data):
    layout, paths = data.layout, data.paths(HORIZON)
    first = data.batch(paths[:, 0])
    frames = rollout(Persistence(), first, *told(data, paths))
    before = first.canvas[..., layout.frame_columns(-2)]
    for step in range(HORIZON):
        frame = frames[step].frame
        assert torch.equal(frame[:, :, : layout.frame_height], before[:, :, : layout.frame_height])
        torch.testing.assert_close(frame, Persistence().predict(first).frame, atol=1e-6, rtol=0)


def test_the_answer_and_the_actions_taken_do_not_count(data):
    layout, rows = data.layout, data.rows()
    whole = data.batch(rows)
    hidden = dataclasses.replace(
        whole.context(), actions=whole.actions.index_fill(1, torch.tensor(layout.history - 2), 9.0)
    )
    hidden.canvas[..., layout.separator_columns(-1)] = 0.5
    actions = torch.rand(len(rows), 2, 2, generator=torch.Generator().manual_seed(0))
    shown = []
    for first in (whole, hidden):
        oracle = Oracle(data, [rows, rows])
        rollout(oracle, first, actions, torch.zeros(len(rows), 2))
        shown.append(oracle.shown)
    for one, other in zip(*shown, strict=True):
        assert torch.equal(one.canvas, other.canvas)
        assert torch.equal(one.actions, other.actions)
