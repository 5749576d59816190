"""Two arms that work fast beside each other, seen by their wrist cameras alone: the hardest views for a model.

    python benchmarks/bimanual.py
    python benchmarks/bimanual.py --families warp flow --minutes 6 --episodes 120

is a stand-in for teleoperation of two SO-101 arms. Each arm plays on a table with free objects in a scene of its own;
the two recordings stand side by side in one, with twelve joints, two wrist cameras and the noise of a camera. In two
episodes of three, one arm stands still. Every family trains on commanded targets with steps of 0.2 s, for as long as
the others. It writes docs/benchmarks/bimanual.md. What is done already is not done again.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from measuring import ROOT, circumstances, command, write_table

from forearm.evaluation.intervals import intervals
from forearm.evaluation.samples import Samples
from forearm.recordings import EpisodeData, Recorder, RecordingSpec
from forearm.recordings.features import CAMERA_PREFIX
from forearm.sim import Simulator
from forearm.sim.names import JOINTS, UNITS
from forearm.sim.protocol import session_of, session_seed
from forearm.sim.settings import RecordingSettings
from forearm.sim.teleoperation import record_task, world_of
from forearm.training.run import Run
from forearm.transitions import TransitionSet

DOCUMENT = ROOT / "docs" / "benchmarks" / "bimanual.md"
SIDES = ("left", "right")
SIZE, FPS, NOISE = 64, 30, 2.0
"""Side of the pictures in pixels, frames a second, standard deviation of a camera's noise in grey levels."""
STILL, MOVED = 0.2, 2.0
"""Degrees (gripper: hundredths) within which every joint of a still arm stays, and which some joint of a moving one
exceeds."""
SEEDS = {"train": 0, "test": 900}


