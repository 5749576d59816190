"""What is exported answers as PyTorch does, says what goes in, and is refused where it would not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from support.commands import error_of, forearm
from support.tiny import make_layout, write_data

from forearm.base.files import checked
from forearm.canvas import ActionDimension, Camera, Joint, Layout
from forearm.environment import rollout
from forearm.export import onnx_file
from forearm.export.step import ExportedStep, context_of
from forearm.models import family_settings, make_model
from forearm.models.kinematics import JOINTS
from forearm.training.config import TrainConfig
from forearm.training.loop import start_run
from forearm.training.run import Run, save_weights

pytestmark = pytest.mark.timeout(900)  # tracing takes 15 s of a processor, of which others may leave little
SMALL = {
    "warp": {"width": 8, "levels": 1, "layers": 2, "contact": 8},
    "gpt": {"width": 16, "depth": 1, "heads": 2},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A dataset of an SO-101 with one camera, three frames a canvas and two action dimensions; only to be read."""
    joints = tuple(Joint(name, "%" if name == "gripper" else "deg", -45, 45, 15) for name in JOINTS)
    dimensions = tuple(ActionDimension(name, name, "deg", 10.0) for name in JOINTS[:2])
    layout = make_layout(history=3, joints=joints, actions=dimensions, cameras=(Camera("base", 8, 8),))
    return write_data(tmp_path_factory.mktemp("export") / "data", layout, episodes=3, length=4)


def random_run(data, family) -> Run:
    """A run whose weights were drawn, so that all of the model matters."""
    run = start_run(
        data.path.parent / family, family, family_settings(family, "tiny", SMALL[family]), TrainConfig(), data
    )
    torch.manual_seed(0)
    model = make_model(family, run.layout(), run.config()["model"])
    generator = torch.Generator().manual_seed(0)
    for weights in model.parameters():
        weights.data.add_(0.05 * torch.randn(weights.shape, generator=generator))
    save_weights(run.weights_file("best"), model)
    return run


@pytest.fixture(scope="module")
def warp(data):
    return random_run(data, "warp")


