"""The training loop, to be read from top to bottom."""

import contextlib
import dataclasses
import json
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast, gather_object, set_seed
from torch.utils.data import DataLoader

from forearm.base.devices import device_named
from forearm.base.errors import ForearmError
from forearm.base.files import append_line, locked, write_json, writing, writing_folder
from forearm.base.machine import circumstances
from forearm.base.processes import cores, serve_parent
from forearm.batch import Batch
from forearm.models import WorldModel
from forearm.training.config import TrainConfig
from forearm.training.optimizer import make_optimizer, set_rate
from forearm.training.pictures import save_samples
from forearm.training.resume import load_state, require_best, require_state, save_state
from forearm.training.run import Run, load_weights, plan_model, save_weights
from forearm.training.schedule import MOST_STEPS, MovingAverage, Progress, learning_rate, share_done
from forearm.transitions.loader import TrainingSteps, batch_on
from forearm.transitions.split import in_turn
from forearm.transitions.store import TransitionSet

LOG_EVERY = 10
"""Steps between log entries."""

MOST_VALIDATED = 2_000
"""Of more validation transitions than these, so many are drawn once, equally from the episodes."""

FAR_BEYOND = 100
"""A joint that is so many times its range from the middle of its bounds is a fault of its sensor."""

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
) -> Run:
    """Make a run's folder with its settings; ``train`` fills it.

    With ``fine_tune`` the model's settings, weights and layout (so the meaning of its strips) are that run's, and it
    is the parent unless another is given.

    Args:
        parent: the run that this one follows, whose targets it is measured by.
        notes: the experimenter's own text, kept in the folder.
    """
    for split in ("train", "val"):
        if not len(data.rows(split)):
            raise ForearmError(f"{data.path} has no transitions to {split} on; build it with --val between 0 and 1")
    layout = data.layout
    if fine_tune is not None:
        layout = fine_tune.layout()
        data.require_fit(layout, f"run {fine_tune.name}")
        family, settings = fine_tune.config()["family"], fine_tune.config()["model"]
    parent = parent or fine_tune
    plan_model(family, layout, settings)  # refuses impossible settings before anything is written
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
            **_episodes("picked_on", "picked_fingerprints", "picking", data, fine_tune),
        },
    }
    with writing_folder(path) as folder:
        write_json(Run(folder).layout_file, layout.to_json())
        write_json(Run(folder).config_file, facts)
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
    if config.batch_size % accelerator.num_processes:
        raise ForearmError(f"batch_size {config.batch_size} is not divisible by {accelerator.num_processes} processes")
    main = accelerator.is_main_process

    set_seed(config.seed)
    if resume:
        require_state(run.resume_file)
    basis = settings.get("fine_tuned_from")
    basis = Run(Path(basis)).weights_file("best") if basis and not resume else None
    model = run.make_model(run.resume_file, "model.") if resume else run.make_model(basis)
    if basis:
        load_weights(model, basis)
    model = model.to(accelerator.device)
    average = MovingAverage(model, config.ema)
    optimizer = make_optimizer(model, config)
    progress, marks = Progress(), run.marks()
    if resume:
        progress = load_state(run.resume_file, marks, model, average, optimizer)
        require_best(run, progress)
    wrapped = accelerator.prepare(model) if accelerator.num_processes > 1 else model

    log = Log(run, progress.step if resume else -1, accelerator, report)
    if main:
        write_json(run.machine_file, circumstances(accelerator.device, accelerator.num_processes))
    share = TrainingSteps(
        data,
        data.rows("train"),
        config.batch_size,
        config.seed,
        accelerator.process_index,
        accelerator.num_processes,
        drawn=accelerator.device.type == "cpu",
    )
    val_rows = data.rows("picking")
    val_rows = np.sort(val_rows[in_turn(data.groups[val_rows], MOST_VALIDATED)])
    places = np.linspace(0, len(val_rows) - 1, min(6, len(val_rows))).astype(int)
    shown = batch_on(accelerator.device, data, val_rows[places])

    def evaluate_and_save() -> None:
        """Validate the averaged weights, keep them if they are the best, and write a checkpoint."""
        losses = validate(average.model, data, val_rows, config.batch_size, accelerator)
        best = progress.evaluated(losses["loss"], config)
        entry = {f"val_{name}": value for name, value in losses.items()}
        log.write(
            {"step": progress.step, **entry, "best": best, "seconds": round(progress.seconds, 2), "steps": progress.end}
        )
        if main:
            if best:
                save_weights(run.weights_file("best"), average.model)
            save_weights(run.weights_file("last"), average.model)
            picture = run.path / "samples" / f"step_{progress.step:06d}.png"
            log.show(progress.step, save_samples(picture, average.model, shown, progress.step))
            save_state(run.resume_file, marks, model, average, optimizer, progress)

    clock = Stopwatch(progress, config.clock)
    if not resume:
        evaluate_and_save()
        clock.pause()
    stopped = False
    with interruptible() as interrupted:
        steps = feed(share, progress.step, workers_on(accelerator.device, config), accelerator.device)
        while not stopped and not progress.finished(config):
            batch = next(steps)
            rate = learning_rate(config, progress)
            set_rate(optimizer, rate, config)
            torch.manual_seed(seed_of(config.seed, progress.step, accelerator.process_index))
            wrapped.train()
            with accelerator.autocast():
                losses = wrapped(batch)
            optimizer.zero_grad(set_to_none=True)
            accelerator.backward(losses["loss"])
            gradient_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            if not torch.isfinite(gradient_norm):
                raise ForearmError(
                    f"the loss is no number any more at step {progress.step}; lower --learning-rate and start again"
                )
            optimizer.step()
            progress.step += 1
            average.update(model, progress.step)
            clock.tick()
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
                        "steps": progress.end,
                    }
                )
            if progress.step % config.evaluate_every == 0 or progress.finished(config):
                evaluate_and_save()
                clock.pause()
            if interrupted():
                accelerator.set_trigger()
            stopped = accelerator.check_trigger()  # a signal may reach the processes at different steps
            if stopped and main:
                save_state(run.resume_file, marks, model, average, optimizer, progress)
    accelerator.wait_for_everyone()
    accelerator.end_training()
    if stopped:
        raise KeyboardInterrupt
    return progress


