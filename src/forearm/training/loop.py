"""The training loop, to be read from top to bottom."""

import contextlib
import dataclasses
import json
import signal
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader

from forearm.base.errors import ForearmError
from forearm.base.files import append_line, locked, write_json, writing, writing_folder
from forearm.base.machine import circumstances
from forearm.base.processes import cores, serve_parent
from forearm.training.blocks import blocks_of, prepare_blocks
from forearm.training.config import LOWER_RATES, TrainConfig
from forearm.training.imagining import imagined_share
from forearm.training.optimizer import make_optimizer, set_rate
from forearm.training.pictures import save_samples
from forearm.training.processes import (
    agreed,
    make_accelerator,
    require_divisible,
    seed_of,
    share_statistics,
    start_processes,
)
from forearm.training.resume import load_state, require_best, require_state, save_state
from forearm.training.run import Run, load_weights, plan_model, save_weights
from forearm.training.schedule import MOST_STEPS, MovingAverage, Progress, learning_rate, share_done
from forearm.training.step import Chain, Step
from forearm.training.validation import affordable, final_rows, validate, validation_rows
from forearm.transitions.loader import TrainingSteps, batch_on
from forearm.transitions.store import TransitionSet
from forearm.transitions.weights import read_weights

LOG_EVERY = 10
"""Steps between log entries."""

MOST_WORKERS = 8
"""Processes that prepare batches for a GPU unless more are asked for."""

RECENT = 20
"""Steps that the logged speed is the mean of."""

Report = Callable[[dict[str, Any]], None]


def start_run(
    path: Path,
    family: str,
    settings: dict[str, Any],
    config: TrainConfig,
    data: TransitionSet,
    fine_tune: Run | None = None,
    parent: Run | None = None,
    notes: str = "",
    weights: Path | None = None,
    given: Collection[str] = (),
) -> Run:
    """Make a run's folder with its settings; ``train`` fills it.

    With ``fine_tune`` the model's settings, weights and layout (so the meaning of its strips) are that run's, and it
    is the parent unless another is given.

    Args:
        parent: the run that this one follows, whose targets it is measured by.
        notes: the experimenter's own text, kept in the folder.
        weights: a file that says how often to draw each transition or episode; see ``read_weights``.
        given: names of the settings that somebody asked for; one without effect is refused.
    """
    for split in ("train", "val"):
        if not len(data.rows(split)):
            raise ForearmError(f"{data.path} has no transitions to {split} on; build it with --val between 0 and 1")
    leads = bool((data.leaders[data.rows("train")] >= 0).any())
    if config.imagined_share and not leads:
        raise ForearmError(
            f"imagined_share is {config.imagined_share:g}, and in {data.path} no transition goes on from another one; "
            "leave it out"
        )
    layout = data.layout
    if fine_tune is not None:
        layout = fine_tune.layout()
        data.require_fit(layout, f"run {fine_tune.name}")
        family, settings = fine_tune.config()["family"], fine_tune.config()["model"]
    parent = parent or fine_tune
    planned = plan_model(family, layout, settings)  # refuses impossible settings before anything is written
    drawing = read_weights(weights, data) if weights else None
    if config.compile or config.checkpoint_activations:
        blocks_of(planned)
    if "imagined_steps" in given and not (leads and imagined_share(planned, config)):
        raise ForearmError("imagined_steps has no effect, as nothing is imagined; give imagined_share too, above 0")
    if "matrix_rate" in given and not planned.hidden_matrices():
        raise ForearmError(f"matrix_rate has no effect on family {family}, of which AdamW moves all; leave it out")
    for name, instead in planned.without_effect().items():
        if f"model.{name}" in given:
            raise ForearmError(f"model.{name} has no effect: {instead}")
    facts = {
        "family": family,
        "model": settings,
        "training": dataclasses.asdict(config),
        "fine_tuned_from": str(fine_tune.path.resolve()) if fine_tune else None,
        "parent": str(parent.path.resolve()) if parent else None,
        "data": {
            "path": str(data.path.resolve()),
            "train": len(data.rows("train")),
            "val": len(data.rows("val")),
            "actions_seen": data.actions_seen("train"),
            "scenes": sorted({e["scene"] for e in data.episodes if e["scene"] is not None}),
            "directions_seen": data.directions_seen("train"),
            **_episodes("trained_on", "fingerprints", "train", data, fine_tune),
            **({"weights": weights.name} if weights else {}),
            **_episodes("picked_on", "picked_fingerprints", "picking", data, fine_tune),
        },
    }
    with writing_folder(path) as folder:
        write_json(Run(folder).layout_file, layout.to_json())
        write_json(Run(folder).config_file, facts)
        if drawing is not None:
            np.save(Run(folder).drawing_file, drawing)
        if notes:
            Run(folder).notes_file.write_text(notes, encoding="utf-8")
    return Run(path)


