"""Better by dreaming: of K proposals of a policy, the one that ends best in the dream."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from forearm.arms.arm import recording_spec
from forearm.base.errors import ForearmError
from forearm.canvas import Layout, plain
from forearm.evaluation.agreement import SUCCESS
from forearm.evaluation.intervals import PairedShares
from forearm.evaluation.trials import Exploited
from forearm.recordings import EpisodeData, Recorder
from forearm.recordings.features import CAMERA_PREFIX
from forearm.trials.policies import Planned
from forearm.trials.trying import Film


def chosen(scores: np.ndarray, k: int) -> np.ndarray:
    """Which of the first k proposals ends best in the dream, (N,), of scores (K, N); the earlier one of equals."""
    return scores[:k].argmax(axis=0)


def as_imagined(films: Sequence[Film]) -> Planned:
    """Carries out the commands of imagined trials, by the number of the start."""
    return Planned(lambda trial: films[trial].commands)


def exploited(policy: str, scores: np.ndarray, truth: np.ndarray | None) -> Exploited:
    """How success in the dream and in truth grow with K.

    Args:
        policy: its name.
        scores: (K, N) of the proposals in the dream.
        truth: (K, N) bool, whether each proposal's commands truly succeed; None where nobody knows.
    """
    counts = [k for k in (1, 2, 4, 8, 16, 32) if k < len(scores)] + [len(scores)]
    columns = np.arange(scores.shape[1])
    picks = [chosen(scores, k) for k in counts]
    imagined = tuple(float((scores[pick, columns] >= SUCCESS).mean()) for pick in picks)
    if truth is None:
        return Exploited(policy, tuple(counts), imagined, None)
    true = tuple(float(truth[pick, columns].mean()) for pick in picks)
    return Exploited(policy, tuple(counts), imagined, true, PairedShares.of(truth[picks[-1], columns], truth[0]))


def write_successes(out: Path, films: Sequence[Film], layout: Layout, seconds: float) -> None:
    """Write imagined trials as a LeRobot recording, to learn from as from demonstrations.

    Args:
        out: a folder that does not exist yet.
        films: one episode each.
        layout: of the run.
        seconds: of a step.

    Raises:
        ForearmError: there is no film, or ``out`` exists.
    """
    if not films:
        raise ForearmError(f"no imagined trial succeeds, so {out} is not written")
    joints = tuple(plain(name) for name in layout.joint_names)
    sizes = {camera.name.removeprefix(CAMERA_PREFIX): (camera.height, camera.width) for camera in layout.cameras}
    spec = recording_spec(joints, tuple(joint.unit for joint in layout.joints), sizes, round(1 / seconds))
    recorder = Recorder(out, spec, {"imagined": len(films), "tasks": sorted({film.start.task for film in films})})
    with recorder.recording():
        for index, film in enumerate(films):
            pictures = {
                CAMERA_PREFIX + name.removeprefix(CAMERA_PREFIX): shown for name, shown in film.pictures.items()
            }
            commands = np.concatenate([film.commands, film.commands[-1:]]).astype(np.float32)
            recorder.stage(index, EpisodeData(spec.fps, film.positions, commands, pictures, film.start.task))
        recorder.finish()
