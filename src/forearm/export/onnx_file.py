"""A run's prediction as an ONNX file that says by itself what goes in and what comes out."""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from forearm.base.errors import ForearmError
from forearm.base.files import require_kind, writing
from forearm.base.machine import circumstances
from forearm.canvas import Layout
from forearm.export.step import FED_BACK, INPUTS, ExportedStep, context_of
from forearm.training.run import Checkpoint, Run

BEGINNING = b"\x08"
"""Of an ONNX file: the tag of the format's version, its first field."""
OPSET = 20
"""The first whose GridSample samples bicubically."""
TOLERANCE = 1e-4
"""Largest difference between the file's answers and PyTorch's: of grey, of squared error, of a joint's range."""
LARGEST_TABLE = 2**20
"""Numbers in a table up to which equal ones are looked for."""
EXAMPLES = 3
"""Samples in a batch that is traced and checked; 1 would be taken for a fixed size."""


def export_onnx(run: Run, out: Path, checkpoint: Checkpoint = "best", feed_back: bool = False) -> float:
    """Write a run's prediction as ONNX, checked against PyTorch.

    Args:
        feed_back: with what a prediction carries on, for steps from predicted frames.

    Returns:
        the largest difference between the file's answers and PyTorch's.

    Raises:
        ForearmError: the family's prediction is no single pass, or the file does not answer as PyTorch does; or
            ``out`` is a folder or a file that is no ONNX.
    """
    require_kind(out, BEGINNING, "--onnx")  # before it is computed
    import onnx  # both come with the extra `export`; what is missing is said before anything is computed
    import onnxruntime
    import onnxscript  # noqa: F401

    model, layout, family = run.load(checkpoint), run.layout(), run.config()["family"]
    examples = example_inputs(layout)
    with torch.no_grad():
        prediction = model.predict(context_of(layout, *examples))  # also fills caches, which tracing must not
    carries = tuple(prediction.carried or ()) if feed_back else ()
    step = ExportedStep(model, carries).eval()
    inputs: tuple[Tensor, ...] = examples
    if carries:
        assert prediction.carried is not None
        fed_back = torch.tensor([float(i % 2) for i in range(EXAMPLES)])
        inputs = (*examples, fed_back, *(prediction.carried[name] for name in carries))
    proto = _traced(step, inputs, list(step.shown(prediction)), family)
    _describe(proto, layout, carries)
    facts = {
        "forearm": circumstances(torch.device("cpu"))["forearm"],
        "run": run.name,
        "family": family,
        "checkpoint": checkpoint,
        "layout": json.dumps(layout.to_json()),
    }
    onnx.helper.set_model_props(proto, facts)
    onnx.checker.check_model(proto)
    content = proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    difference = _compare(session, step, inputs, layout)
    if not difference <= TOLERANCE:
        raise ForearmError(
            f"the exported {family} differs from PyTorch by {difference:.1e}, above {TOLERANCE:g}; nothing is written"
        )
    with writing(out) as beside:
        beside.write_bytes(content)
    return difference


def example_inputs(layout: Layout, count: int = EXAMPLES) -> tuple[Tensor, Tensor, Tensor]:
    """Smooth pictures, joints within their bounds and actions, drawn alike at every call; see `step.context_of`."""
    random = torch.Generator().manual_seed(0)
    known, size = layout.history - 1, (layout.frame_height, layout.frame_width)
    coarse = torch.rand(count * known, 3, 6, 6, generator=random)
    pictures = F.interpolate(coarse, size, mode="bilinear", align_corners=False).unflatten(0, (count, known))
    shares = 0.3 + 0.4 * torch.rand(count, known, len(layout.joints), generator=random)
    low, high = torch.from_numpy(layout.lows), torch.from_numpy(layout.highs)
    actions = 2 * torch.rand(count, known, len(layout.actions), generator=random) - 1
    return pictures, (low + shares * (high - low)).float(), actions


