"""What is left of a control: readable JSON and films that can be opened."""

import json

import av
import numpy as np
import pytest
from PIL import Image
from support.bars import BarArm, BarDynamics, goals, seen_at

from forearm.batch import Prediction, present
from forearm.control.episode_log import episode_json, film, save_episode_log, uncertainty_words
from forearm.control.loop import control
from forearm.control.planners import TreeSearch
from forearm.environment import ImaginedEnvironment


def drive(layout, goal):
    return control(BarArm(layout, [-10, 0]), BarDynamics(layout), goal, TreeSearch(2))


@pytest.mark.parametrize("kind", range(3))
def test_a_trace_tells_every_step_and_can_be_watched(pan_layout, tmp_path, kind: int) -> None:
    goal = goals(pan_layout, 10)[kind]
    episode = drive(pan_layout, goal)
    save_episode_log(tmp_path, episode, goal, {"run": "some run"})
    told = json.loads((tmp_path / "episode.json").read_text())
    assert (told["run"], told["outcome"], told["actions_taken"]) == ("some run", episode.outcome, 2)
    assert [step["joints"]["pan"] for step in told["steps"]] == pytest.approx([-10, 0, 10])
    assert [len(step["plan"]) for step in told["steps"]] == [2, 1, 0]
    first = told["steps"][0]["plan"][0]
    assert (first["action"], first["dimension"], first["values"]) == ("pan +10°", "pan", [1.0])
    assert first["foreseen_joints"]["pan"] == pytest.approx(0, abs=1e-3)
    with Image.open(tmp_path / "film.gif") as gif:
        assert (gif.n_frames, gif.info["loop"]) == (3, 0)
        size = gif.size
    with av.open(str(tmp_path / "film.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 3 * 8
    assert frames[0].shape == (size[1], size[0], 3)


def test_a_film_shows_what_was_seen_beside_what_was_foreseen(pan_layout) -> None:
    goal = goals(pan_layout, 10)[1]
    pages = film(drive(pan_layout, goal), goal)
    width = pan_layout.frame_width * (384 // pan_layout.frame_height)
    top, left = 38, 12
    seen, foreseen, wanted = (
        [page[top : top + 384, left + i * (width + 12) :][:, :width] for page in pages] for i in range(3)
    )
    assert len(np.unique(foreseen[0].reshape(-1, 3), axis=0)) == 1  # nothing had been foreseen of the first
    for step in (1, 2):
        np.testing.assert_array_equal(seen[step], foreseen[step])
    np.testing.assert_array_equal(seen[2], wanted[2])
    assert (seen[1] != wanted[1]).any()


class Unsure(BarDynamics):
    """Paints everything a little too dark, and expects another error than that."""

    def predict(self, batch):
        sharp = super().predict(batch)
        expected = sharp.frame.new_full((len(batch), self.layout.frame_height, self.layout.frame_width), 0.02)
        return Prediction(sharp.frame - 0.1, sharp.positions, expected)


def test_a_log_says_how_unsure_the_model_was_and_how_wrong(pan_layout) -> None:
    episode = control(BarArm(pan_layout, [-10, 0]), Unsure(pan_layout), goals(pan_layout, 10)[0], TreeSearch(2))
    assert episode.actions == 2
    assert episode.expected_errors == pytest.approx([0.02, 0.02])
    assert episode.true_errors == pytest.approx([0.01, 0.01], abs=1e-3)
    told = episode_json(episode)["steps"]
    assert [[action["expected_error"] for action in step["plan"]] for step in told] == [
        pytest.approx([0.02] * 2),
        pytest.approx([0.02]),
        [],
    ]
    assert [step.get("true_error") for step in told] == [*episode.true_errors, None]
    assert "the model expected 0.02, and 0.0099 was observed" in uncertainty_words(episode)
    environment = ImaginedEnvironment(Unsure(pan_layout))
    environment.reset(present(pan_layout, seen_at(pan_layout, np.array([-10.0, 0]))))
    alone = control(environment, Unsure(pan_layout), goals(pan_layout, 10)[0], TreeSearch(2))
    assert alone.true_errors == []
    assert uncertainty_words(alone).endswith("expected 0.02; what came of it is imagined too")
    certain = drive(pan_layout, goals(pan_layout, 10)[0])
    assert certain.expected_errors == [None, None]
    assert "does not say" in uncertainty_words(certain)
    staying = drive(pan_layout, goals(pan_layout, -10)[0])
    assert uncertainty_words(staying) == ""
