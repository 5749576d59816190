"""What is computed in a step, and that a recorded step is the same."""

import contextlib
import types

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from support.tiny import write_data

from forearm.base.errors import ForearmError
from forearm.models import family_settings, make_model
from forearm.training.config import TrainConfig
from forearm.training.optimizer import make_optimizer, set_rate
from forearm.training.step import EAGER, Graphs, Step
from forearm.transitions import TrainingSteps

WARP = {"width": 8, "levels": 1, "layers": 1, "joint_maps": 1}
CONFIG = TrainConfig(batch_size=4, warmup=1, weight_decay=0.1)


class Recording:
    """Stands for a CUDA graph: notes what is computed, and computes it again of the same memory when replayed."""

    current = None

    def replay(self):
        losses, norm = self.compute(self.inputs)
        kept, kept_norm = self.outcome
        kept["loss"].copy_(losses["loss"])
        kept_norm.copy_(norm)


@pytest.fixture
def recorder(monkeypatch):
    """What of torch.cuda recording takes, without a GPU."""

    @contextlib.contextmanager
    def graph(recording, pool, stream, capture_error_mode):
        Recording.current = recording
        yield
        Recording.current = None

    idle = types.SimpleNamespace(wait_stream=lambda other: None)
    names = {"graph": graph, "CUDAGraph": Recording, "graph_pool_handle": object, "Stream": lambda: idle}
    names |= {"current_stream": lambda: idle, "stream": contextlib.nullcontext}
    for name, value in names.items():
        monkeypatch.setattr(torch.cuda, name, value)


def chain(data, count, size=1):
    """So many batches of raw transitions."""
    feed = TrainingSteps(data, data.rows("train"), size, 0, drawn=False)
    return [feed[i][0] for i in range(count)]


def test_each_form_is_recorded_once_and_replayed_on_what_it_is_given(recorder, tmp_path):
    data, eager = write_data(tmp_path / "data"), []

    def compute(given):
        outcome = {"loss": sum(each.positions.sum() for each in given)}, torch.tensor(float(len(given)))
        if Recording.current is None:
            eager.append(len(given))
        else:
            recording = Recording.current
            recording.compute, recording.inputs, recording.outcome = compute, given, outcome
        return outcome

    graphs = Graphs(compute)
    for size in (1, 2):
        for number in range(EAGER + 3):
            given = chain(data, size)
            given = [each._each(lambda values, n=number: values + n) for each in given]
            losses, norm = graphs(given)
            assert losses["loss"] == sum(each.positions.sum() for each in given)
            assert norm == size
    assert len(graphs.recorded) == 2
    assert eager.count(1) == EAGER + 3  # a replay computes too, here
    assert eager.count(2) == EAGER + 3


def test_what_cannot_be_recorded_ends_in_one_line(recorder, tmp_path):
    def compute(given):
        if Recording.current is not None:
            raise RuntimeError("operation not permitted when stream is capturing\nmore of it")
        return {}, torch.zeros(())

    graphs, given = Graphs(compute), chain(write_data(tmp_path / "data"), 1)
    for _ in range(EAGER):
        graphs(given)
    with pytest.raises(ForearmError, match=r"cannot be recorded .* stream is capturing\); give --no-cuda-graphs$"):
        graphs(given)


def trained(data, device, recorded, optimiser_recorded, count=EAGER + 4):
    """Losses of some steps, and the weights after them."""
    torch.manual_seed(0)
    model = make_model("warp", data.layout, family_settings("warp", "tiny", WARP)).to(device)
    optimizer = make_optimizer(model, CONFIG, optimiser_recorded)
    step = Step(model, model, optimizer, CONFIG, Accelerator(cpu=device == "cpu"), recorded)
    feed = TrainingSteps(data, data.rows("train"), CONFIG.batch_size, 0, drawn=False)
    losses = []
    for i in range(count):
        set_rate(optimizer, CONFIG.learning_rate * (i + 1) / count, CONFIG)
        torch.manual_seed(i)
        losses.append(float(step([each.to(device) for each in feed[i]])[0]["loss"]))
    return losses, [parameter.detach().cpu() for parameter in model.parameters()]


def test_rates_on_the_device_are_the_same_rates(tmp_path):
    data = write_data(tmp_path / "data")
    (losses, weights), (others, same) = (trained(data, "cpu", False, each) for each in (False, True))
    np.testing.assert_allclose(losses, others, rtol=1e-5)
    for one, other in zip(weights, same, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=2e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_recorded_step_is_the_same_on_a_gpu(tmp_path):
    data = write_data(tmp_path / "data")
    (losses, _), (others, _) = (trained(data, "cuda", each, each) for each in (False, True))
    np.testing.assert_allclose(losses, others, rtol=1e-2)
