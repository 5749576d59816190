"""The command line: one function a command, each only calling the rooms that do the work.

A command imports its rooms when it runs, so that help is there at once and no command needs what another needs.
"""

import os
import signal
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from tyro.conf import OmitArgPrefixes, Positional

from forearm.errors import ForearmError

console = Console(stderr=True, highlight=False)

Device = Annotated[str, tyro.conf.arg(metavar="{auto,cpu,cuda,cuda:1,mps}")]
Recordings = Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar="RECORDING…")]]
Datasets = Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="DATA…")]]
RunFolder = Positional[Annotated[Path, tyro.conf.arg(metavar="RUN")]]
Runs = Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN…")]]
Anything = Positional[Annotated[str, tyro.conf.arg(metavar="PATH")]]


def demo(args: list[str]) -> None:
    """simulate, train, evaluate, and show a report: minutes on a laptop"""
    from forearm.demo import Demo, run_demo

    settings = tyro.cli(OmitArgPrefixes[Demo], args=args, prog="forearm demo", description=run_demo.__doc__)
    report = run_demo(settings, console)
    print(report)


def record(args: list[str]) -> None:
    """record single actions of a simulated SO-101 as a LeRobot v3.0 dataset"""
    from forearm.sim import SingleActionSettings
    from forearm.sim import record as record_into

    def run(settings: OmitArgPrefixes[SingleActionSettings], *, out: Path, processes: int | None = None) -> None:
        """Record single actions of a simulated SO-101 as a LeRobot v3.0 dataset.

        Interrupted, the same command goes on where it stopped.

        Args:
            settings: What to record.
            out: The folder to write; it must not exist.
            processes: How many work at it; one per core by default.
        """
        record_into(out, settings, processes)
        print(out)

    tyro.cli(run, args=args, prog="forearm record")


def build(args: list[str]) -> None:
    """recordings (folders or Hub ids) to a dataset of transitions"""
    from forearm.inspection import facts_of, show
    from forearm.progress import building
    from forearm.transitions.build import BuildConfig
    from forearm.transitions.build import build as build_into

    def run(recordings: Recordings, /, config: OmitArgPrefixes[BuildConfig], *, out: Path) -> None:
        """Read LeRobot recordings and write a dataset of transitions.

        Args:
            recordings: Folders or Hub ids of LeRobot v2.0, v2.1 or v3.0 recordings.
            config: How recordings become transitions.
            out: The folder to write; it must not exist.
        """
        if not recordings:
            raise ForearmError("build needs at least one recording: a folder or a Hub id")
        with building(console) as report:
            build_into(recordings, out, config, report)
        show(facts_of(out), console)
        print(out)

    tyro.cli(run, args=args, prog="forearm build")


def combine(args: list[str]) -> None:
    """several datasets of transitions to one, strips drawn anew with common bounds"""
    from forearm.inspection import facts_of, show
    from forearm.transitions.combine import combine as combine_into
    from forearm.transitions.store import TransitionSet

    def run(datasets: Datasets, /, *, out: Path) -> None:
        """Put datasets of transitions together; every episode stays on its side of the split.

        Args:
            datasets: Two or more datasets that forearm build wrote.
            out: The folder to write; it must not exist.
        """
        combine_into([TransitionSet(path) for path in datasets], out)
        show(facts_of(out), console)
        print(out)

    tyro.cli(run, args=args, prog="forearm combine")


