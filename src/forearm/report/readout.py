"""The section on joints that are read from pictures: the floor, joint by joint, beside the model and its baselines."""

from typing import Any

from forearm.evaluation import METRICS, PERSISTENCE, UNTRAINED, Evaluation
from forearm.evaluation.catalogue import LARGEST_FLOOR
from forearm.media.words import figure
from forearm.report.wording import NOTHING, listed, number, unit_of

PER_JOINT = "readout_position_mae_per_joint"


def readout_section(evaluation: Evaluation) -> dict[str, Any] | None:
    """What the page's section shows, or None where no joint was read."""
    readout, joints = evaluation.readout, evaluation.layout.joints
    if readout is None:
        return None
    tables = {"this model": evaluation.metrics} | {
        name: evaluation.baselines[name].metrics for name in (UNTRAINED, PERSISTENCE) if name in evaluation.baselines
    }
    rows = []
    for j, joint in enumerate(joints):
        readable = readout.readable[j]
        rows.append(
            {
                "joint": joint,
                "floor": figure(readout.floor_per_joint[j]),
                "mean": figure(readout.mean_per_joint[j]),
                "readable": readable,
                "figures": [figure(of[PER_JOINT][j]) if readable else NOTHING for of in tables.values()],  # type: ignore[index]
            }
        )
    return {"claim": _claim(evaluation), "pictures": readout.pictures, "who": list(tables), "rows": rows}


def _claim(evaluation: Evaluation) -> str:
    """Where the painted arm stands, and which joints cannot be read."""
    readout, joints = evaluation.readout, evaluation.layout.joints
    assert readout is not None
    unread = [joint.name for joint, readable in zip(joints, readout.readable, strict=True) if not readable]
    if len(unread) == len(joints):
        return "No joint can be read from the pictures."
    sentences = []
    acting, metric = evaluation.metrics["readout_position_mae"], METRICS["readout_position_mae"]
    if acting is not None:
        unit = unit_of(evaluation.layout, metric)
        still = evaluation.baselines.get(PERSISTENCE)
        others = [f"{number(readout.floor[metric.name], metric, unit)} in true pictures"]
        others += [f"{number(still.metrics[metric.name], metric, unit)} in copied ones"] if still else []
        sentences.append(
            f"In the predicted pictures of moves the acting joint is read with an error of "
            f"{number(acting, metric, unit)}, against {listed(others)}."
        )
        if not evaluation.legible:
            sentences.append(
                f"The reader errs by more than {LARGEST_FLOOR:.0%} of copying's error on true pictures, so it cannot "
                "tell how well the model paints the joint."
            )
    if unread:
        sentences.append(f"Not readable from the pictures: {listed(unread)}.")
    return " ".join(sentences)
