"""Better by dreaming: of K proposals of a policy, the one that ends best in the dream."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from forearm.arms.arm import recording_spec
from forearm.base.errors import ForearmError
from forearm.canvas import Layout, plain
from forearm.evaluation.agreement import SUCCESS
from forearm.evaluation.intervals import mean_interval
from forearm.evaluation.trials import Exploited, Lift
from forearm.recordings import EpisodeData, Recorder, RecordingSpec
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

    Shares are means over as many groups of K proposals as there are, so that those of small K do not hang on the first
    proposals.

    Args:
        policy: its name.
        scores: (K, N) of the proposals in the dream.
        truth: (K, N) bool, whether each proposal's commands truly succeed; None where nobody knows.
    """
    counts = [k for k in (1, 2, 4, 8, 16, 32) if k < len(scores)] + [len(scores)]

    def picked(successes: np.ndarray, k: int) -> np.ndarray:
        """Success of the best of each group of k in the dream, (N,): a mean over the groups."""
        groups = [slice(first, first + k) for first in range(0, len(scores) - k + 1, k)]
        best = [np.take_along_axis(successes[g], chosen(scores[g], k)[None], axis=0)[0] for g in groups]
        return np.mean(best, axis=0)

    imagined = tuple(float(picked(scores >= SUCCESS, k).mean()) for k in counts)
    if truth is None:
        return Exploited(policy, tuple(counts), imagined, None)
    true = [picked(truth, k) for k in counts]
    gained = true[-1] - truth.mean(axis=0)
    lift = Lift(float(gained.mean()), mean_interval(gained) if len(gained) > 1 else (-1.0, 1.0))
    return Exploited(policy, tuple(counts), imagined, tuple(float(each.mean()) for each in true), lift)


def successes_spec(layout: Layout) -> RecordingSpec:
    """What recordings of a run's imagined trials have in common.

    Args:
        layout: of the run, whose actions are commands.

    Raises:
        ForearmError: there is no whole number of steps a second, as recordings need, or nobody knows how many.
    """
    seconds = layout.action_duration
    if seconds is None:
        raise ForearmError("the run does not say how long a step lasts; build its data anew and train on them")
    fps = round(1 / seconds)
    if not fps or abs(fps * seconds - 1) > 1e-3:
        raise ForearmError(
            f"a step of the run lasts {seconds:g} s, and a recording needs a whole number of them a second; leave "
            "--successes out"
        )
    joints = tuple(plain(name) for name in layout.joint_names)
    sizes = {camera.name.removeprefix(CAMERA_PREFIX): (camera.height, camera.width) for camera in layout.cameras}
    spec = recording_spec(joints, tuple(joint.unit for joint in layout.joints), sizes, fps)
    names = (f"{plain(each.joint)}.pos" if each.joint else each.name for each in layout.actions)
    return replace(spec, action_names=tuple(names))


def write_successes(out: Path, films: Sequence[Film], layout: Layout, abstained: int = 0) -> None:
    """Write imagined trials as a LeRobot recording, to learn from as from demonstrations.

    Args:
        out: a folder that does not exist yet.
        films: one episode each.
        layout: of the run.
        abstained: how many more trials succeed, but are left out as the model abstained in them.

    Raises:
        ForearmError: there is no film, ``out`` exists, or as of `successes_spec`.
    """
    if not films and abstained:
        raise ForearmError(
            f"the model abstained in all {abstained} imagined trials that succeed, so {out} is not written; "
            "see --abstain"
        )
    if not films:
        raise ForearmError(f"no imagined trial succeeds, so {out} is not written")
    spec = successes_spec(layout)
    recorder = Recorder(out, spec, {"imagined": len(films), "tasks": sorted({film.start.task for film in films})})
    with recorder.recording():
        for index, film in enumerate(films):
            pictures = {
                CAMERA_PREFIX + name.removeprefix(CAMERA_PREFIX): shown for name, shown in film.pictures.items()
            }
            commands = np.concatenate([film.commands, film.commands[-1:]]).astype(np.float32)
            recorder.stage(index, EpisodeData(spec.fps, film.positions, commands, pictures, film.start.task))
        recorder.finish()