def start_processes(device: str) -> PartialState:
    """The processes of this training as Accelerate knows them, on the device that a name means."""
    target = device_named(device)
    if target.type == "cuda" and target.index is not None:
        torch.cuda.set_device(target)
    processes = PartialState(cpu=target.type == "cpu")
    here = processes.device
    if processes.num_processes == 1 and (here.type != target.type or target.index not in (None, here.index)):
        AcceleratorState._reset_state(reset_partial_state=True)  # an earlier training in this process was elsewhere
        processes = PartialState(cpu=target.type == "cpu")
    return processes


def make_accelerator(config: TrainConfig, device: str, trackers: tuple[str, ...], folder: Path) -> Accelerator:
    """The processes, device and precision to train with."""
    on_cpu, on_gpu = (start_processes(device).device.type == kind for kind in ("cpu", "cuda"))
    bf16 = config.precision == "bf16" or (config.precision == "auto" and on_gpu and torch.cuda.is_bf16_supported())
    AcceleratorState._reset_state()  # an earlier training in this process may have had another precision
    accelerator = Accelerator(
        cpu=on_cpu,
        mixed_precision="bf16" if bf16 else "no",
        log_with=list(trackers) or None,
        project_dir=str(folder) if trackers else None,
    )
    if trackers:
        accelerator.init_trackers(
            "forearm", config={k: v for k, v in dataclasses.asdict(config).items() if v is not None}
        )
    return accelerator