@pytest.fixture(scope="module")
def exported(warp):
    """The file of the smallest flagship, and what the command said."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    file = warp.path.parent / "warp.onnx"
    return file, forearm("export", warp.path, "--onnx", file)


def known(data, rows):
    """What the exported file is given of some transitions."""
    layout, batch = data.layout, data.batch(np.array(rows))
    columns = [layout.frame_columns(t) for t in range(layout.history - 1)]
    pictures = torch.stack([batch.canvas[:, :, : layout.frame_height, each] for each in columns], dim=1)
    return pictures, batch.positions[:, :-1], batch.actions


@pytest.mark.parametrize("count", [1, 4])
def test_the_file_answers_as_pytorch_does_for_any_number_of_samples(exported, warp, data, count):
    import onnxruntime

    file, done = exported
    assert done.code == 0, done
    session = onnxruntime.InferenceSession(file)
    given = onnx_file.example_inputs(data.layout, count)
    inputs = dict(zip(("pictures", "joints", "actions"), (each.numpy() for each in given), strict=True))
    picture, joints, error, mode = session.run(["picture", "next_joints", "expected_error", "mode"], inputs)
    wanted = warp.load().predict(context_of(data.layout, *given))
    np.testing.assert_allclose(picture, wanted.frame[:, :, : data.layout.frame_height].detach(), atol=1e-4)
    np.testing.assert_allclose(joints, wanted.positions.detach(), atol=1e-3)
    np.testing.assert_allclose(error, wanted.expected_error.detach(), atol=1e-4)
    np.testing.assert_allclose(mode, wanted.mode.detach(), atol=1e-4)


def test_the_file_says_what_goes_in_and_what_comes_out(exported, warp):
    import onnx

    model = onnx.load(exported[0])
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert checked(Layout, json.loads(facts["layout"]), "the layout") == warp.layout()
    assert facts["family"] == "warp"
    for value in (*model.graph.input, *model.graph.output):
        assert value.doc_string.startswith("(B, ")
    assert "base in rows 0 to 7 and columns 0 to 7" in model.graph.input[0].doc_string
    folders = (Path(onnx_file.__file__).parents[2], Path(torch.__file__).parents[1], warp.path.parent)
    content = exported[0].read_bytes()
    assert not [folder for folder in folders if str(folder).encode() in content], (
        "no folder of this machine is given away"
    )


def test_a_file_that_answers_otherwise_is_not_written(exported, warp, tmp_path, monkeypatch):
    import onnx

    model = onnx.load(exported[0])
    weights = max(model.graph.initializer, key=lambda each: len(each.raw_data))
    weights.raw_data = (1.5 * np.frombuffer(weights.raw_data, np.float32)).tobytes()
    monkeypatch.setattr(onnx_file, "_traced", lambda *args: model)
    assert "differs from PyTorch by" in error_of(forearm("export", warp.path, "--onnx", tmp_path / "wrong.onnx"))
    assert not list(tmp_path.iterdir())


def test_a_family_of_many_passes_is_refused(data, tmp_path):
    pytest.importorskip("onnxscript")
    said = error_of(forearm("export", random_run(data, "gpt").path, "--onnx", tmp_path / "gpt.onnx"))
    assert said.startswith("family gpt cannot be exported: how many passes")
    assert not list(tmp_path.iterdir())


def test_what_is_missing_is_said(warp):
    assert "give --onnx FILE or --page FOLDER" in error_of(forearm("export", warp.path))


def test_a_context_is_drawn_as_canvases_are(data):
    batch = data.batch(np.arange(6)).context()
    drawn = context_of(data.layout, *known(data, range(6)))
    torch.testing.assert_close(drawn.canvas, batch.canvas, atol=1e-6, rtol=0)
    assert torch.equal(drawn.positions[:, :-1], batch.positions[:, :-1])


@torch.no_grad()
def test_steps_that_are_fed_back_are_those_of_a_rollout(warp, data):
    model, rows = warp.load(), [0, 5]
    pictures, joints, actions = known(data, rows)
    values = torch.tensor([[[1.0, 0.0], [0.0, -1.0], [1.0, 0.0]]]).expand(2, -1, -1)
    wanted = rollout(model, data.batch(np.array(rows)).context(), values, torch.zeros(2, 3, dtype=torch.int64))
    carries = tuple(wanted[0].carried)
    step, carried = ExportedStep(model, carries), [torch.zeros_like(wanted[0].carried[name]) for name in carries]
    for i, prediction in enumerate(wanted):
        actions = torch.cat([actions[:, :-1], values[:, i : i + 1]], dim=1)
        fed_back = torch.full((2,), float(i > 0))
        picture, after, error, mode, *carried = step(pictures, joints, actions, fed_back, *carried)
        torch.testing.assert_close(picture, prediction.frame[:, :, : data.layout.frame_height], atol=1e-5, rtol=0)
        torch.testing.assert_close(error, prediction.expected_error, atol=1e-6, rtol=1e-4)
        pictures = torch.cat([pictures[:, 1:], mode[:, None]], dim=1)
        joints = torch.cat([joints[:, 1:], after[:, None]], dim=1)
        actions = torch.cat([actions[:, 1:], actions[:, :1]], dim=1)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("notes.txt", "notes.txt already exists and is of another kind; choose another --onnx"),
        (".", "is a folder; give --onnx the name of a file"),
    ],
)
def test_no_file_of_another_kind_is_replaced(warp, tmp_path, monkeypatch, name, says):
    (tmp_path / "notes.txt").write_text("mine")
    monkeypatch.setattr(onnx_file, "_traced", None)  # it is refused before anything is computed
    assert says in error_of(forearm("export", warp.path, "--onnx", tmp_path / name))
    taken = error_of(forearm("export", warp.path, "--onnx", tmp_path / "new.onnx", "--page", tmp_path))
    assert taken.endswith("already exists; choose another --page or remove it first")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
