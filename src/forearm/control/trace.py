"""What control did, as JSON and as a film of what was foreseen beside what was seen."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from forearm.canvas import CODE_NAMES, STAY, Layout, action_codes
from forearm.canvas.actions import DEAD_BAND
from forearm.control.goals import Goal, PictureGoal, RegionGoal
from forearm.control.loop import Observation, Step, Trace, observed
from forearm.files import write_json
from forearm.recordings.encoding import encode

HEIGHT = 384
"""Pixels that a frame is enlarged to, about."""
MARGIN, HEADING, FOOTING = 12, 26, 58
PAPER, INK, FAINT, EMPTY = (255, 255, 255), (32, 34, 38), (120, 124, 132), (238, 240, 243)
SECONDS_A_STEP = 0.8
FILM_FPS = 10


def save_trace(folder: Path, trace: Trace, goal: Goal, facts: dict[str, Any]) -> None:
    """Write ``trace.json``, ``film.gif`` and ``film.mp4`` into an existing folder; ``facts`` head the JSON."""
    write_json(folder / "trace.json", {**facts, **trace_json(trace)})
    frames = film(trace, goal)
    save_gif(folder / "film.gif", frames)
    held = np.stack(frames).repeat(round(SECONDS_A_STEP * FILM_FPS), axis=0)
    encode(folder / "film.mp4", held, FILM_FPS)


def trace_json(trace: Trace) -> dict[str, Any]:
    """Joints, costs and plans of every step, ready for JSON."""
    layout, names = trace.layout, trace.layout.joint_names
    steps = []
    for step in trace.steps:
        foreseen = [observed(layout, region).joints for region in step.plan.regions.cpu().numpy()]
        steps.append(
            {
                "joints": dict(zip(names, step.seen.joints.tolist(), strict=True)),
                "cost": step.plan.staying,
                "plan": [
                    {
                        "action": action_words(layout, amounts),
                        "amounts": amounts.tolist(),
                        "entry": layout.actions[entry].name,
                        "foreseen_joints": dict(zip(names, joints.tolist(), strict=True)),
                    }
                    for amounts, entry, joints in zip(step.plan.amounts, step.plan.entries, foreseen, strict=True)
                ],
                "foreseen_cost": step.plan.cost,
            }
        )
    return {"outcome": trace.outcome, "actions_taken": trace.actions, "steps": steps}


def action_words(layout: Layout, amounts: np.ndarray) -> str:
    """An action (A,) as a person says it: ``shoulder_pan MOVE+``, or its changes in the entries' units."""
    code = int(action_codes(amounts[None])[0])
    if layout.discrete or code == STAY:
        name = layout.actions[int(np.abs(amounts).argmax())].name
        return CODE_NAMES[code] if code == STAY else f"{name} {CODE_NAMES[code]}"
    parts = zip(layout.actions, amounts, strict=True)
    return ", ".join(f"{e.name} {a * e.scale:+.3g} {e.unit}".strip() for e, a in parts if abs(a) > DEAD_BAND)


def film(trace: Trace, goal: Goal) -> list[np.ndarray]:
    """A picture for every step, (n) of (height, width, 3) uint8 with even sides: seen, foreseen, and what is wanted."""
    layout, foreseen, frames = trace.layout, None, []
    for number, step in enumerate(trace.steps):
        columns = [("seen", step.seen), ("foreseen a step before", foreseen)]
        if isinstance(goal, PictureGoal | RegionGoal):
            columns.append(("wanted", _wanted(layout, goal)))
        frames.append(_page(layout, columns, goal, _caption(trace, number, step)))
        foreseen = observed(layout, step.plan.regions[0].cpu().numpy()) if len(step.plan) else None
    return frames


def save_gif(path: Path, frames: list[np.ndarray]) -> None:
    """Write pictures as a GIF that repeats, the last one shown longer."""
    pictures = [Image.fromarray(frame).quantize(128, dither=Image.Dither.NONE) for frame in frames]
    durations = [round(1000 * SECONDS_A_STEP)] * (len(frames) - 1) + [2400]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=True)


def _wanted(layout: Layout, goal: PictureGoal | RegionGoal) -> Observation:
    region = np.full((3, layout.height, layout.frame_width), EMPTY[0] / 255, np.float32)
    if isinstance(goal, PictureGoal):
        counts = goal.weights.numpy()
        region[:, : layout.frame_height] += (goal.frame.numpy() - EMPTY[0] / 255) * counts
    else:
        height, width = goal.crop.shape[-2:]
        top, left = goal.rows.start, goal.columns.start
        region[:, top : top + height, left : left + width] = goal.crop.numpy()
    return observed(layout, region)


def _caption(trace: Trace, number: int, step: Step) -> tuple[str, str]:
    done = number == len(trace.steps) - 1
    then = trace.outcome if done else f"next: {action_words(trace.layout, step.plan.amounts[0])}"
    return f"after {number} action{'' if number == 1 else 's'} · cost {step.plan.staying:.3g}", then


def _page(
    layout: Layout, columns: list[tuple[str, Observation | None]], goal: Goal, caption: tuple[str, str]
) -> np.ndarray:
    scale = max(1, HEIGHT // layout.frame_height)
    height, width = layout.frame_height * scale, layout.frame_width * scale
    size = (MARGIN + len(columns) * (width + MARGIN), MARGIN + HEADING + height + FOOTING)
    page = Image.new("RGB", (size[0] + size[0] % 2, size[1] + size[1] % 2), PAPER)
    pen, top = ImageDraw.Draw(page), MARGIN + HEADING
    for i, (title, shown) in enumerate(columns):
        left = MARGIN + i * (width + MARGIN)
        pen.text((left, MARGIN - 2), title, INK, _font(15))
        if shown is None:
            pen.rectangle((left, top, left + width - 1, top + height - 1), EMPTY)
            continue
        frame = np.zeros((layout.frame_height, layout.frame_width, 3), np.uint8)
        for picture, box in zip(shown.pictures, layout.camera_boxes(), strict=True):
            frame[box] = picture
        page.paste(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC), (left, top))
        if isinstance(goal, RegionGoal):
            across, down = ([side.start * scale, side.stop * scale] for side in (goal.columns, goal.rows))
            corners = (left + across[0], top + down[0], left + across[1], top + down[1])
            pen.rectangle(corners, outline=(255, 196, 0), width=2)
    pen.text((MARGIN, top + height + 8), caption[0], FAINT, _font(14))
    pen.text((MARGIN, top + height + 28), caption[1], INK, _font(15))
    return np.asarray(page)


def _font(size: int) -> ImageFont.FreeTypeFont:
    """Matplotlib's own, which knows the minus sign of MOVE−."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
