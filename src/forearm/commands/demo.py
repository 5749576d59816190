"""``forearm demo``: simulate, build, train, evaluate, report."""

import os
import shlex
import shutil
import sys
import time
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Suppress

from forearm.base.errors import ForearmError
from forearm.base.files import read_json
from forearm.base.processes import others_run
from forearm.commands.console import building, console, counting, duration, has_screen, show_page, training
from forearm.commands.options import Device
from forearm.models import DEFAULT, family_settings

ACTIONS = 10
"""Of an episode: so the report can feed predictions back along recorded paths."""
SCENES = 50
"""So many that the half of the held-out episodes that is reported on has more than six."""

NOTES = """Forearm's demo: a simulated SO-101 turns its shoulder by about 10° or stays, ten times in a row. A small
model, {family}, learns to predict what its two cameras and its joints show half a second later. It was trained for
minutes on this machine; what matters is that it follows the action and beats copying the last frame."""


@dataclass(frozen=True)
class DemoOptions:
    """The demo's settings."""

    out: Path = Path("demo")
    """The folder to write; what is already done there is not done again."""
    episodes: int = 100
    """Simulated episodes of ten actions each, drawn from STAY, MOVE+ and MOVE−."""
    steps: int = 1200
    """Optimiser steps of the training."""
    seed: int = 0
    """Of everything that is drawn."""
    family: str = DEFAULT
    """The family of models."""
    device: Device = "auto"
    """Where to train and to predict."""
    again: bool = False
    """Throw away what is in the folder and begin anew."""
    open: bool = True
    """Show the report in a browser, where there is a screen."""
    given: Suppress[tuple[str, ...]] = ()
    """Names of the options that were given."""


def demo(options: DemoOptions) -> None:
    """Simulate an SO-101, learn a world model of it and report how good it is.

    It takes minutes on a laptop. A busy machine takes longer, for the same result.

    Example: forearm demo --out small --episodes 30 --steps 300
    """
    from forearm.base.devices import device_named
    from forearm.report.assessment import assess
    from forearm.sim import MODEL_SETTINGS, RecordingSettings, record
    from forearm.training.config import TrainConfig
    from forearm.training.launch import resume_run, train_run
    from forearm.training.run import Run
    from forearm.transitions.build import build
    from forearm.transitions.settings import BuildConfig

    config = TrainConfig(steps=options.steps, learning_rate=2e-3, seed=options.seed)
    model = MODEL_SETTINGS.get(options.family, {})
    family_settings(options.family, "tiny", model)  # whatever is wrong is said before minutes are spent
    device_named(options.device)
    recordings, data_path, run_path = (options.out / name for name in ("recordings", "data", "run"))
    if options.again:
        for path in (recordings, recordings.with_name("recordings.partial"), data_path, run_path):
            shutil.rmtree(path, ignore_errors=True)
    _require_unchanged(options)
    if others_run():
        console.print(
            "Other processes use the cores now: this takes longer, for the same result.", style="yellow", soft_wrap=True
        )
    started = time.perf_counter()
    if not recordings.exists():
        console.print("[bold]1 of 4[/] simulating an SO-101")
        settings = RecordingSettings(
            episodes=options.episodes, decisions=ACTIONS, sessions=SCENES, seed=options.seed, fps=2, size=64
        )
        with counting("recording") as watch:
            record(recordings, settings, watch=watch)
    if not data_path.exists():
        console.print("[bold]2 of 4[/] building transitions: frame, action, next frame")
        with building() as report:
            build([recordings], data_path, BuildConfig(preset="tiny", seed=options.seed, val=0.2), report)
    began = Run(run_path).config_file.is_file()
    family = Run(run_path).config()["family"] if began else options.family
    console.print(f"[bold]3 of 4[/] training {family}, which predicts the next frame")
    if began:
        resume_run(run_path, data_path, device=options.device, watching=training)
    else:
        model_settings: dict[str, Any] = {"family": family, "size": "tiny", "model": model, "config": config}
        train_run(data_path, run_path, **model_settings, device=options.device, watching=training)
    console.print("[bold]4 of 4[/] evaluating on episodes that training did not see")
    notes = options.out / "notes.txt"
    notes.write_text(NOTES.format(family=family), encoding="utf-8")
    with counting("evaluating") as watch:
        page = assess(run_path, notes=notes, device=options.device, watch=watch)
    console.print(f"\nDone in {duration(time.perf_counter() - started)}. Go on with:")
    for line in _next_steps(run_path):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print("\nThe report:")
    if options.open and has_screen():
        webbrowser.open(page.resolve().as_uri())
    show_page(page)


def _next_steps(run: Path) -> list[str]:
    """Commands to go on with; first what makes a shell find forearm, if it does not yet."""
    folder, found = Path(sys.prefix), shutil.which("forearm")
    lines = []
    if sys.prefix != sys.base_prefix and not (found and Path(found).parent.parent.samefile(folder)):
        here = os.path.relpath(folder)
        lines.append(f"{here}\\Scripts\\activate" if os.name == "nt" else f". {shlex.quote(here)}/bin/activate")
    name = shlex.quote(str(run))
    return [
        *lines,
        f"forearm play {name} --simulator 7  # steer what it imagines, in the browser",
        f"forearm plan {name} --simulator 7 --joints shoulder_pan -30  # find the actions that lead there",
    ]


def _noted(path: Path, *keys: str) -> Any:
    """What a JSON file of an earlier demo says under a key, or under keys within each other."""
    value = read_json(path)
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            raise ForearmError(f"{path} is damaged: it lacks {key}; begin anew with --again, or choose another --out")
        value = value[key]
    return value


def _length_of(run: Any) -> int | str:
    """The steps of a training; demos of before 2026-11-26 were given minutes."""
    config = run.training()
    return config.steps if config.minutes is None else f"for {config.minutes:g} minutes"


def _require_unchanged(options: DemoOptions) -> None:
    """Refuse options that come too late, as what they are about is done."""
    from forearm.training.run import Run

    run, data = Run(options.out / "run"), options.out / "data" / "dataset.json"
    info = options.out / "recordings" / "meta" / "info.json"
    done: dict[str, Any] = {}
    if info.is_file():
        done["episodes"] = _noted(info, "total_episodes")
    if data.is_file():
        done["seed"] = _noted(data, "settings", "seed")
    if run.config_file.is_file():
        done |= {"family": run.config()["family"], "steps": _length_of(run)}
    for name, value in done.items():
        if name in options.given and getattr(options, name) != value:
            raise ForearmError(
                f"{options.out} holds a demo with {name} {value}, so --{name} has no effect; "
                "begin anew with --again, or choose another --out"
            )