def _traced(step: ExportedStep, inputs: Sequence[Tensor], shown: Sequence[str], family: str) -> Any:
    """The step as an ONNX model for any number of samples, with the names of what it shows."""
    import onnx_ir

    names = _input_names(step.carries)
    batch = torch.export.Dim("batch", min=1, max=2**16)
    shapes: tuple[Any, ...] = ({0: batch},) * 3
    if step.carries:
        shapes = (*shapes, {0: batch}, ({0: batch},) * len(step.carries))
    try:
        with torch.no_grad(), _silence():
            traced = torch.export.export(step, tuple(inputs), dynamic_shapes=shapes, strict=False)
            program = torch.onnx.export(
                traced,
                dynamo=True,
                opset_version=OPSET,
                input_names=names,
                output_names=[*shown, *(f"next_{name}" for name in step.carries)],
                verbose=False,
            )
    except Exception as error:  # tracing runs the family's code, and its kinds of errors change with PyTorch
        why = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        if "data-dependent" in str(error):
            why = "how many passes its prediction takes depends on what it predicts"
        raise ForearmError(f"family {family} cannot be exported: {why}") from error
    assert program is not None
    return onnx_ir.to_proto(_lean(program.model))


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """What the exporter says of itself goes nowhere; where somebody collects it, it would take longer than the rest."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _lean(model: Any) -> Any:
    """The same model, in which two predictions compute once what they share: equal tables would keep it apart.

    What the exporter notes of the code that it traced goes, which names folders of this machine.
    """
    from onnx_ir.passes import common

    common.DeduplicateInitializersPass(size_limit=LARGEST_TABLE)(model)
    common.CommonSubexpressionEliminationPass()(model)
    common.RemoveUnusedNodesPass()(model)
    common.ClearMetadataAndDocStringPass()(model)
    return model


def _input_names(carries: Sequence[str]) -> list[str]:
    return [*INPUTS, *([FED_BACK] if carries else ()), *carries]


def _describe(proto: Any, layout: Layout, carries: Sequence[str]) -> None:
    """Say in the file what goes in and what comes out."""
    said = descriptions(layout, carries)
    for value in (*proto.graph.input, *proto.graph.output):
        value.doc_string = said[value.name]
    proto.producer_name, proto.producer_version = "forearm", circumstances(torch.device("cpu"))["forearm"]
    proto.doc_string = "Predicts the next frame of a robot arm from known frames and actions. B samples at a time."


def descriptions(layout: Layout, carries: Sequence[str]) -> dict[str, str]:
    """What each input and output of the file holds."""
    known, (h, w) = layout.history - 1, (layout.frame_height, layout.frame_width)
    boxes = ", ".join(
        f"{camera.name} in rows {rows.start} to {rows.stop - 1} and columns {columns.start} to {columns.stop - 1}"
        for camera, (rows, columns) in zip(layout.cameras, layout.camera_boxes(), strict=True)
    )
    joints = ", ".join(f"{joint.name} ({joint.unit}, {joint.low:g} to {joint.high:g})" for joint in layout.joints)
    actions = ", ".join(f"{action.name} (1 is {action.scale:g} {action.unit})" for action in layout.actions)
    said = {
        "pictures": f"(B, {known}, 3, {h}, {w}) RGB from 0 to 1, the last {known} frames, oldest first: {boxes}",
        "joints": f"(B, {known}, {len(layout.joints)}) positions in these frames: {joints}",
        "actions": f"(B, {known}, {len(layout.actions)}) from -1 to 1, what follows each of these frames: {actions}; "
        "the last one is asked about",
        "picture": f"(B, 3, {h}, {w}) RGB from 0 to 1, the predicted frame",
        "next_joints": f"(B, {len(layout.joints)}) predicted positions, in the units of joints",
        "expected_error": f"(B, {h}, {w}) squared error to expect of each pixel of picture, mean over RGB",
        "mode": f"(B, 3, {h}, {w}) RGB from 0 to 1, the picture to feed back in place of picture, which is a mean",
        FED_BACK: "(B,) 1 where the newest frame is the file's own prediction, else 0",
    }
    for name in carries:
        said[name] = f"next_{name} of the prediction that became the newest frame; anything where {FED_BACK} is 0"
        said[f"next_{name}"] = f"{name} of the next step, should this prediction be fed back"
    return said


def _compare(session: Any, step: ExportedStep, inputs: Sequence[Tensor], layout: Layout) -> float:
    """The largest difference between a file's answers and PyTorch's, over all outputs but what is carried."""
    with torch.no_grad():
        wanted = [values.numpy() for values in step(*inputs)]
    names = _input_names(step.carries)
    found = session.run(None, {name: values.numpy() for name, values in zip(names, inputs, strict=True)})
    shown = len(wanted) - len(step.carries)
    differences = [np.abs(a - b) for a, b in zip(found[:shown], wanted[:shown], strict=True)]
    differences[1] = differences[1] / (layout.highs - layout.lows)
    return float(max(difference.max() for difference in differences))
