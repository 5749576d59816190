"""The public API: examples/tour.py goes from a recording to a plan, and what a run imagines is what it predicts."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny import write_data

import forearm
from forearm.base.errors import ForearmError

ROOT = Path(__file__).resolve().parents[1]


def test_the_tour_goes_from_a_recording_to_a_plan(tmp_path, monkeypatch, capsys):
    pytest.importorskip("forearm.sim.engine", exc_type=ImportError)  # MuJoCo itself would be imported without a display
    tour = ROOT / "examples/tour.py"
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(tour), run_name="__main__")
    said = capsys.readouterr().out
    for part in ("12 episodes at 2 fps", "12 transitions", "MOVE+: shoulder_pan at", "actions: "):
        assert part in said
    assert (tmp_path / "tour/run/evaluation/report.html").is_file()
    assert tour.read_text().count("# %%") == 6


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the smallest flagship after a few steps."""
    folder = tmp_path_factory.mktemp("tour")
    small = {"width": 8, "levels": 1, "layers": 2}
    config = forearm.TrainConfig(steps=2)
    return forearm.train(write_data(folder / "data"), folder / "run", model=small, config=config, device="cpu")


def test_an_imagined_step_is_what_the_model_predicts(run):
    data = forearm.open_dataset(run.data_path())
    one, two = forearm.imagine(run, ["MOVE+", np.array([-1.0])], start=3, device="cpu")
    batch = data.batch(np.array([3])).context().under(1)
    with torch.inference_mode():
        expected = run.load().predict(batch).observation(run.layout())
    np.testing.assert_array_equal(one.picture, expected.picture)
    np.testing.assert_allclose(one.joints, expected.joints, rtol=1e-6)
    assert two.joints[0] < one.joints[0]
    (other,) = forearm.imagine(run, ["pan MOVE−"], start=3, device="cpu")
    (same,) = forearm.imagine(run, ["MOVE-"], start=3, device="cpu")
    np.testing.assert_array_equal(other.picture, same.picture)


@pytest.mark.parametrize(
    ("actions", "start", "says"),
    [
        (["FLY"], 0, "no action 'FLY'; say STAY, MOVE"),
        (["lift MOVE+"], 0, "no action 'lift MOVE"),
        ([np.array([2.0])], 0, "is not 1 values in"),
        ([np.zeros(2)], 0, "is not 1 values in"),
        (["STAY"], 99, "has no row 99; it has rows 0 to 47"),
    ],
)
def test_what_cannot_be_imagined(run, actions, start, says):
    with pytest.raises(ForearmError, match=says):
        forearm.imagine(run, actions, start=start, device="cpu")
