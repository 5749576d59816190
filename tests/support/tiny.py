"""Datasets of a few kilobytes in which there is something to learn."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from forearm.canvas import ActionDimension, Camera, Joint, Layout
from forearm.models import make_model
from forearm.training.config import TrainConfig
from forearm.training.loop import start_run
from forearm.training.run import Run, save_tensors
from forearm.transitions import TransitionSet
from forearm.transitions.split import fit_bounds_to
from forearm.transitions.store import Columns, TransitionWriter

DELTA = 10.0
TWO_JOINTS = tuple(ActionDimension(name, name, "deg", DELTA) for name in ("pan", "lift"))


def make_layout(**changes: Any) -> Layout:
    """Two cameras of 8×8 above each other, patch 4, joints pan and lift, one discrete action that moves pan."""
    fields: dict[str, Any] = {
        "cameras": (Camera("base", 8, 8), Camera("wrist", 8, 8)),
        "joints": tuple(Joint(name, "deg", -45, 45, 15, unit_origin="given") for name in ("pan", "lift")),
        "actions": (ActionDimension("pan", "pan", "deg", DELTA),),
        "patch": 4,
        "separator": 4,
    }
    return Layout(**fields | changes)


def picture(layout: Layout, pan: float, background: np.ndarray) -> np.ndarray:
    """A frame (h, w, 3) uint8 whose bright bar stands where pan, between −45 and 45, says."""
    frame = background.copy()
    centre = (pan + 45) / 90 * layout.frame_width
    bar = np.abs(np.arange(layout.frame_width) + 0.5 - centre) < 1.5
    frame[:, bar] = 240
    return frame


def write_data(
    path: Path, layout: Layout | None = None, episodes: int = 8, length: int = 6, val: int = 2, seed: int = 0
) -> TransitionSet:
    """Write a dataset of chained transitions, the last ``val`` episodes of which validate."""
    layout = layout or make_layout()
    random = np.random.default_rng(seed)
    steps, dimensions = layout.history - 1, len(layout.actions)
    frames, actions, numbers = [], [], []
    path.mkdir(parents=True)
    with TransitionWriter(path, (layout.frame_height, layout.frame_width, 3)) as writer:
        for episode in range(episodes):
            background = random.integers(0, 120, (layout.frame_height, layout.frame_width, 3)).astype(np.uint8)
            start, moves = len(writer), DELTA * random.integers(-1, 2, length + steps - 1)
            pans = np.clip(np.cumsum([random.uniform(-20, 20), *moves]), -40, 40)
            lift = random.uniform(-20, 20)
            for pan in pans:
                state = np.full(len(layout.joints), lift, np.float32)
                state[0] = pan
                writer.append(picture(layout, pan, background), state)
            for i in range(length):
                frames.append(start + i + np.arange(layout.history))
                taken = np.zeros((steps, dimensions), np.float32)
                taken[:, 0] = moves[i : i + steps]
                actions.append(taken)
                numbers.append(episode)
        finish(writer, path.name, layout, frames, actions, numbers, val)
    return TransitionSet(path)


def finish(
    writer: TransitionWriter, name: str, layout: Layout, frames: list, actions: list, numbers: list, val: int
) -> None:
    """End a dataset of logged actions, the last ``val`` of whose episodes validate, with bounds fit to the others.

    Args:
        writer: has the dataset's frames.
        name: of its recording.
        layout: whose bounds are to be fit.
        frames: rows of frames of each transition, (history,) each.
        actions: of each transition, (history − 1, A) each.
        numbers: the episode of each transition, counted from 0.
        val: episodes that validate; where all do, the bounds are fit to them.
    """
    episodes = max(numbers) + 1
    validates = np.array(numbers) >= episodes - val
    table = Columns(np.array(frames), np.array(actions), np.zeros(len(frames), np.int64), np.array(numbers), validates)
    training = ~validates if val < episodes else validates
    layout = fit_bounds_to(layout, writer.states()[table.frames[training]])
    entries = [{"recording": name, "index": i, "task": "", "session": None} for i in range(episodes)]
    facts = {"recordings": [{"name": name}], "actions": "log", "settings": {}, "skipped": []}
    writer.finish(layout, table, entries, facts)


def write_late_data(path: Path, lag: float, episodes: int = 8, built: dict | None = None) -> TransitionSet:
    """Write a dataset of a bar that stands where a joint was ``lag`` seconds before, going now faster, now slower."""
    layout, random, fps, length = make_layout(), np.random.default_rng(0), 10.0, 80
    path.mkdir(parents=True)
    frames, numbers = [], []
    with TransitionWriter(path, (layout.frame_height, layout.frame_width, 3)) as writer:
        for episode in range(episodes):
            frequencies, phases = random.uniform(0.1, 0.6, (2, 3)), random.uniform(0, 6, 3)

            def pan(seconds: np.ndarray, f: np.ndarray = frequencies[0], p: np.ndarray = phases) -> np.ndarray:
                return 20 * np.sin(2 * np.pi * f * seconds[..., None] + p).mean(-1)

            times, start = np.arange(length) / fps, len(writer)
            columns = np.arange(layout.frame_width)
            for time, angle in zip(times, pan(times - lag), strict=True):
                bar = 255 * np.exp(-(((columns - (0.5 + angle / 50) * layout.frame_width) / 1.5) ** 2))
                picture = np.broadcast_to(bar[None, :, None], (layout.frame_height, layout.frame_width, 3))
                state = np.zeros(len(layout.joints), np.float32)
                state[0] = pan(np.array(time))
                writer.append(picture.astype(np.uint8), state)
            frames += [[start + i, start + i + 5] for i in range(length - 5)]
            numbers += [episode] * (length - 5)
        nothing = np.zeros((len(frames), 1, len(layout.actions)), np.float32)
        whole = np.zeros(len(frames), np.int64)
        table = Columns(np.array(frames), nothing, whole, np.array(numbers), whole.astype(bool))
        entries = [{"recording": "late", "index": i, "task": "", "session": None} for i in range(episodes)]
        facts = {
            "recordings": [{"name": "late", "fps": fps}],
            "actions": "change",
            "settings": {"step": 0.5, "stride": 0.1} | (built or {}),
            "skipped": [],
        }
        writer.finish(layout, table, entries, facts)
    return TransitionSet(path)


SMALLEST = {
    "mae": {"width": 16, "depth": 1, "heads": 2, "decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2},
    "warp": {"width": 8, "levels": 1, "layers": 1},
}


def untrained(data: TransitionSet, path: Path, family: str = "mae") -> Run:
    """A run of the smallest model of a family, the masked autoencoder by default, that was never trained."""
    run = start_run(path, family, SMALLEST[family], TrainConfig(steps=1), data)
    torch.manual_seed(0)
    save_tensors(run.weights_file("best"), make_model(family, run.layout(), run.config()["model"]).state_dict())
    return run