def workers_on(device: torch.device, config: TrainConfig) -> int:
    """How many processes prepare batches for each process that trains."""
    if config.workers is not None:
        return config.workers
    here = max(1, torch.cuda.device_count()) if device.type == "cuda" else 1
    return 0 if device.type == "cpu" else max(1, min(MOST_WORKERS, cores() // here - 1))


def feed(steps: TrainingSteps, first: int, workers: int, device: torch.device) -> Iterator[Batch]:
    """The batches of a training from step ``first`` on, on its device.

    A GPU is sent bytes from page-locked memory while it computes the step before, and draws the canvases itself.
    """
    loader = DataLoader(
        steps,
        sampler=range(first, MOST_STEPS),
        batch_size=None,
        num_workers=workers,
        worker_init_fn=serve_parent,
        pin_memory=device.type == "cuda",
    )
    for batch in loader:
        batch = batch.to(device)
        yield batch if steps.drawn else batch.draw()


@torch.no_grad()
def validate(
    model: WorldModel, data: TransitionSet, rows: np.ndarray, batch_size: int, accelerator: Accelerator
) -> dict[str, float]:
    """Mean losses over validation rows, each process taking its part."""
    mine = rows[accelerator.process_index :: accelerator.num_processes]
    sums: dict[str, float] = {}
    for number, start in enumerate(range(0, len(mine), batch_size)):
        batch = batch_on(accelerator.device, data, mine[start : start + batch_size])
        torch.manual_seed(seed_of(0, number, accelerator.process_index))
        with accelerator.autocast():
            losses = model.validation_loss(batch)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(batch)
    parts = gather_object([sums])  # a process without rows has no losses to name
    means = {name: sum(part.get(name, 0.0) for part in parts) / len(rows) for name in parts[0]}
    if not np.isfinite(list(means.values())).all():
        raise ForearmError(f"the validation loss is no number; {_likely_cause(data, rows)}")
    return means


def seed_of(seed: int, number: int, process: int) -> int:
    """A seed for whatever a model draws in one batch (noise, masks, augmentation): repeatable, another in each process.

    They differ in the lowest 32 bits, which are all that PyTorch's generator on the CPU takes.
    """
    return seed * 1_000_003 + number + process * 1_000_000_007


def _likely_cause(data: TransitionSet, rows: np.ndarray) -> str:
    """Why a loss is no number: the joint that is farthest beyond its bounds, or the training itself."""
    layout, positions = data.layout, data.positions(rows)
    middles, ranges = (layout.highs + layout.lows) / 2, layout.highs - layout.lows
    beyond = np.abs(positions - middles) / ranges
    row, frame, joint = np.unravel_index(beyond.argmax(), beyond.shape)
    if beyond[row, frame, joint] < FAR_BEYOND:
        return "lower --learning-rate and start again"
    episode = data.episodes[data.columns.episodes[rows[row]]]
    return (
        f"{layout.joint_names[joint]} reads {positions[row, frame, joint]:g} in transition {rows[row]}, of episode "
        f"{episode['index']} of {episode['recording']}, where training has {layout.lows[joint]:g} to "
        f"{layout.highs[joint]:g}; build the dataset without that episode"
    )


def agreed(share: float, accelerator: Accelerator) -> float:
    """The main process's share done: clocks differ, but all processes have to stop at the same step."""
    if accelerator.num_processes == 1:
        return share
    return float(broadcast(torch.tensor(share, dtype=torch.float64, device=accelerator.device)))


class Stopwatch:
    """Adds up the seconds of training, and knows the typical seconds of a step."""

    def __init__(self, progress: Progress, clock: Literal["wall", "cpu"]):
        self.progress = progress
        self.recent: deque[float] = deque(maxlen=RECENT)
        self.now = time.process_time if clock == "cpu" else time.perf_counter
        self.last = self.now()

    def tick(self) -> None:
        """A step is done."""
        self.recent.append(self._passed())

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
        return float(np.mean(self.recent))


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