def inspect(args: list[str]) -> None:
    """facts and pictures of a recording, a dataset or a run"""
    from forearm.inspection import facts_of, save_pictures, show

    def run(
        path: Anything,
        /,
        *,
        pictures: Path | None = None,
        html: Path | None = None,
        samples: int = 200,
        data: Path | None = None,
        device: Device = "auto",
    ) -> None:
        """Say what a recording, a dataset of transitions or a run is and holds.

        Args:
            path: A folder, or the Hub id of a recording.
            pictures: A PNG file to write some of its canvases or pictures to.
            html: A page to write, on which its canvases can be browsed by action, joint, episode and error; only an
                earlier such page there is replaced.
            samples: How many canvases the page shows at most; all actions, joints and episodes are among them.
            data: What the page shows of a run; the validation part of its own data by default.
            device: Where a run predicts what the page shows.
        """
        if html is None and (samples, data, device) != (200, None, "auto"):
            raise ForearmError("--samples, --data and --device are about the page of --html FILE; name one")
        show(facts_of(path), Console(highlight=False))
        if pictures is not None:
            save_pictures(path, pictures)
            print(pictures)
        if html is not None:
            from forearm.gallery import save_gallery
            from forearm.progress import drawing

            with drawing(console) as watch:
                save_gallery(path, html, samples=samples, data=data, device=device, watch=watch)
            print(html)

    tyro.cli(run, args=args, prog="forearm inspect")


def train(args: list[str]) -> None:
    """train a model of a family on a dataset"""
    import torch
    from accelerate import PartialState

    from forearm.assessment import checked_notes
    from forearm.devices import device_named
    from forearm.models import DEFAULT, FAMILIES, family_settings
    from forearm.progress import training
    from forearm.training.config import TrainConfig
    from forearm.training.loop import start_run
    from forearm.training.loop import train as train_run
    from forearm.training.run import Run
    from forearm.transitions.store import TransitionSet

    def run(
        family: Positional[Annotated[str, tyro.conf.arg(metavar="{" + ",".join(FAMILIES) + "}")]] = DEFAULT,
        /,
        config: OmitArgPrefixes[TrainConfig] = TrainConfig(),  # noqa: B008 (frozen)
        *,
        data: Path | None = None,
        out: Path,
        size: str | None = None,
        model: tuple[str, ...] = (),
        fine_tune: Path | None = None,
        parent: Path | None = None,
        notes: Path | None = None,
        resume: bool = False,
        device: Device = "auto",
        track: tuple[Literal["tensorboard", "trackio", "wandb"], ...] = (),
    ) -> None:
        """Train a model; best and last weights, log and sample pictures go to the run's folder.

        On several GPUs or processes: accelerate launch -m forearm train …

        Args:
            family: The family of models.
            config: How the training goes.
            data: The dataset to train on; with --resume that of the run by default.
            out: The run's folder to write; it must not exist, but with --resume it must.
            size: The family's size by name; by default the one made for the dataset's patches.
            model: Single settings of the family as name=value, such as depth=6.
            fine_tune: A run whose weights, sizes and bounds to start from.
            parent: The run that this one follows and whose targets it is measured by; that of --fine-tune by default.
            notes: A text file with your notes: what changed, why, what to expect. Lines such as "target: val_mse <=
                0.01, ssim > 0.8" set targets for this run's children. It is kept in the run's folder.
            resume: Go on with an interrupted training, with the settings it was started with.
            device: Where to train.
            track: Trackers to log to besides log.jsonl.
        """
        for tracker in track:
            if find_spec(tracker) is None:
                raise ForearmError(f"--track {tracker} needs its package; install it with: pip install {tracker}")
        place = device_named(device)
        if place.index is not None and place.type == "cuda":
            torch.cuda.set_device(place)
        processes = PartialState(cpu=device == "cpu")
        if resume and (parent or notes):
            raise ForearmError("--parent and --notes belong to a new run; leave them out to --resume one")
        if data is None and not resume:
            raise ForearmError("train needs --data, a dataset that forearm build wrote")
        transitions = TransitionSet(data or Path(Run.open(out).config()["data"]["path"]))
        if not resume and processes.is_main_process:
            named = size or ("so101" if transitions.layout.patch >= 16 else "tiny")
            settings = family_settings(family, named, dict(_setting(text) for text in model))
            basis, follows = (Run.open(path) if path else None for path in (fine_tune, parent))
            start_run(out, family, settings, config, transitions, basis, follows, checked_notes(notes) if notes else "")
        processes.wait_for_everyone()
        started = Run.open(out)
        transitions.require_fit(started.layout(), f"run {started.name}")
        # Interrupted before its first checkpoint, a training begins anew.
        resume = resume and (started.resume_file.is_file() or any(entry["step"] for entry in started.log()))
        console.quiet = not processes.is_main_process
        try:
            with training(console, started.name) as report:
                train_run(started, transitions, device=device, resume=resume, trackers=track, report=report)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped; go on with: forearm train {family} --out {out} --resume") from None
        if processes.is_main_process:
            print(out)

    tyro.cli(run, args=args, prog="forearm train")


