"""Small states: learning rate, moving average, when to halve and when to stop; and settings that cannot be."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from forearm.base.errors import ForearmError
from forearm.training.config import TrainConfig
from forearm.training.schedule import MovingAverage, Progress, learning_rate, share_done


def rates(config):
    return [learning_rate(config, Progress(step=s, done=s / config.steps)) for s in range(config.steps)]


def test_warm_up_and_cosine_down_to_a_hundredth():
    config = TrainConfig(learning_rate=0.5, warmup=10, steps=100)
    curve = rates(config)
    cosine = [0.5 * (0.01 + 0.99 * (1 + math.cos(math.pi * s / 100)) / 2) for s in range(100)]
    assert curve[:10] == pytest.approx([rate * (s + 1) / 10 for s, rate in enumerate(cosine[:10])])
    assert curve[10:] == pytest.approx(cosine[10:])
    assert max(curve) == curve[9]
    assert all(a > b for a, b in itertools.pairwise(curve[9:])), "falls all the way"
    assert learning_rate(config, Progress(step=100, done=1.0)) == pytest.approx(0.005)
    assert learning_rate(config, Progress(step=120, done=1.2)) == pytest.approx(0.005), "and no further"


def test_done_is_a_share_of_the_steps_or_of_the_minutes():
    assert share_done(TrainConfig(steps=40), Progress(step=10, seconds=1e9)) == 0.25
    assert share_done(TrainConfig(minutes=2, steps=10), Progress(step=10, seconds=30)) == 0.25


@given(st.integers(0, 50), st.integers(1, 200))
def test_rates_are_positive_and_bounded(warmup, steps):
    curve = rates(TrainConfig(learning_rate=1.0, warmup=warmup, steps=steps))
    assert all(0 < rate <= 1 for rate in curve)


def test_plateau_halves_when_validation_stands_still():
    config = TrainConfig(schedule="plateau", learning_rate=1.0, warmup=2, plateau_patience=2)
    progress, seen = Progress(), []
    for loss in (5.0, 4.0, 4.0, 4.5, 4.2, 4.0, 3.9, 4.0, 4.0, 4.0):
        progress.step += 10
        progress.evaluated(loss, config)
        seen.append(learning_rate(config, progress))
    assert seen == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125]
    assert learning_rate(config, Progress()) == 0.5, "warm-up comes first"


def test_the_best_is_remembered_and_patience_ends():
    config, progress = TrainConfig(patience=2), Progress()
    found = []
    for step, loss in enumerate((3.0, 2.0, 2.5, 1.0, 1.0, math.nan)):
        assert not progress.finished(config)
        progress.step = step
        found.append(progress.evaluated(loss, config))
    assert found == [True, True, False, True, False, False]
    assert (progress.best_loss, progress.best_step, progress.stale) == (1.0, 3, 2)
    assert progress.finished(config)
    assert not progress.finished(TrainConfig(patience=0)), "0 never stops early"
    assert Progress(done=1.0).finished(TrainConfig())


def test_moving_average_is_the_formula():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    average = MovingAverage(model, 0.9)
    slow = {name: value.detach().double().clone() for name, value in model.named_parameters()}
    for step in range(1, 200):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += torch.randn_like(parameter)
        average.update(model, step)
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in model.named_parameters():
            slow[name] = decay * slow[name] + (1 - decay) * value.detach().double()
            kept = average.model.get_parameter(name).double()
            torch.testing.assert_close(kept, slow[name], rtol=1e-5, atol=1e-5)
    for name, value in average.model.named_parameters():
        assert not value.requires_grad
        assert not torch.allclose(value, dict(model.named_parameters())[name])


def test_moving_average_takes_over_what_is_counted():
    model = torch.nn.BatchNorm1d(3)
    average = MovingAverage(model, 0.9)
    model(torch.randn(5, 3))
    average.update(model, 1)
    assert torch.equal(average.model.running_mean, model.running_mean)
    assert int(average.model.num_batches_tracked) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 0},
        {"batch_size": 0},
        {"evaluate_every": 0},
        {"plateau_patience": 0},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"clip": -1.0},
        {"minutes": 0.0},
        {"ema": 1.0},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(changes):
    (name,) = changes
    with pytest.raises(ForearmError, match=name):
        TrainConfig(**changes)
