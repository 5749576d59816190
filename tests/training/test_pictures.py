"""The sample pictures of a training say what they show."""

import numpy as np
import pytest
from PIL import Image
from support.tiny import write_data

from forearm.evaluation import Persistence
from forearm.training import pictures
from forearm.transitions.store import TransitionSet


def test_every_sample_is_labelled(tmp_path, monkeypatch):
    write_data(tmp_path / "data", episodes=3, length=3)
    data = TransitionSet(tmp_path / "data")
    batch = data.batch(data.rows()[:5])
    drawn = []
    label = pictures.labelled
    monkeypatch.setattr(pictures, "labelled", lambda *given: drawn.append(given) or label(*given))
    pictures.save_samples(tmp_path / "step.png", Persistence(), batch, step=1250)
    assert len(drawn) == 5
    for i, (columns, (caption, action)) in enumerate(drawn):
        shown = dict(columns)
        assert list(shown) == ["before", "truth", "prediction", "error"]
        np.testing.assert_array_equal(shown["before"], shown["prediction"])  # as persistence copies
        assert {picture.shape for picture in shown.values()} == {(data.layout.frame_height, data.layout.frame_width, 3)}
        error = ((shown["prediction"].astype(float) - shown["truth"]) ** 2).mean() / 255**2
        assert caption.startswith("step 1,250 · val_mse ")
        assert error == 0 or float(caption.split()[-1]) == pytest.approx(error, rel=0.01)
        assert action.startswith(("STAY", "MOVE+ pan +", "MOVE− pan −")[data.codes[i]])
    height, width = np.asarray(Image.open(tmp_path / "step.png")).shape[:2]
    assert height > 2 * 384
    assert width > 2 * 4 * data.layout.frame_width