def _setting(text: str) -> tuple[str, Any]:
    """``depth=6`` as ("depth", 6)."""
    import json

    name, equals, value = text.partition("=")
    if not equals:
        raise ForearmError(f"--model takes settings as name=value, not {text!r}")
    try:
        return name, json.loads(value.lower())
    except json.JSONDecodeError:
        return name, value


def evaluate(args: list[str]) -> None:
    """score a run on data and write its report"""
    from forearm.assessment import assess
    from forearm.progress import evaluating

    def run(
        run: RunFolder,
        /,
        *,
        data: Path | None = None,
        split: Literal["auto", "val", "all"] = "auto",
        checkpoint: Literal["best", "last"] = "best",
        notes: Path | None = None,
        against: Path | None = None,
        samples: int = 8,
        rollouts: int = 48,
        horizon: int = 20,
        batch_size: int = 16,
        device: Device = "auto",
    ) -> None:
        """Score a run and write metrics.json, report.html and grids into its folder.

        Args:
            run: The run to score.
            data: The dataset to score on; that of its training by default.
            split: val: its validation episodes; all: all of it; auto: val for the training's own dataset, else all.
            checkpoint: Which weights.
            notes: A text file with the experimenter's notes, shown in the report; those of the training by default.
            against: Another run, evaluated before, to show beside this one; its parent by default.
            samples: How many counterfactual grids.
            rollouts: On how many recorded paths to feed predictions back; 0 for none.
            horizon: How many steps at most, as far as the dataset holds paths that long.
            batch_size: How many canvases at a time.
            device: Where to predict.
        """
        with evaluating(console) as watch:
            report = assess(
                run,
                data=data,
                split=split,
                checkpoint=checkpoint,
                notes=notes,
                against=against,
                samples=samples,
                rollouts=rollouts,
                horizon=horizon,
                batch_size=batch_size,
                device=device,
                watch=watch,
            )
        print(report)

    tyro.cli(run, args=args, prog="forearm evaluate")


def compare(args: list[str]) -> None:
    """set runs side by side on one page: which is best, and is that sure"""
    from forearm.comparison import compare as compare_runs
    from forearm.progress import evaluating

    def run(
        runs: Runs, /, *, out: Path = Path("comparison.html"), data: Path | None = None, device: Device = "auto"
    ) -> None:
        """Compare runs and baselines on the same samples; runs that have not been evaluated on them are, first.

        Args:
            runs: The runs.
            out: The page to write; only an earlier comparison there is replaced.
            data: The dataset to compare on: its validation part if a run was trained on it, else all of it. By
                default each run's own validation data, which have to be the same samples for all.
            device: Where to predict.
        """
        print(compare_runs(runs, out, data=data, device=device, watching=lambda name: evaluating(console, name)))

    tyro.cli(run, args=args, prog="forearm compare")


