"""``forearm demo``: simulate, build, train, evaluate, report."""

import shutil
import time
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Suppress

from forearm.base.errors import ForearmError
from forearm.base.files import read_json
from forearm.commands.console import building, console, counting, has_screen, show, training
from forearm.commands.options import Device
from forearm.models import DEFAULT, family_settings

NOTES = """Forearm's demo: a simulated SO-101 turns its shoulder by about 10° or stays, and a small model, {family},
learns to predict what its two cameras and its joints show half a second later. Trained for a few minutes on this
machine; what matters is that it follows the action and beats copying the last frame."""


@dataclass(frozen=True)
class DemoOptions:
    """The demo's settings."""

    out: Path = Path("demo")
    """The folder to write; what is already done there is not done again."""
    episodes: int = 900
    """Simulated actions, a third each of STAY, MOVE+ and MOVE−."""
    minutes: float = 4.0
    """Of training."""
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
    """Simulate an SO-101, learn a world model of it and report how good it is, in minutes on a laptop.

    Example: forearm demo --minutes 2
    """
    from forearm.base.devices import device_named
    from forearm.report.assessment import assess
    from forearm.report.inspection import facts_of
    from forearm.sim import MODEL_SETTINGS, SingleActionSettings, record
    from forearm.training.config import TrainConfig
    from forearm.training.launch import resume_run, train_run
    from forearm.training.run import Run
    from forearm.transitions.build import build
    from forearm.transitions.settings import BuildConfig

    config = TrainConfig(minutes=options.minutes, learning_rate=2e-3, seed=options.seed)
    model = MODEL_SETTINGS.get(options.family, {})
    family_settings(options.family, "tiny", model)  # whatever is wrong is said before minutes are spent
    device_named(options.device)
    recordings, data_path, run_path = (options.out / name for name in ("recordings", "data", "run"))
    if options.again:
        for path in (recordings, recordings.with_name("recordings.partial"), data_path, run_path):
            shutil.rmtree(path, ignore_errors=True)
    _require_unchanged(options)
    started = time.perf_counter()
    if not recordings.exists():
        console.print("[bold]1 of 4[/] simulating an SO-101")
        settings = SingleActionSettings(episodes=options.episodes, seed=options.seed, fps=2, size=64)
        with counting("recording") as watch:
            record(recordings, settings, watch=watch)
    if not data_path.exists():
        console.print("[bold]2 of 4[/] building transitions")
        with building() as report:
            build([recordings], data_path, BuildConfig(preset="tiny", seed=options.seed), report)
    show(facts_of(data_path))
    began = Run(run_path).config_file.is_file()
    family = Run(run_path).config()["family"] if began else options.family
    console.print(f"[bold]3 of 4[/] training {family} for about {options.minutes:g} minutes")
    if began:
        resume_run(run_path, data_path, device=options.device, watching=training)
    else:
        model_settings: dict[str, Any] = {"family": family, "size": "tiny", "model": model, "config": config}
        train_run(data_path, run_path, **model_settings, device=options.device, watching=training)
    console.print("[bold]4 of 4[/] evaluating")
    notes = options.out / "notes.txt"
    notes.write_text(NOTES.format(family=family), encoding="utf-8")
    with counting("evaluating") as watch:
        page = assess(run_path, notes=notes, device=options.device, watch=watch)
    console.print(f"done in {(time.perf_counter() - started) / 60:.1f} minutes; the report:")
    if options.open and has_screen():
        webbrowser.open(page.resolve().as_uri())
    print(page)


def _require_unchanged(options: DemoOptions) -> None:
    """Refuse options that come too late, as what they are about is done."""
    from forearm.training.run import Run

    run, data = Run(options.out / "run"), options.out / "data" / "dataset.json"
    info = options.out / "recordings" / "meta" / "info.json"
    done: dict[str, Any] = {}
    if info.is_file():
        done["episodes"] = read_json(info)["total_episodes"]
    if data.is_file():
        done["seed"] = read_json(data)["settings"]["seed"]
    if run.config_file.is_file():
        done |= {"family": run.config()["family"], "minutes": run.training().minutes}
    for name, value in done.items():
        if name in options.given and getattr(options, name) != value:
            raise ForearmError(
                f"{options.out} holds a demo with {name} {value}, so --{name} has no effect; "
                "begin anew with --again, or choose another --out"
            )
