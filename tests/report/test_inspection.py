"""Facts and pictures of recordings, datasets and runs."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from support.commands import SMALL, error_of, files, forearm
from support.recordings import make_recording, write_log_lines
from support.tiny import write_data, write_late_data

from forearm.base.errors import ForearmError
from forearm.report import inspection
from forearm.report.inspection import facts_of, save_pictures


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A recording, a dataset and a run; only to be read."""
    project = tmp_path_factory.mktemp("project")
    make_recording(project / "recording", version="v3.0")
    write_data(project / "data")
    options = ("--data", project / "data", "--out", project / "run", "--steps", 3, *SMALL, "--device", "cpu")
    assert forearm("train", "mae", *options).code == 0
    return project


def picture(path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def test_a_recording(project, tmp_path):
    facts = facts_of(project / "recording")
    assert facts["format"] == "LeRobot v3.0"
    assert facts["episodes"] == 3
    assert facts["frames"] == "36 at 10 fps, 9 to 15 an episode"
    assert facts["cameras"] == "observation.images.base 48×64"
    assert facts["joints"] == ", ".join(
        f"{joint}.pos (deg, guessed)" for joint in ("shoulder_pan", "elbow_flex", "gripper")
    )
    assert facts["discrete-action logs"] == "no"
    assert facts["tasks"] == "pick"
    save_pictures(project / "recording", tmp_path / "sheet.png")
    sheet = picture(tmp_path / "sheet.png")
    assert sheet.shape == (224, 3 * 224 + 2 * 8, 3)
    assert (sheet[:, 224:232] > 250).all()
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_pictures_of_a_recording_whose_numbers_have_holes(tmp_path, monkeypatch):
    """As where every second episode was taken out."""
    root = make_recording(tmp_path / "odd", lengths=[3] * 8)
    listed = (root / "meta" / "episodes.jsonl").read_text().splitlines(keepends=True)
    (root / "meta" / "episodes.jsonl").write_text("".join(listed[1::2]))
    monkeypatch.setattr(inspection, "PICTURES", 2)
    save_pictures(root, tmp_path / "sheet.png")
    assert picture(tmp_path / "sheet.png").shape == (224, 2 * 224 + 8, 3)


def test_a_recording_with_logs_and_without_actions(tmp_path):
    root = make_recording(tmp_path / "logged", action_key=None)
    write_log_lines(root, 0, [{"type": "action", "frame_index": 1, "discrete_action": 1}])
    facts = facts_of(root)
    assert facts["discrete-action logs"] == "yes"
    assert facts["action"] == "none recorded"


def test_no_file_of_another_kind_is_replaced(project, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ForearmError, match="is of another kind; choose another --pictures"):
        save_pictures(project / "data", tmp_path / "notes.txt")
    outcome = forearm("inspect", project / "data", "--audit", "--json", tmp_path / "notes.txt")
    assert error_of(outcome).endswith("is of another kind; choose another --json")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_unreadable_episodes_are_left_out_of_the_pictures(tmp_path):
    root = make_recording(tmp_path / "recording")
    videos = sorted(root.rglob("*.mp4"))
    videos[1].write_bytes(videos[1].read_bytes()[:500])
    save_pictures(root, tmp_path / "sheet.png")
    assert picture(tmp_path / "sheet.png").shape == (224, 2 * 224 + 8, 3)
    for video in videos:
        video.write_bytes(b"")
    with pytest.raises(ForearmError, match="no episode can be read"):
        save_pictures(root, tmp_path / "other.png")
    assert not (tmp_path / "other.png").exists()


def test_a_dataset(project, tmp_path):
    facts = facts_of(project / "data")
    assert facts["transitions"] == "48 of 8 episodes, 56 frames stored once"
    assert facts["canvas"] == "24×20, patch 4, 2 frames of base 8×8 + wrist 8×8"
    assert facts["actions"] == "log: pan"
    assert facts["training"] == "36 transitions: STAY 10, MOVE+ 13, MOVE− 13"
    assert facts["validation"] == "12 transitions: STAY 8, MOVE+ 3, MOVE− 1"
    assert facts["joints"].startswith("pan: ")
    assert "skipped" not in facts
    save_pictures(project / "data", tmp_path / "sheet.png")
    assert picture(tmp_path / "sheet.png").shape == (2 * 24 + 8, 6 * 20 + 5 * 8, 3)


def test_a_dataset_whose_pictures_are_late_says_so_and_what_to_do(tmp_path):
    write_late_data(tmp_path / "late", 0.1)
    assert re.search(r"joints of 0\.1\d? s before .* --camera-lag 0\.1", facts_of(tmp_path / "late")["warnings"])
    write_late_data(tmp_path / "known", 0.0, built={"camera_lag": 0.1})
    assert "show the joints" not in facts_of(tmp_path / "known").get("warnings", "")


def test_skipped_episodes_of_a_dataset_are_named(tmp_path):
    root = make_recording(tmp_path / "recording")
    next(root.rglob("episode_000001.mp4")).unlink()
    assert forearm("build", root, "--out", tmp_path / "data").code == 0
    assert facts_of(tmp_path / "data")["skipped"].startswith("episode 1 of recording: ")


def test_a_run(project, tmp_path):
    facts = facts_of(project / "run")
    assert facts["family"] == "mae"
    assert "width 32, depth 1" in facts["model"]
    assert facts["trained on"].endswith("data: 36 transitions")
    assert facts["actions seen"] == "STAY 10, MOVE+ 13, MOVE− 13"
    assert facts["training"].startswith("3 steps")
    assert "evaluation" not in facts
    save_pictures(project / "run", tmp_path / "sheet.png")
    last = sorted((project / "run/samples").glob("*.png"))[-1]
    np.testing.assert_array_equal(picture(tmp_path / "sheet.png"), picture(last))


def test_an_evaluated_and_a_fresh_run(project, tmp_path):
    run = shutil.copytree(project / "run", tmp_path / "run")
    (run / "evaluation").mkdir()
    (run / "evaluation/metrics.json").write_text(json.dumps({"val_mse": 0.25, "ssim": 0.5, "psnr": None}))
    assert facts_of(run)["evaluation"] == "val_mse 0.250, ssim 0.500"
    shutil.rmtree(run / "samples")
    (run / "log.jsonl").unlink()
    assert "training" not in facts_of(run)
    with pytest.raises(ForearmError, match="has no sample pictures yet"):
        save_pictures(run, tmp_path / "sheet.png")
    (run / "samples").mkdir()
    (run / "samples/step_000001.png").write_bytes(b"no picture")
    with pytest.raises(ForearmError, match="is no PNG, JPEG or WebP"):
        save_pictures(run, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()


def test_a_folder_of_somebody_elses_model_is_none_of_the_three(tmp_path):
    (tmp_path / "config.json").write_text('{"architectures": ["Bert"]}')
    assert "is not a LeRobot data set" in error_of(forearm("inspect", tmp_path))


def test_facts_and_the_pictures_path_go_to_standard_output(project, tmp_path):
    told = forearm("inspect", project / "data", "--pictures", tmp_path / "sheet.png")
    assert told.code == 0
    assert told.err == ""
    assert "48 of 8 episodes" in told.out
    assert told.out.splitlines()[-1] == str(tmp_path / "sheet.png")
    assert [*files(tmp_path)] == ["sheet.png"]


def test_a_recording_says_which_files_are_missing_and_what_is_left_out(tmp_path):
    root = make_recording(tmp_path / "recording", version="v3.0")
    assert facts_of(root)["files"] == "all there"
    next(root.rglob("file-000.mp4")).unlink()
    assert facts_of(root)["files"].startswith("2 episodes (0 to 1): ")
    deep = make_recording(tmp_path / "deep", cameras=("observation.images.base", "observation.images.depth"))
    info = (deep / "meta/info.json").read_text()
    (deep / "meta/info.json").write_text(info.replace('"dtype": "video"', '"dtype": "video", "is_depth_map": true'))
    spared = (deep / "meta/info.json").read_text().replace(', "is_depth_map": true', "", 1)
    (deep / "meta/info.json").write_text(spared)
    assert facts_of(deep)["left out"] == "depth maps: observation.images.depth"


def test_control_characters_are_shown_escaped(tmp_path):
    root = make_recording(tmp_path / "recording", names=("a\x1b[2J", "b\u202e", "c"))
    assert facts_of(root)["joints"].startswith("a\\x1b[2J (deg, guessed), b\\u202e (deg, guessed)")
    with pytest.raises(ForearmError) as caught:
        raise ForearmError("two\nlines")
    assert str(caught.value) == "two\\nlines"