def play(args: list[str]) -> None:
    """play in what a run imagines: a page in the browser"""
    from forearm.demo import has_screen
    from forearm.play.app import make_app
    from forearm.play.server import address, listen, names_of, serve
    from forearm.play.stage import open_stage

    def run(
        run: RunFolder,
        /,
        *,
        data: Path | None = None,
        simulator: int | None = None,
        checkpoint: Literal["best", "last"] = "best",
        host: str = "127.0.0.1",
        port: int = 8000,
        open: bool = True,
        device: Device = "auto",
    ) -> None:
        """Show what each action would show, choose, and go on from there: on a page in the browser, until Ctrl-C.

        Args:
            run: The run to play with.
            data: The dataset whose moments to begin from; that of its training by default.
            simulator: A scene of the simulated SO-101 by number: it begins there and does everything that you do.
            checkpoint: Which weights.
            host: Where to listen; by default for this machine alone.
            port: Where to listen; 0 for any port that is free.
            open: Show the page in a browser, where there is a screen.
            device: Where to predict.
        """
        with listen(host, port) as listening:
            stage = open_stage(run, data=data, simulator=simulator, checkpoint=checkpoint, device=device)
            app, page = make_app(stage, names_of(host)), address(listening, host)
            print(page, flush=True)
            serve(app, listening, show=page if open and has_screen() else None)

    tyro.cli(run, args=args, prog="forearm play")


def plan(args: list[str]) -> None:
    """find actions that lead to a goal: imagined, in the simulator, or on an SO-101"""
    from forearm.planning import PlanOptions
    from forearm.planning import plan as plan_run

    def run(
        run: RunFolder,
        /,
        options: OmitArgPrefixes[PlanOptions] = PlanOptions(),  # noqa: B008 (frozen)
        *,
        out: Path | None = None,
        device: Device = "auto",
    ) -> None:
        """Look for actions that a run foresees to lead to a goal, and take them.

        The goal is one of --joints, --picture, --like and --region, the start one of --start, --simulator and --robot.
        After every action it looks and plans anew, until the goal is reached or staying is best.

        Args:
            run: The run that foresees.
            options: Goal, start, and how to look for actions.
            out: A folder to write the trace to, as JSON and as a film; it must not exist.
            device: Where to predict.
        """
        plan_run(run, options, console, out=out, device=device)
        if out is not None:
            print(out)

    tyro.cli(run, args=args, prog="forearm plan")


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    command.__name__: command
    for command in (demo, record, build, combine, inspect, train, evaluate, compare, play, plan)
}


EXTRAS = {
    "mujoco": "sim",
    "lerobot": "robot",
    "fastapi": "play",
    "uvicorn": "play",
    "tensorboard": "tracking",
    "trackio": "tracking",
}
"""The extra that installs a package which not everybody needs."""


def usage() -> str:
    """What ``forearm --help`` prints."""
    lines = [f"  forearm {name:<9} {command.__doc__}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "Forearm gives a low-cost robot arm foresight.",
            "",
            *lines,
            "",
            "forearm COMMAND --help says more. Results go to standard output, everything else to standard error.",
        ]
    )


def main() -> None:
    """Run the command that the arguments name.

    Exit codes: 0 done; 2 something the user can mend, told in one line; 130 interrupted.
    """
    signal.signal(signal.SIGTERM, _interrupt)  # so that a polite kill cleans up as Ctrl-C does
    try:
        _run(*sys.argv[1:] or ["--help"])
        sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        _leave(str(interrupt) or "stopped", 130)
    except ForearmError as error:
        _leave(str(error), 2)
    except BrokenPipeError:  # whoever read our output, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(error.name or "")
        if extra is None:
            raise
        _leave(f"this needs {error.name}; install it with: pip install 'forearm[{extra}]'", 2)
    except OSError as error:
        if error.errno is None:
            raise
        _leave(f"{error.filename or 'a file'}: {error.strerror}; nothing more was written", 2)


def _run(name: str, *args: str) -> None:
    if name in ("-h", "--help", "help"):
        print(usage())
    elif name == "--version":
        from forearm import __version__

        print(__version__)
    elif name in COMMANDS:
        COMMANDS[name](list(args))
    else:
        raise ForearmError(f"no command {name!r}; there are {', '.join(COMMANDS)}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _leave(message: str, code: int) -> None:
    print("forearm: " + " ".join(message.split()), file=sys.stderr, flush=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