def _episodes(
    digests: str, fingerprints: str, split: Literal["train", "picking"], data: TransitionSet, fine_tune: Run | None
) -> dict[str, list[str]]:
    """What the episodes of a split are known by, and those of the run that this one starts from."""
    before = fine_tune.episodes_of(split) if fine_tune else ([], [])
    mine = data.digests_of(split), data.fingerprints_of(split)
    return {name: sorted({*a, *b}) for name, a, b in zip((digests, fingerprints), mine, before, strict=True)}


def train(
    run: Run,
    data: TransitionSet,
    *,
    device: str = "auto",
    resume: bool = False,
    trackers: tuple[str, ...] = (),
    report: Report = lambda entry: None,
) -> Progress:
    """Train the model of a started run; leave best and last weights, a log and sample pictures in its folder.

    Interrupted (Ctrl-C, SIGTERM, a crash), it goes on from the last checkpoint with ``resume`` and ends, on a
    CPU, with the very weights of an unbroken training. Under ``accelerate launch`` every process calls this.

    Args:
        report: is given every log entry as it is written.
    """
    with locked(run.path.resolve()) if start_processes(device).is_main_process else contextlib.nullcontext():
        return _train(run, data, device, resume, trackers, report)


def _train(
    run: Run, data: TransitionSet, device: str, resume: bool, trackers: tuple[str, ...], report: Report
) -> Progress:
    settings, layout = run.config(), run.layout()
    config = run.training()
    data = data.with_layout(layout, f"run {run.name}")
    accelerator = make_accelerator(config, device, trackers, run.path)
    target, main, several = accelerator.device, accelerator.is_main_process, accelerator.num_processes > 1
    require_divisible(config, accelerator.num_processes)
    set_seed(config.seed)
    if resume:
        require_state(run.resume_file)
    basis = settings.get("fine_tuned_from")
    basis = Run(Path(basis)).weights_file("best") if basis and not resume else None
    model = run.make_model(run.resume_file, "model.") if resume else run.make_model(basis)
    if basis:
        load_weights(model, basis)
    model = model.to(target)
    average = MovingAverage(model, config.ema)
    recorded = is_recorded(target, accelerator.num_processes, config)
    optimizer = make_optimizer(model, config, recorded)
    progress, marks = Progress(), run.marks()
    if resume:
        progress = load_state(run.resume_file, marks, model, average, optimizer)
        require_best(run, progress)
    prepare_blocks(model, config.compile, config.checkpoint_activations)
    wrapped = accelerator.prepare(model) if several else model
    step = Step(model, wrapped, optimizer, config, accelerator, recorded)

    log = Log(run, progress.step if resume else -1, accelerator, report)
    if main:
        write_json(run.machine_file, circumstances(target, accelerator.num_processes))
    rows, weights = data.rows("train"), run.drawing_weights(data)
    share = TrainingSteps(
        data,
        rows,
        config.batch_size,
        config.seed,
        accelerator.process_index,
        accelerator.num_processes,
        drawn=target.type == "cpu",
        weights=None if weights is None else weights[rows],
        imagined_share=imagined_share(model, config),
        imagined_steps=config.imagined_steps,
    )
    val_rows = validation_rows(run, data, config, keep=main)
    places = np.linspace(0, len(val_rows) - 1, min(6, len(val_rows))).astype(int)
    shown = batch_on(target, data, val_rows[places])
    clock, diverged = Stopwatch(progress, config.clock), Divergence(target)

    def save() -> None:
        """Write a checkpoint; of a model that has diverged none is ever written."""
        diverged.check()
        if main:
            save_state(run.resume_file, marks, model, average, optimizer, progress)

    def evaluate_and_save() -> None:
        """Validate the averaged weights, keep them if they are the best, and write a checkpoint."""
        diverged.check()
        began = clock.now()
        losses = validate(average.model, data, val_rows, config.batch_size, accelerator)
        best = progress.evaluated(losses["loss"], config)
        entry = {f"val_{name}": value for name, value in losses.items()}
        if best and main:
            save_weights(run.weights_file("best"), average.model)
        rows = final_rows(data, val_rows, progress.step * config.batch_size)
        if progress.finished(config) and len(rows) > len(val_rows):
            accelerator.wait_for_everyone()
            chosen = average.model if best else run.load("best", target)
            entry["whole_val_loss"] = validate(chosen, data, rows, config.batch_size, accelerator)["loss"]
        log.write(
            {"step": progress.step, **entry, "best": best, "seconds": round(progress.seconds, 2), "steps": progress.end}
        )
        if main:
            save_weights(run.weights_file("last"), average.model)
            picture = run.path / "samples" / f"step_{progress.step:06d}.png"
            log.show(progress.step, save_samples(picture, average.model, shown, progress.step))
        progress.evaluations += 1
        progress.evaluation_seconds = fastest(progress.evaluation_seconds, clock.now() - began)
        save()

    if not resume:
        evaluate_and_save()
        clock.pause()
    agree_every = LOG_EVERY if target.type != "cpu" else 1  # asking a GPU makes the host wait for it
    stopped = False
    with interruptible() as interrupted:
        steps = feed(share, progress.step, workers_on(target, config), target)
        while not stopped and not progress.finished(config):
            chain = next(steps)
            clock.fed()
            rate = learning_rate(config, progress)
            set_rate(optimizer, rate, config)
            torch.manual_seed(seed_of(config.seed, progress.step, accelerator.process_index))
            losses, gradient_norm = step(chain)
            asking = (progress.step + 1) % agree_every == 0
            diverged.note(gradient_norm, progress.step)
            if asking:
                diverged.check()
            progress.step += 1
            share_statistics(model, accelerator)
            average.update(model, progress.step)
            clock.tick()
            if not config.minutes:
                progress.done = share_done(config, progress)
            elif asking or not several:
                progress.done = agreed(share_done(config, progress), accelerator)

            if progress.step % LOG_EVERY == 0 or progress.step == 1:
                means = {name: float(accelerator.reduce(v.detach(), "mean")) for name, v in losses.items()}
                speed = config.batch_size / clock.seconds_per_step
                log.write(
                    {
                        "step": progress.step,
                        **means,
                        "learning_rate": rate,
                        "gradient_norm": float(gradient_norm),
                        "samples_per_s": round(speed, 1),
                        "feeding_share": round(clock.feeding_share, 4),
                        "steps": progress.end,
                    }
                )
            finished = progress.finished(config)
            if finished or progress.step % config.evaluate_every == 0:
                evaluations = affordable(progress.evaluations, progress.evaluation_seconds, progress)
                checkpoints = affordable(progress.checkpoints, progress.checkpoint_seconds, progress)
                if finished or agreed(evaluations, accelerator):
                    evaluate_and_save()
                elif agreed(checkpoints, accelerator):
                    began = clock.now()
                    save()
                    progress.checkpoints += 1
                    progress.checkpoint_seconds = fastest(progress.checkpoint_seconds, clock.now() - began)
                clock.pause()
            if several and (asking or finished):
                if interrupted():
                    accelerator.set_trigger()
                stopped = accelerator.check_trigger()  # a signal may reach the processes at different steps
            elif not several:
                stopped = interrupted()
            if stopped:
                save()
    accelerator.wait_for_everyone()
    accelerator.end_training()
    if stopped:
        raise KeyboardInterrupt
    return progress


