"""What speaks against a dataset of transitions, and how to build a better one."""

from collections.abc import Iterator

import numpy as np

from forearm.recordings.audit import DARK, FLAT
from forearm.recordings.idle import STILL_SHARE, widest_ranges
from forearm.transitions.lag import estimate_lag, even_spacing
from forearm.transitions.store import TransitionSet

SQUEEZED = 1.2
"""Pictures whose proportions change by more are warned of."""
SAMPLE = 200
"""Transitions and frames on which figures are measured."""


def warnings_of(data: TransitionSet) -> list[str]:
    """A line for each thing that makes a dataset hard or impossible to learn from."""
    if not len(data):
        return []
    return [*data.facts.get("warnings", []), *_cameras(data), *_joints(data), *_step(data), *_lag(data)]


def _sample(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, SAMPLE).astype(int))


def _cameras(data: TransitionSet) -> Iterator[str]:
    frames = data.frames[_sample(len(data.frames))].astype(np.float32)
    for camera in data.layout.cameras:
        height, width = camera.recorded_size or (camera.height, camera.width)
        if camera.fit == "squeeze" and not 1 / SQUEEZED < height / width * camera.width / camera.height < SQUEEZED:
            shape = f"from {height}×{width} to {camera.height}×{camera.width}"
            yield f"camera {camera.name} is squeezed {shape}; --fit crop or --fit letterbox keeps its proportions"
    for camera, box in zip(data.layout.cameras, data.layout.camera_boxes(), strict=True):
        pictures = frames[:, box[0], box[1]]
        contrast = np.median(pictures.std(axis=(1, 2, 3)))
        if contrast < FLAT or (contrast < DARK and np.median(pictures) < DARK):
            what = "black" if np.median(pictures) < DARK else "of one colour"
            yield f"camera {camera.name} is {what}; build without it (--cameras)"
        elif np.abs(pictures - pictures[0]).mean() < 0.1:
            yield f"camera {camera.name} never changes; build without it (--cameras)"


def _joints(data: TransitionSet) -> Iterator[str]:
    joints = data.layout.joints
    still = np.ptp(data.states, axis=0) <= STILL_SHARE * widest_ranges(data.states, [joint.unit for joint in joints])
    if still.any():
        names = ", ".join(joint.name for joint, is_still in zip(joints, still, strict=True) if is_still)
        yield f"{still.sum()} of {len(still)} joints never move, so that a model learns nothing about them: {names}"


def _step(data: TransitionSet) -> Iterator[str]:
    """Whether so much time passes from frame to frame that the frame before says less than the mean frame."""
    pairs = data.columns.frames[_sample(len(data)), -2:]
    after = data.frames[pairs[:, 1]].astype(np.float32)
    mean = float(((after - after.mean(axis=0)) ** 2).mean())
    copying = float(((after - data.frames[pairs[:, 0]]) ** 2).mean())
    if copying <= mean:
        return
    if data.facts["actions"] == "log":  # its steps are the recorded actions, which no option of build changes
        yield "copying the frame before is worse than the mean frame, so actions are large; record smaller ones"
        return
    advice, spacing = "", even_spacing(data)
    if spacing is not None:
        last = round(data.facts["settings"]["step"] / spacing)
        better = [rows for rows in range(1, last) if _change(data, rows) < mean / 2]
        advice = f"--step {better[-1] * spacing:.2g} would be better" if better else ""
    advice = advice or "shorten --step"
    yield f"copying the frame before is worse than the mean frame, so the step is too long; {advice}"


def _change(data: TransitionSet, rows: int) -> float:
    """Mean squared change of the picture over so many stored frames of an episode."""
    starts = np.concatenate([frames[:-rows] for frames in data.columns.frames_by_episode().values()])
    some = starts[_sample(len(starts))] if len(starts) else starts
    return (
        float(((data.frames[some + rows].astype(np.float32) - data.frames[some]) ** 2).mean()) if len(some) else np.inf
    )


def _lag(data: TransitionSet) -> Iterator[str]:
    lag = estimate_lag(data)
    if lag is None:
        return
    interval = f"{lag.low:.2f} to {lag.high:.2f}"
    if lag.unclear:
        yield f"how late the pictures are cannot be told: {lag.seconds:.2f} s ({interval})"
    elif lag.late:
        late = data.facts["settings"].get("camera_lag", 0) + lag.seconds
        yield (
            f"pictures seem to show the joints of {lag.seconds:.2f} s before ({interval}); "
            f"built with --camera-lag {late:.2f} they would stand beside those"
        )