def settings_of(part: str, side: str, episodes: int) -> RecordingSettings:
    seed = SEEDS[part] + SIDES.index(side)
    return RecordingSettings(
        episodes=episodes, task="play", joints=JOINTS, sessions=max(1, episodes // 3), seed=seed, fps=FPS, size=SIZE
    )


def one_side(settings: RecordingSettings) -> Iterator[EpisodeData]:
    """The episodes of one arm, in order."""
    simulators: dict[int, Simulator] = {}
    for index in range(settings.episodes):
        session = session_of(settings, index)
        if session not in simulators:
            simulators[session] = Simulator(session_seed(settings, session), world_of(settings))
        yield record_task(simulators[session], settings, index)


def stilled(episode: EpisodeData) -> EpisodeData:
    """The episode of an arm that stays where it begins."""

    def first(rows: np.ndarray) -> np.ndarray:
        return np.repeat(rows[:1], len(rows), axis=0)

    pictures = {camera: first(frames) for camera, frames in episode.pictures.items()}
    return replace(episode, states=first(episode.states), actions=first(episode.states), pictures=pictures)


def beside(left: EpisodeData, right: EpisodeData, rng: np.random.Generator) -> EpisodeData:
    """Both arms in one episode, as long as the shorter one."""
    length = min(len(left.states), len(right.states))
    pictures = {}
    for side, episode in zip(SIDES, (left, right), strict=True):
        frames = episode.pictures[f"{CAMERA_PREFIX}wrist"][:length]
        noisy = frames + rng.normal(0, NOISE, frames.shape)
        pictures[f"{CAMERA_PREFIX}{side}_wrist"] = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    states, actions = (
        np.concatenate([getattr(each, rows)[:length] for each in (left, right)], axis=1)
        for rows in ("states", "actions")
    )
    return EpisodeData(FPS, states, actions, pictures, "play with both arms", facts=left.facts)


def record(out: Path, part: str, episodes: int) -> None:
    """A recording of both arms; an interrupted one goes on."""
    if out.exists():
        return
    names = tuple(f"{side}_{joint}.pos" for side in SIDES for joint in JOINTS)
    cameras = {f"{CAMERA_PREFIX}{side}_wrist": (SIZE, SIZE) for side in SIDES}
    spec = RecordingSpec(FPS, names, names, cameras, "bi_so101_follower", units=(*UNITS, *UNITS))
    recorder = Recorder(out, spec, {"part": part, "episodes": episodes})
    with recorder.recording():
        staged = set(recorder.staged())
        both = zip(*(one_side(settings_of(part, side, episodes)) for side in SIDES), strict=True)
        for index, (left, right) in enumerate(both):
            if index in staged:
                continue
            if index % 3 == 1:
                right = stilled(right)
            if index % 3 == 2:
                left = stilled(left)
            recorder.stage(index, beside(left, right, np.random.default_rng([SEEDS[part], index])))
        recorder.finish()


def forearm(*words: object) -> None:
    subprocess.run(
        [sys.executable, "-m", "forearm", *map(str, words)], env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True
    )


def still_camera(run: Path, data: TransitionSet) -> str:
    """The squared error in the camera of an arm that stands still while the other one moves, and that of copying."""
    model, layout = Run.open(run).load().eval(), data.layout
    errors: dict[str, list[np.ndarray]] = {"run": [], "copying": []}
    kept: list[np.ndarray] = []
    for rows in np.array_split(data.rows(), -(-len(data) // 64)):
        batch = data.batch(rows)
        change = (batch.positions[:, -1] - batch.positions[:, -2]).abs().unflatten(1, (len(SIDES), -1)).amax(2)
        with torch.inference_mode():
            predicted = {"run": model.predict(batch.context()).frame, "copying": batch.known().frame}
        truth = batch.canvas[..., -layout.frame_width :]
        for side, box in enumerate(layout.camera_boxes()):
            chosen = (change[:, side] <= STILL) & (change[:, 1 - side] >= MOVED)
            kept.append(rows[chosen.numpy()])
            for name, frames in predicted.items():
                errors[name].append((frames - truth)[chosen][..., *box].square().mean((1, 2, 3)).numpy())
    samples = Samples.of({name: np.concatenate(parts) for name, parts in errors.items()})
    groups = data.independent_groups(np.concatenate(kept))[0]
    figures, spans = samples.table(), intervals(samples, groups)
    low, high = spans["run"]
    return f"{figures['run']:.5f} ({low:.5f} to {high:.5f}) | {figures['copying']:.5f}"


def row_of(run: Path, data: TransitionSet) -> str:
    """A line of the table."""
    saved = json.loads((run / "evaluation-test" / "metrics.json").read_text())
    copying = saved["baselines"]["persistence"]["metrics"]
    low, high = saved["intervals"]["ssim"]
    figures = [
        saved["family"],
        f"{saved['ssim']:.3f} ({low:.3f} to {high:.3f})",
        f"{copying['ssim']:.3f}",
        f"{saved['ssim'] - copying['ssim']:+.3f}",
        f"{saved['val_mse']:.5f}",
        f"{copying['val_mse']:.5f}",
        f"{saved['skill']['val_mse_dynamic']:.2f}",
        f"{saved['sharpness']:.2f}",
        still_camera(run, data),
        f"{saved['training']['steps']:,}",
    ]
    return f"| {' | '.join(figures)} |"


def page(lines: list[str], arguments: argparse.Namespace) -> str:
    return f"""# Two arms, wrist cameras alone

A stand-in for teleoperation of two SO-101 arms. Each arm plays with free objects in scenes of its own; a recording has
the joints of both and their two wrist cameras, with a camera's noise of {NOISE:g} grey levels. In two episodes of three
one arm stands still. {arguments.episodes} episodes train, {arguments.tests} in other scenes test; {SIZE} × {SIZE}
pixels, commanded targets as actions, steps of 0.2 s, {arguments.minutes:g} minutes of one core a family, one seed.
*Still camera*: that of an arm whose joints stay within {STILL:g} while one of the other arm's moves by {MOVED:g} or
more. Copying's error is the noise there, twice. Intervals are over scenes.

| family | SSIM | copying | difference | MSE | copying | dynamic skill | sharpness | still camera | copying | steps |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
{chr(10).join(lines)}

`{command()}`; {circumstances()}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("bimanual"))
    parser.add_argument("--families", nargs="+", default=["warp", "flow"])
    parser.add_argument("--episodes", type=int, default=120)
    parser.add_argument("--tests", type=int, default=24)
    parser.add_argument("--minutes", type=float, default=6.0)
    arguments = parser.parse_args()
    work = arguments.work
    for part, episodes in (("train", arguments.episodes), ("test", arguments.tests)):
        record(work / f"{part}-recording", part, episodes)
        if not (work / part).exists():
            forearm("build", work / f"{part}-recording", "--preset", "tiny", "--step", 0.2, "--out", work / part)
    lines = []
    for family in arguments.families:
        run = work / "runs" / family
        if not (run / "evaluation-test" / "metrics.json").exists():
            if not (run / "best.safetensors").exists():
                budget = ("--minutes", arguments.minutes, "--clock", "cpu")
                forearm("train", family, "--data", work / "train", "--out", run, *budget)
            forearm("evaluate", run, "--data", work / "test")
        lines.append(row_of(run, TransitionSet(work / "test")))
    write_table(DOCUMENT, page(lines, arguments))


if __name__ == "__main__":
    main()