def fastest(before: float, now: float) -> float:
    """The less of two times in seconds; 0 before the first."""
    return min(before or now, now)


class Divergence:
    """Notes on the device at which step the gradient first was no number; only to ask for it makes the host wait."""

    def __init__(self, device: torch.device):
        self.step = torch.full((), -1, dtype=torch.int64, device=device)

    def note(self, gradient_norm: torch.Tensor, step: int) -> None:
        """Take in the norm of a step's gradient."""
        first = (self.step < 0) & ~torch.isfinite(gradient_norm)
        self.step = torch.where(first, step, self.step)

    def check(self) -> None:
        """Refuse to go on with a model that such a gradient has changed.

        Raises:
            ForearmError: some gradient was no number.
        """
        if (step := int(self.step)) >= 0:
            raise ForearmError(f"the loss is no number any more at step {step}; {LOWER_RATES}")


def is_recorded(device: torch.device, processes: int, config: TrainConfig) -> bool:
    """Whether steps are recorded and replayed: on one GPU, where nothing else changes how blocks compute."""
    as_written = not (config.compile or config.checkpoint_activations)
    return config.cuda_graphs and as_written and device.type == "cuda" and processes == 1


def workers_on(device: torch.device, config: TrainConfig) -> int:
    """How many processes prepare batches for each process that trains."""
    if config.workers is not None:
        return config.workers
    here = max(1, torch.cuda.device_count()) if device.type == "cuda" else 1
    return 0 if device.type == "cpu" else max(1, min(MOST_WORKERS, cores() // here - 1))


def feed(steps: TrainingSteps, first: int, workers: int, device: torch.device) -> Iterator[Chain]:
    """What the steps of a training see from step ``first`` on, on its device.

    A GPU is sent bytes from page-locked memory while it computes the step before, and draws the canvases in its step.
    """
    loader = DataLoader(
        steps,
        sampler=range(first, MOST_STEPS),
        batch_size=None,
        num_workers=workers,
        worker_init_fn=serve_parent,
        pin_memory=device.type == "cuda",
    )
    for chain in loader:
        yield [each.to(device) for each in chain]


class Stopwatch:
    """Adds up the seconds of training, and knows the typical seconds of a step."""

    def __init__(self, progress: Progress, clock: Literal["wall", "cpu"]):
        self.progress = progress
        self.recent: deque[tuple[float, float]] = deque(maxlen=RECENT)
        self.waited = 0.0
        self.now = time.process_time if clock == "cpu" else time.perf_counter
        self.last = self.now()

    def fed(self) -> None:
        """The batch of a step is there."""
        self.waited = self._passed()

    def tick(self) -> None:
        """A step is done."""
        self.recent.append((self.waited, self.waited + self._passed()))

    def pause(self) -> None:
        """Something is done that was no step."""
        self._passed()

    def _passed(self) -> float:
        now = self.now()
        passed, self.last = now - self.last, now
        self.progress.seconds += passed
        return passed

    @property
    def seconds_per_step(self) -> float:
        return float(np.mean([whole for _, whole in self.recent]))

    @property
    def feeding_share(self) -> float:
        """Share of the time of steps in which they wait for their batches."""
        waited, whole = np.sum(self.recent, axis=0)
        return float(waited / max(whole, 1e-9))


class Log:
    """``log.jsonl``: one entry a line, those after ``step`` are forgotten."""

    def __init__(self, run: Run, step: int, accelerator: Accelerator, report: Report):
        self.path, self.accelerator, self.report = run.log_file, accelerator, report
        if accelerator.is_main_process:
            kept = [entry for entry in run.log() if entry["step"] <= step]
            with writing(self.path) as beside:
                beside.write_text("".join(json.dumps(entry) + "\n" for entry in kept))

    def write(self, entry: dict[str, Any]) -> None:
        """Add an entry to the file and to the trackers."""
        if self.accelerator.is_main_process:
            append_line(self.path, json.dumps(entry))
            group = "validation" if "val_loss" in entry else "train"
            curves = {
                name.removeprefix("val_"): value for name, value in entry.items() if name not in ("step", "steps")
            }
            named = {f"{group}/{name}": value for name, value in curves.items()}
            self.accelerator.log(named, step=entry["step"])
            self.report(entry)

    def show(self, step: int, picture: np.ndarray) -> None:
        """Give a picture (h, w, 3) uint8 to the trackers that take some."""
        for tracker in self.accelerator.trackers:
            if tracker.name == "tensorboard":
                tracker.log_images({"validation/samples": picture[None]}, step=step, dataformats="NHWC")
            elif tracker.name == "trackio":
                import trackio

                tracker.log({"validation/samples": trackio.Image(picture)}, step=step)
            elif hasattr(tracker, "log_images"):
                tracker.log_images({"validation/samples": [picture]}, step=step)


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Hold back Ctrl-C and SIGTERM until the loop asks, so that a step is never cut in half."""
    asked: list[int] = []
    before = {}
    for kind in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError):  # not in the main thread: nothing to hold back
            before[kind] = signal.signal(kind, lambda number, frame: asked.append(number))
    try:
        yield lambda: bool(asked)
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
