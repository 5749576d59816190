"""Training learns, leaves a whole run, goes on exactly where it was stopped, and shares itself out."""

import contextlib
import dataclasses
import errno
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
from accelerate.tracking import GeneralTracker
from PIL import Image
from support.commands import files as files_of
from support.tiny import make_layout, write_data
from support.waiting import PATIENCE

from forearm.base.devices import device_named
from forearm.base.errors import ForearmError
from forearm.base.files import locked
from forearm.canvas import ActionDimension
from forearm.models import make_model
from forearm.models.convolutions import ResidualBlock
from forearm.training import loop, validation
from forearm.training.config import TrainConfig
from forearm.training.launch import train_run
from forearm.training.loop import MOST_WORKERS, Divergence, feed, is_recorded, start_run, train, workers_on
from forearm.training.processes import make_accelerator, seed_of
from forearm.training.resume import extend
from forearm.training.run import Run, read_tensors, save_tensors
from forearm.training.schedule import Progress, learning_rate
from forearm.training.validation import SHARE, SPARED, affordable, final_rows, validate, validation_rows
from forearm.transitions import TrainingSteps, TransitionSet, batches

SMALL = {"width": 16, "depth": 1, "heads": 2, "decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2}
OLD = {"state_embedding": False, "synthetic_stay": 0.0, "brightness_jitter": 0.0}
"""What settings that leave them out stand for."""
CONFIG = TrainConfig(steps=24, batch_size=8, learning_rate=5e-3, warmup=4, ema=0.8, evaluate_every=8, seed=3)
TIMINGS = ("samples_per_s", "feeding_share", "seconds")


def start(path: Path, data: TransitionSet, fine_tune: Run | None = None, **changes) -> Run:
    return start_run(path, "mae", SMALL, dataclasses.replace(CONFIG, **changes), data, fine_tune)


def trained(path: Path, data: TransitionSet, **changes) -> Run:
    run = start(path, data, **changes)
    train(run, data, device="cpu")
    return run


def weights(run: Run, checkpoint="last") -> bytes:
    return run.weights_file(checkpoint).read_bytes()


def log_without_timings(run: Run) -> list[dict]:
    return [{name: value for name, value in entry.items() if name not in TIMINGS} for entry in run.log()]


def assert_same(run: Run, other: Run) -> None:
    """The very same weights, best and last, and the same log but for the timings."""
    for checkpoint in ("best", "last"):
        assert weights(run, checkpoint) == weights(other, checkpoint)
    assert log_without_timings(run) == log_without_timings(other)
    assert sorted(p.name for p in (run.path / "samples").iterdir()) == sorted(
        p.name for p in (other.path / "samples").iterdir()
    )


def mean_loss(run: Run, checkpoint, data: TransitionSet) -> float:
    model, rows = run.load(checkpoint), data.rows("picking")
    with torch.no_grad():
        return float(model.validation_loss(data.with_layout(run.layout(), "a test").batch(rows))["loss"])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data") / "data")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, data):
    return trained(tmp_path_factory.mktemp("runs") / "unbroken", data)


# What a run leaves


def test_the_loss_falls(tmp_path, data):
    run = trained(tmp_path / "run", data, steps=300, evaluate_every=150, ema=0.98)
    losses = [entry["val_loss"] for entry in run.log() if "val_loss" in entry]
    assert losses[-1] < 0.6 * losses[0], "better than the copy it began as"


def test_the_folder_is_whole(unbroken, data):
    assert sorted(p.name for p in unbroken.path.iterdir()) == [
        "best.safetensors",
        "config.json",
        "last.safetensors",
        "layout.json",
        "log.jsonl",
        "machine.json",
        "resume.safetensors",
        "samples",
        "validation.json",
    ]
    config = unbroken.config()
    assert config["family"] == "mae"
    assert config["model"] == SMALL
    assert TrainConfig(**config["training"]) == CONFIG
    assert config["data"]["train"] == 36
    assert config["data"]["val"] == 12
    assert unbroken.layout() == data.layout
    assert unbroken.name == "unbroken"
    assert not unbroken.load().training


def test_the_log_says_what_happened(unbroken, data):
    entries = unbroken.log()
    steps = [entry for entry in entries if "loss" in entry]
    evaluations = [entry for entry in entries if "val_loss" in entry]
    assert [entry["step"] for entry in steps] == [1, 10, 20]
    assert [entry["step"] for entry in evaluations] == [0, 8, 16, 24]
    assert {*steps[0]} == {
        *("step", "loss", "visual", "strip", "learning_rate", "gradient_norm", *TIMINGS[:2], "steps")
    }
    assert {*evaluations[0]} == {"step", "val_loss", "val_visual", "val_strip", "best", "seconds", "steps"}
    for entry in steps:
        assert entry["learning_rate"] == learning_rate(
            CONFIG, Progress(step=entry["step"] - 1, done=(entry["step"] - 1) / 24)
        )
        assert entry["samples_per_s"] > 0
        assert 0 < entry["feeding_share"] < 1
        assert entry["steps"] == 24
    # The first step by hand: the same weights at the same seed, the same rows, the norm of the whole gradient.
    torch.manual_seed(CONFIG.seed)
    model = make_model("mae", data.layout, SMALL)
    first = TrainingSteps(data, data.rows("train"), 8, CONFIG.seed)[0][0]
    loss = model.training_loss(first)["loss"]
    loss.backward()
    norm = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm()
    assert steps[0]["loss"] == pytest.approx(loss.item(), rel=1e-6)
    assert steps[0]["gradient_norm"] == pytest.approx(float(norm), rel=1e-5)


def test_the_checkpoints_are_the_averages_that_were_validated(tmp_path, data):
    unsteady = {"schedule": "plateau", "learning_rate": 0.02, "ema": 0.0}
    run = trained(tmp_path / "run", data, steps=28, evaluate_every=4, **unsteady)
    evaluations = [entry for entry in run.log() if "val_loss" in entry]
    best = min(evaluations, key=lambda entry: entry["val_loss"])
    assert 0 < best["step"] < 28, "or nothing is tested"
    assert [entry["step"] for entry in evaluations if entry["best"]][-1] == best["step"]
    assert mean_loss(run, "best", data) == pytest.approx(best["val_loss"], rel=1e-5)
    assert mean_loss(run, "last", data) == pytest.approx(evaluations[-1]["val_loss"], rel=1e-5)


def test_the_untrained_model_has_the_weights_that_training_began_with(tmp_path, unbroken, data):
    run = start(tmp_path / "run", data, evaluate_every=100)

    def crash(entry):
        if entry["step"] == 1:
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        train(run, data, device="cpu", report=crash)
    first = safetensors.torch.load_file(run.weights_file("last"))  # of the evaluation before the first step
    torch.rand(1)
    state = torch.get_rng_state()
    assert_equal(unbroken.untrained().state_dict(), first)
    assert torch.equal(torch.get_rng_state(), state), "nobody else's random numbers change"
    tuned = start(tmp_path / "tuned", data, unbroken)
    assert_equal(tuned.untrained().state_dict(), first)


def assert_equal(state, other):
    assert state.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in state.items())


def test_sample_pictures_are_written_with_each_evaluation(unbroken):
    files = sorted((unbroken.path / "samples").iterdir())
    assert [file.name for file in files] == [f"step_{step:06d}.png" for step in (0, 8, 16, 24)]
    first, *_, last = (np.asarray(Image.open(file)) for file in files)
    assert first.shape == last.shape
    assert not np.array_equal(first, last)


def test_training_needs_no_luck(tmp_path, unbroken, data):
    assert_same(trained(tmp_path / "again", data), unbroken)
    assert weights(trained(tmp_path / "other", data, seed=4)) != weights(unbroken)


# Stopped and resumed


@pytest.mark.parametrize(("step", "kind"), [(10, "loss"), (16, "val_loss"), (0, "val_loss")])
def test_a_crash_costs_nothing_but_time(tmp_path, unbroken, data, step, kind):
    run = start(tmp_path / "run", data)

    def crash(entry):
        if entry["step"] == step and kind in entry:
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        train(run, data, device="cpu", report=crash)
    if step == 0:
        with pytest.raises(ForearmError, match="nothing to resume from"):
            train(run, data, device="cpu", resume=True)
    train(run, data, device="cpu", resume=step > 0)
    assert_same(run, unbroken)


def test_a_training_that_torchrun_starts_anew_goes_on(tmp_path, unbroken, data, monkeypatch):
    def crash(entry):
        if entry["step"] == 10:
            raise RuntimeError("crash")

    def train_it(report):
        watching = lambda name: contextlib.nullcontext(report)  # noqa: E731
        kinds = {"family": "mae", "size": "tiny", "model": SMALL | OLD, "config": CONFIG, "device": "cpu"}
        return train_run(data, tmp_path / "run", watching=watching, **kinds)

    with pytest.raises(RuntimeError, match="crash"):
        train_it(crash)
    with pytest.raises(ForearmError, match="exists"):
        train_it(print)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    steps = []
    run = train_it(lambda entry: steps.append(entry["step"]))
    assert steps[0] > 8, "from the last checkpoint on"
    assert_same(run, unbroken)


def test_weights_of_transitions_stay_with_the_run(tmp_path, data):
    file, changes = tmp_path / "weights.txt", {"steps": 8, "evaluate_every": 4}
    file.write_text("1\n" + "0\n" * (len(data.episodes) - 1))
    config = dataclasses.replace(CONFIG, **changes)
    whole, broken = (start_run(tmp_path / n, "mae", SMALL, config, data, weights=file) for n in ("whole", "broken"))
    file.unlink()
    train(whole, data, device="cpu")

    def crash(entry):
        if entry["step"] == 6:
            raise RuntimeError("crash")

    seen, rows_of = [], TrainingSteps.rows_of

    class Watched(TrainingSteps):
        def rows_of(self, step):
            seen.extend(rows_of(self, step).tolist())
            return rows_of(self, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "TrainingSteps", Watched)
        patch.setattr(loop, "LOG_EVERY", 6)
        with pytest.raises(RuntimeError, match="crash"):
            train(broken, data, device="cpu", report=crash)
        train(broken, data, device="cpu", resume=True)
    assert set(data.columns.episodes[seen]) == {0}, "the only episode whose weight is above 0"
    assert weights(broken) == weights(whole)
    other = write_data(tmp_path / "other", episodes=3)
    with pytest.raises(ForearmError, match=r"drawing_weights\.npy is of 48 transitions, but .*other has 18"):
        train(whole, other, device="cpu", resume=True)
    file.write_text("0")
    with pytest.raises(ForearmError, match="has 1 numbers"):
        start_run(tmp_path / "run", "mae", SMALL, config, data, weights=file)
    assert not (tmp_path / "run").exists()


def process(run: Run, data: TransitionSet, *options: str, **environment: str) -> subprocess.Popen:
    script = Path(__file__).parents[1] / "support" / "train_a_run.py"
    return subprocess.Popen(
        [sys.executable, str(script), str(run.path), str(data.path), *options],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(("name", "workers"), [("SIGKILL", 0), ("SIGINT", 1)])
def test_a_killed_process_costs_nothing_but_time(tmp_path, unbroken, data, name, workers):
    run = start(tmp_path / "run", data, workers=workers)
    told = process(run, data, "--signal", name, "10")
    _, stderr = told.communicate(timeout=PATIENCE)
    if name == "SIGINT":
        assert stderr.strip().endswith("KeyboardInterrupt"), stderr
        assert json.loads(read_progress(run))["step"] == 10, "it stopped after the step that it was in"
    else:
        assert told.returncode == -signal.SIGKILL
        assert json.loads(read_progress(run))["step"] == 8
    assert not run.log()[-1]["step"] > 10
    train(run, data, device="cpu", resume=True)
    assert_same(run, unbroken)
    assert not list(run.path.rglob("*.partial"))


def read_progress(run: Run) -> str:
    with safetensors.safe_open(run.resume_file, "pt") as file:
        return file.metadata()["progress"]


def test_an_interrupt_in_this_process_is_held_back_until_the_step_is_done(tmp_path, data):
    run = start(tmp_path / "run", data)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(run, data, device="cpu", report=lambda entry: "loss" in entry and os.kill(os.getpid(), signal.SIGINT))
    assert json.loads(read_progress(run))["step"] == 1
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_finished_run_resumes_to_itself(tmp_path, unbroken, data):
    run = Run(shutil.copytree(unbroken.path, tmp_path / "copy"))
    assert train(run, data, device="cpu", resume=True).step == 24
    assert_same(run, unbroken)


def test_a_half_written_log_line_is_forgotten(unbroken, tmp_path):
    run = Run(shutil.copytree(unbroken.path, tmp_path / "copy"))
    with run.log_file.open("a") as file:
        file.write('{"step": 25, "lo')
    assert run.log() == unbroken.log()


# Stopping, precision, workers


def test_training_stops_early(tmp_path, data):
    run = start(tmp_path / "run", data, patience=2, evaluate_every=2, learning_rate=0.5, warmup=0, ema=0.0, steps=200)
    progress = train(run, data, device="cpu")
    assert progress.step < 200
    assert progress.stale == 2
    assert [entry["best"] for entry in run.log() if "best" in entry][-2:] == [False, False]
    assert run.log()[-1]["step"] == progress.step


def test_plateau_halves_the_rate(tmp_path, data):
    changes = {"schedule": "plateau", "plateau_patience": 1, "learning_rate": 0.5, "warmup": 0, "ema": 0.0}
    run = trained(tmp_path / "run", data, evaluate_every=2, **changes)
    rates = [entry["learning_rate"] for entry in run.log() if "learning_rate" in entry]
    assert rates[0] == 0.5
    assert rates[-1] < 0.5
    assert {np.log2(0.5 / rate) % 1 for rate in rates} == {0}


def test_minutes_end_a_training(tmp_path, data, monkeypatch):
    reads = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: next(reads) / 80)  # on a busy machine the true one says anything
    monkeypatch.setattr("forearm.training.loop.time", clock)
    run = start(tmp_path / "run", data, minutes=0.02, steps=3, evaluate_every=5)
    progress = train(run, data, device="cpu")
    assert progress.step > 3
    assert 1.2 <= progress.seconds < 1.5
    trained = [entry for entry in run.log() if "learning_rate" in entry]
    assert trained[-1]["learning_rate"] < trained[1]["learning_rate"], "the rate falls with the time that is left"
    assert all(entry["steps"] >= entry["step"] for entry in trained), "the steps to come are estimated"
    assert run.log()[-1]["steps"] == progress.step, "in the end the training took as many as it took"


def test_minutes_may_be_the_processors_and_not_the_clocks(tmp_path, data):
    def sleepy(entry):
        time.sleep(0.3)

    began = time.process_time()
    run = start(tmp_path / "run", data, minutes=0.01, clock="cpu", steps=3)
    progress = train(run, data, device="cpu", report=sleepy)
    assert 0.6 <= progress.seconds <= time.process_time() - began, "what was slept is not counted"


def test_bf16_trains_and_the_next_training_may_have_another_precision(tmp_path, unbroken, data):
    half = trained(tmp_path / "bf16", data, precision="bf16")
    assert half.log()[-1]["val_loss"] == pytest.approx(unbroken.log()[-1]["val_loss"], rel=0.2)
    assert weights(half) != weights(unbroken)
    assert {value.dtype for value in safetensors.torch.load_file(half.weights_file("best")).values()} == {torch.float32}
    assert_same(trained(tmp_path / "fp32", data), unbroken)


def test_a_drawing_process_draws_the_same(tmp_path, unbroken, data):
    assert_same(trained(tmp_path / "run", data, workers=1), unbroken)


def test_what_a_device_draws_itself_is_the_same(data):
    drawn, raw = (TrainingSteps(data, data.rows("train"), 4, 0, drawn=drawn) for drawn in (True, False))
    for step, (batch,) in zip((3, 4), feed(raw, 3, 0, torch.device("cpu")), strict=False):
        assert torch.equal(batch.draw().canvas, drawn[step][0].canvas)


def test_steps_are_recorded_on_one_gpu():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert is_recorded(gpu, 1, CONFIG)
    assert not is_recorded(cpu, 1, CONFIG)
    assert not is_recorded(gpu, 2, CONFIG)
    for changes in ({"cuda_graphs": False}, {"compile": True}, {"checkpoint_activations": True}):
        assert not is_recorded(gpu, 1, dataclasses.replace(CONFIG, **changes))


def test_workers_are_started_where_there_is_a_gpu():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert workers_on(cpu, CONFIG) == 0
    assert 1 <= workers_on(gpu, CONFIG) <= MOST_WORKERS
    asked = dataclasses.replace(CONFIG, workers=3)
    assert workers_on(cpu, asked) == workers_on(gpu, asked) == 3


def test_drawing_processes_live_through_an_interrupt(tmp_path, unbroken, data):
    """Ctrl-C reaches them too; were they to end, the step that training is in could not be finished."""
    run = start(tmp_path / "run", data, workers=1)

    def interrupt_the_others(entry):
        if entry["step"] == 1:
            (worker,) = multiprocessing.active_children()
            os.kill(worker.pid, signal.SIGINT)

    train(run, data, device="cpu", report=interrupt_the_others)
    assert_same(run, unbroken)


def test_the_last_step_is_evaluated_too(tmp_path, data):
    run = trained(tmp_path / "run", data, steps=5, evaluate_every=4)
    assert [entry["step"] for entry in run.log() if "val_loss" in entry] == [0, 4, 5]
    assert json.loads(read_progress(run))["step"] == 5


# Several processes


def test_two_processes_train_as_one(tmp_path, data):
    """The one validation row makes one process go without; the gradients' mean is that of the whole batch."""
    few = write_data(tmp_path / "data", episodes=9, length=1, val=1)
    changes = {"steps": 4, "evaluate_every": 2, "warmup": 0}
    single, double = (start(tmp_path / name, few, **changes) for name in ("single", "double"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
    seeds = [tmp_path / f"seeds-{rank}.json" for rank in range(2)]
    both = [
        process(double, few, "--seeds", str(seeds[rank]), RANK=str(rank), LOCAL_RANK=str(rank), **shared)
        for rank in range(2)
    ]
    train(single, few, device="cpu")
    for one in both:
        _, stderr = one.communicate(timeout=PATIENCE)
        assert one.returncode == 0, stderr
    # Beyond the first weights, which are the same, no process draws what the other draws.
    drawn = [{seed % 2**32 for seed in json.loads(path.read_text())} - {CONFIG.seed} for path in seeds]
    assert len(drawn[1]) >= 4
    assert drawn[0].isdisjoint(drawn[1])
    logs = [log_without_timings(run) for run in (single, double)]
    assert len(logs[0]) == len(logs[1]) == 4
    for alone, together in zip(*logs, strict=True):
        assert together == pytest.approx(alone, rel=1e-5, abs=1e-6)
    for name, value in safetensors.torch.load_file(single.weights_file("last")).items():
        torch.testing.assert_close(
            safetensors.torch.load_file(double.weights_file("last"))[name], value, rtol=1e-3, atol=1e-5
        )


def test_validation_is_shared_out(data):
    model = make_model("mae", data.layout, SMALL).eval()
    rows = data.rows("val")[:11]

    def losses(index, count):
        alone = SimpleNamespace(
            process_index=index, num_processes=count, autocast=contextlib.nullcontext, device=torch.device("cpu")
        )
        return validate(model, data, rows, 4, alone)

    whole, parts = losses(0, 1), [losses(i, 3) for i in range(3)]
    with torch.no_grad():
        expected = torch.cat(
            [model.validation_loss(batch)["loss"].reshape(1) for batch in batches(data, rows, 1)]
        ).mean()
    assert whole["loss"] == pytest.approx(float(expected), rel=1e-5)
    for name, value in whole.items():
        assert sum(part[name] for part in parts) == pytest.approx(value, rel=1e-6)


def test_validation_is_on_so_many_rows_of_the_picking_half_equally_from_its_episodes(tmp_path, data, monkeypatch):
    many = write_data(tmp_path / "data", episodes=8, val=5, length=4)
    seen = []

    def note(model, data, rows, *others):
        seen.append(rows.tolist())
        return {"loss": 1.0}

    monkeypatch.setattr(loop, "validate", note)
    trained(tmp_path / "all", many, steps=2, evaluate_every=1)
    assert seen == [many.rows("picking").tolist()] * 3
    assert 0 < len(seen[0]) < len(many.rows("val"))
    monkeypatch.setattr(validation, "LEAST_VALIDATED", 6)
    seen.clear()
    few = trained(tmp_path / "few", many, steps=1)
    trained(tmp_path / "other-seed", many, steps=1, seed=9)
    assert len(seen[0]) == 6
    assert all(rows == seen[0] for rows in seen), "drawn once, whatever the seed of the training"
    assert set(seen[0]) < set(many.rows("picking").tolist())
    assert np.unique(many.groups[seen[0]], return_counts=True)[1].tolist() == [3, 3]
    monkeypatch.setattr(validation, "LEAST_VALIDATED", 4)
    assert validation_rows(few, many, CONFIG, keep=False).tolist() == seen[0], "the run keeps them"
    often = dataclasses.replace(CONFIG, evaluate_every=1)
    assert len(validation_rows(few, data, often, keep=False)) == 4, "of another dataset they are drawn anew"


def test_the_best_weights_are_validated_on_the_whole_set_in_the_end(tmp_path, monkeypatch):
    many = write_data(tmp_path / "data", episodes=8, val=5, length=4)
    monkeypatch.setattr(validation, "LEAST_VALIDATED", 2)
    run = trained(tmp_path / "run", many, steps=20, evaluate_every=5)
    evaluations = [entry for entry in run.log() if "val_loss" in entry]
    assert ["whole_val_loss" in entry for entry in evaluations] == [False, False, False, False, True]
    assert evaluations[-1]["whole_val_loss"] == pytest.approx(mean_loss(run, "best", many), rel=1e-5)
    rows = validation_rows(run, many, CONFIG, keep=False)
    assert final_rows(many, rows, 100).tolist() != rows.tolist()
    assert len(rows) == 4
    assert len(final_rows(many, rows, 100)) == 5
    assert sorted(final_rows(many, rows, 10**6)) == many.rows("picking").tolist()


def test_evaluations_keep_within_their_share_of_the_time():
    progress, done = Progress(evaluation_seconds=4.0), []
    for step in range(2000):
        progress.seconds += 1.0
        if affordable(progress.evaluations, progress.evaluation_seconds, progress):
            done.append(step)
            progress.seconds += 4.0
            progress.evaluations += 1
    assert done[:7] == [*range(7)], "small trainings are evaluated as often as they say"
    assert SHARE * progress.seconds < 4.0 * len(done) <= SHARE * progress.seconds + SPARED


def test_evaluations_are_left_out_where_they_take_too_long_but_checkpoints_are_written(tmp_path, data, monkeypatch):
    monkeypatch.setattr(validation, "SPARED", 0.0)
    run = start(tmp_path / "run", data)
    slow = lambda *_: time.sleep(1) or {"loss": 1.0}  # noqa: E731
    monkeypatch.setattr(loop, "validate", slow)
    saved = []
    monkeypatch.setattr(loop, "save_state", lambda *parts: saved.append(parts[-1].step))
    train(run, data, device="cpu")
    assert [entry["step"] for entry in run.log() if "val_loss" in entry] == [0, 24]
    assert saved == [0, 8, 16, 24]


def test_no_two_processes_or_steps_draw_the_same():
    low = {seed_of(3, step, process) % 2**32 for step in range(100) for process in range(16)}
    assert len(low) == 1600, "PyTorch's generator on the CPU takes the lowest 32 bits alone"
    assert seed_of(3, 7, 0) == 3 * 1_000_003 + 7, "of a single process it is what it was"


# Fine-tuning


def test_fine_tuning_starts_from_the_parent(tmp_path, unbroken, data):
    states = np.load(data.path / "states.npy")
    moved_path = shutil.copytree(data.path, tmp_path / "moved")
    np.save(moved_path / "states.npy", states + 3)
    rewritten = json.loads((moved_path / "layout.json").read_text())
    for joint in rewritten["joints"]:
        joint["low"], joint["high"] = joint["low"] + 3, joint["high"] + 3
    (moved_path / "layout.json").write_text(json.dumps(rewritten))
    moved = TransitionSet(moved_path)
    parent = Run(shutil.copytree(unbroken.path, tmp_path / "parent"))

    run = start_run(tmp_path / "tuned", "ignored", {"also": "ignored"}, CONFIG, moved, parent)
    assert run.layout() == unbroken.layout() != moved.layout
    assert run.config()["model"] == SMALL

    def crash(entry):
        if entry["step"] == 10:
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        train(run, moved, device="cpu", report=crash)
    assert run.log()[0]["val_loss"] == pytest.approx(mean_loss(parent, "best", moved), rel=1e-5)
    shutil.rmtree(parent.path)  # its weights were needed at the start only
    assert train(run, moved, device="cpu", resume=True).step == 24


def test_fine_tuning_on_unlike_data_is_refused(tmp_path, unbroken):
    other = write_data(tmp_path / "data", make_layout(history=3))
    with pytest.raises(ForearmError, match="history 3, but run unbroken has 2"):
        start(tmp_path / "run", other, fine_tune=unbroken)
    assert not (tmp_path / "run").exists()


def test_a_run_whose_weights_cannot_be_opened_is_not_started_from(tmp_path, unbroken, data):
    broken = Run(shutil.copytree(unbroken.path, tmp_path / "broken"))
    broken.weights_file("best").write_bytes(b"damaged")
    with pytest.raises(ForearmError, match=r"best\.safetensors is damaged"):
        train_run(data, tmp_path / "run", config=CONFIG, fine_tune=broken.path, device="cpu")
    assert not (tmp_path / "run").exists()


def test_weights_that_memory_cannot_hold_are_refused_in_one_line(tmp_path, data, monkeypatch):
    run = trained(tmp_path / "run", data, steps=1)

    def too_large(path: Path, framework: str) -> None:
        raise MemoryError

    monkeypatch.setattr("safetensors.safe_open", too_large)
    with pytest.raises(ForearmError, match=r"best\.safetensors is 0\.0 GB, more than memory holds"):
        run.load("best")


# Less memory


def test_a_batch_in_parts_trains_as_the_whole(tmp_path, unbroken, data):
    parts = trained(tmp_path / "parts", data, accumulate=4)
    for one, other in zip(log_without_timings(parts), log_without_timings(unbroken), strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)
    odd = dataclasses.replace(CONFIG, accumulate=3)
    with pytest.raises(ForearmError, match="batch_size 8 is not divisible by 1 processes × 3"):
        train_run(data, tmp_path / "odd", family="mae", model=SMALL, config=odd, device="cpu")
    assert not (tmp_path / "odd").exists()
    with pytest.raises(ForearmError, match="batch_size 8 is not divisible by 1 processes × 3"):
        trained(tmp_path / "resumed", data, accumulate=3)  # such as one that goes on with other processes


def test_activations_that_are_computed_anew_change_nothing(tmp_path, unbroken, data):
    assert_same(trained(tmp_path / "run", data, checkpoint_activations=True), unbroken)


# What cannot be


def test_what_cannot_be_compiled_is_refused_before_anything_is_written(tmp_path, data, monkeypatch):
    def absent(work):
        raise RuntimeError("no compiler\nat all")

    compiled = dataclasses.replace(CONFIG, compile=True)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "compile", absent)
        with pytest.raises(ForearmError, match=r"--compile does not work on this machine: no compiler; leave it out$"):
            train_run(data, tmp_path / "run", family="mae", model=SMALL, config=compiled, device="cpu")
    monkeypatch.setattr("forearm.training.blocks.Block", ResidualBlock)  # so that mae has none
    for changes in ({"compile": True}, {"checkpoint_activations": True}):
        with pytest.raises(ForearmError, match="no blocks for --compile or --checkpoint-activations"):
            start(tmp_path / "run", data, **changes)
    assert not (tmp_path / "run").exists()


def test_a_gradient_that_is_no_number_is_remembered_until_it_is_asked_for():
    diverged = Divergence(torch.device("cpu"))
    diverged.note(torch.tensor(2.0), 6)
    diverged.check()
    for step, norm in ((7, torch.inf), (8, 1.0), (9, torch.nan)):
        diverged.note(torch.tensor(norm), step)
    with pytest.raises(ForearmError, match="no number any more at step 7"):
        diverged.check()


def one_line(failure) -> str:
    assert "\n" not in str(failure.value)
    return str(failure.value)


def test_a_loss_that_is_no_number_ends_in_one_line(tmp_path, data):
    run = start(tmp_path / "run", data, learning_rate=1e30, warmup=0)
    with pytest.raises(ForearmError, match="no number any more at step 1; lower --learning-rate") as failure:
        train(run, data, device="cpu")
    one_line(failure)


def test_a_validation_loss_that_is_no_number_names_the_reading(tmp_path, monkeypatch):
    """A training without best weights is no success."""
    data = write_data(tmp_path / "data")
    model = type(make_model("mae", data.layout, SMALL))
    monkeypatch.setattr(model, "validation_loss", lambda self, batch: {"loss": batch.positions.sum() * torch.nan})
    with pytest.raises(ForearmError, match=r"validation loss is no number; lower --learning-rate") as failure:
        trained(tmp_path / "diverged", data)
    one_line(failure)
    row = data.rows("val")[3]
    states = np.load(data.path / "states.npy")
    states[data.columns.frames[row, -1], 1] = 1e6
    np.save(data.path / "states.npy", states)
    said = rf"lift reads 1e\+06 in transition {row}, of episode {data.columns.episodes[row]} of .*, where training has"
    with pytest.raises(ForearmError, match=said) as failure:
        trained(tmp_path / "run", TransitionSet(data.path))
    one_line(failure)


def test_runs_are_not_overwritten_or_half_made(tmp_path_factory, unbroken, data, monkeypatch):
    tmp_path, elsewhere = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("data")
    one_sided = {val: write_data(elsewhere / str(val), val=val) for val in (0, 8)}
    with pytest.raises(ForearmError, match="already exists"):
        start(unbroken.path, data)
    with pytest.raises(ForearmError, match="breadth"):
        start_run(tmp_path / "run", "mae", {"breadth": 3}, CONFIG, data)
    for val, says in ((0, "to val on"), (8, "to train on")):
        with pytest.raises(ForearmError, match=says):
            start(tmp_path / "run", one_sided[val])
    monkeypatch.setattr(Run, "config_file", property(lambda run: run.path / "layout.json" / "in the way"))
    with pytest.raises(ForearmError, match="cannot be written"):
        start(tmp_path / "run", data)
    assert list(tmp_path.iterdir()) == []


def test_data_that_does_not_fit_the_run_is_refused(tmp_path, unbroken):
    other = write_data(tmp_path / "data", make_layout(actions=(ActionDimension("lift", "lift"),)))
    with pytest.raises(ForearmError, match=r"actions.*run unbroken"):
        train(unbroken, other, device="cpu", resume=True)


DAMAGE = {
    "corrupted": (lambda path: path.write_bytes(path.read_bytes()[:-200]), "is damaged"),
    "no safetensors": (lambda path: path.write_bytes(b"weights"), "is damaged"),
    "missing": (lambda path: path.unlink(), "is missing"),
    "of another model": (
        lambda path: safetensors.torch.save_file({"a": torch.zeros(1)}, path),
        "another|no checkpoint",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", ["best", "resume"])
def test_damaged_weights_are_one_line(tmp_path, unbroken, data, damage, file):
    run = Run(shutil.copytree(unbroken.path, tmp_path / "run"))
    path = run.path / f"{file}.safetensors"
    hurt, says = DAMAGE[damage]
    hurt(path)
    with pytest.raises(ForearmError, match=says) as failure:
        run.load("best") if file == "best" else train(run, data, device="cpu", resume=True)
    assert str(path) in one_line(failure)


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("part", ["model.", "average.", "optimizer.", "optimizer.exp_avg_sq.", "optimizer.step."])
def test_a_resume_file_without_one_of_its_parts_is_refused(tmp_path, unbroken, data, part, counted):
    run = Run(shutil.copytree(unbroken.path, tmp_path / "run"))
    tensors, metadata = read_tensors(run.resume_file)
    kept = {name: value for name, value in tensors.items() if not name.startswith(part)}
    assert len(kept) < len(tensors)
    if not counted:
        del metadata["tensors"]  # as before 2026-11-26
    save_tensors(run.resume_file, kept, metadata)
    before = weights(run)
    with pytest.raises(ForearmError, match=r"tensors|moments|do not fit") as failure:
        train(run, data, device="cpu", resume=True)
    assert str(run.resume_file) in one_line(failure)
    assert weights(run) == before


@pytest.mark.parametrize("file", ["layout", "config"])
def test_a_resume_file_of_another_training_is_refused(tmp_path, unbroken, data, file):
    run = Run(shutil.copytree(unbroken.path, tmp_path / "run"))
    path = run.path / f"{file}.json"
    told = json.loads(path.read_text())
    if file == "layout":
        told["joints"][0]["max_velocity"] *= 2
    else:
        told["model"]["synthetic_stay"] = 0.25
    path.write_text(json.dumps(told))
    before = files_of(run.path)
    for go_on in (lambda: train(run, data, device="cpu", resume=True), lambda: extend(run, 30, None)):
        with pytest.raises(ForearmError, match=rf"was trained with another {file}\.json") as failure:
            go_on()
        assert str(run.resume_file) in one_line(failure)
    assert files_of(run.path) == before
    if file == "config":
        tensors, metadata = read_tensors(run.resume_file)
        del metadata["settings"]  # as before 2026-11-26
        save_tensors(run.resume_file, tensors, metadata)
        train(run, data, device="cpu", resume=True)


def test_a_resume_file_whose_best_weights_are_gone_is_refused(tmp_path, unbroken, data):
    run = Run(shutil.copytree(unbroken.path, tmp_path / "run"))
    run.weights_file("best").unlink()
    with pytest.raises(ForearmError, match=r"best\.safetensors is missing, which step"):
        train(run, data, device="cpu", resume=True)
    tensors, metadata = read_tensors(run.weights_file("last"))
    broken = {name: torch.full_like(tensor, torch.nan) for name, tensor in tensors.items()}
    for damage in (
        lambda best: best.write_bytes(b"damaged"),
        lambda best: save_tensors(best, broken, metadata),
        lambda best: save_tensors(best, tensors, {**metadata, "layout": "another"}),
    ):
        damage(run.weights_file("best"))
        before = files_of(run.path)
        for go_on in (lambda: train(run, data, device="cpu", resume=True), lambda: extend(run, 30, None)):
            with pytest.raises(ForearmError, match=r"best\.safetensors"):
                go_on()
        assert files_of(run.path) == before


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path, unbroken, data):
    run = Run(shutil.copytree(unbroken.path, tmp_path / "run"))
    before = files_of(run.path)
    with locked(run.path):
        for second in (lambda: train(run, data, device="cpu", resume=True), lambda: extend(run, 30, None)):
            with pytest.raises(ForearmError, match=r"run is being written by process \d+ ") as failure:
                second()
            one_line(failure)
    assert files_of(run.path) == before
    train(run, data, device="cpu", resume=True)


@pytest.mark.parametrize("file", ["best", "resume"])
def test_weights_of_another_layout_are_one_line(tmp_path, unbroken, data, file):
    run = Run(shutil.copytree(unbroken.path, tmp_path / "run"))
    longer = write_data(tmp_path / "data", make_layout(history=3))
    run.layout_file.write_text(json.dumps(longer.layout.to_json()))
    with pytest.raises(
        ForearmError, match=r"another model or layout: weights .*position_embedding do not fit"
    ) as failure:
        run.load("best") if file == "best" else train(run, longer, device="cpu", resume=True)
    one_line(failure)


def test_weights_of_other_bounds_are_one_line(tmp_path, unbroken):
    run = Run(shutil.copytree(unbroken.path, tmp_path / "run"))
    layout = run.layout()
    wider = layout.with_bounds(layout.lows, layout.highs + 1, layout.max_velocities)
    run.layout_file.write_text(json.dumps(wider.to_json()))
    for checkpoint in ("best", "last"):
        with pytest.raises(ForearmError, match=r"was trained with another layout\.json; restore the one") as failure:
            run.load(checkpoint)
        one_line(failure)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", None),
        ("config.json", "{"),
        ("config.json", "{}"),
        ("config.json", '{"family": "mae", "model": {"breadth": 1}}'),
        ("config.json", '{"family": "gan", "model": {}}'),
        ("layout.json", None),
        ("layout.json", "{}"),
    ],
)
def test_damaged_settings_are_one_line(tmp_path, unbroken, file, content):
    path = Path(shutil.copytree(unbroken.path, tmp_path / "run")) / file
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(ForearmError) as failure:
        Run.open(tmp_path / "run").load()
    one_line(failure)


def test_settings_of_another_version_are_one_line(tmp_path, unbroken, data):
    run = Run(shutil.copytree(unbroken.path, tmp_path / "run"))
    config = run.config()
    config["training"]["momentum"] = 0.9
    run.config_file.write_text(json.dumps(config))
    with pytest.raises(ForearmError, match="momentum") as failure:
        train(run, data, device="cpu", resume=True)
    one_line(failure)


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path, unbroken, data, monkeypatch):
    run = start(tmp_path / "run", data)
    save, kept = safetensors.torch.save_file, []

    def fill_up(tensors, path, metadata=None):
        if len(kept) > 4:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        kept.append(path)
        save(tensors, path, metadata)

    monkeypatch.setattr(safetensors.torch, "save_file", fill_up)
    with pytest.raises(ForearmError, match="No space left on device") as failure:
        train(run, data, device="cpu")
    assert str(run.path) in one_line(failure)
    assert not list(run.path.rglob("*.partial"))
    monkeypatch.undo()
    train(run, data, device="cpu", resume=True)
    assert_same(run, unbroken)


def test_a_device_that_is_not_there_is_one_line(tmp_path, data):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA GPU here")
    run = start(tmp_path / "run", data)
    with pytest.raises(ForearmError, match="no device cuda here"):
        train(run, data, device="cuda")


def test_trackers_are_told(tmp_path, data):
    pytest.importorskip("tensorboard")
    run = start(tmp_path / "run", data, steps=2)
    train(run, data, device="cpu", trackers=("tensorboard",))
    (events,) = run.path.rglob("events.out.tfevents*.0")
    assert all(name in events.read_bytes() for name in (b"train/loss", b"validation/loss", b"validation/samples"))


def test_trackers_are_given_groups_and_pictures(tmp_path, data, monkeypatch):
    class Tracker(GeneralTracker):
        name, requires_logging_directory, tracker = "own", False, None

        def __init__(self):
            super().__init__()
            self.told, self.pictures = {}, []

        def store_init_configuration(self, values):
            pass

        def log(self, values, step, **kwargs):
            self.told |= values

        def log_images(self, values, step):
            self.pictures += [(step, picture) for picture in values["validation/samples"]]

    def tracked(*args):
        accelerator = make_accelerator(*args)
        accelerator.trackers = [own]
        return accelerator

    own, run = Tracker(), start(tmp_path / "run", data, steps=2)
    monkeypatch.setattr(loop, "make_accelerator", tracked)
    train(run, data, device="cpu")
    assert {"train/loss", "train/learning_rate", "validation/loss", "validation/best"} <= own.told.keys()
    assert [step for step, _ in own.pictures] == [0, 2]
    with Image.open(run.path / "samples/step_000002.png") as picture:
        assert np.array_equal(np.asarray(picture), own.pictures[-1][1])


# A later end


def test_an_extended_training_learns_at_the_rate_of_one_that_was_to_end_there(tmp_path, data):
    run = trained(tmp_path / "run", data, steps=20, evaluate_every=10, schedule="cosine")
    extend(run, 40, None)
    train(run, data, device="cpu", resume=True)
    config = dataclasses.replace(CONFIG, steps=40)
    assert run.training().steps == 40
    for entry in run.log():
        if entry["step"] > 20 and "loss" in entry:
            before = entry["step"] - 1
            assert entry["learning_rate"] == learning_rate(config, Progress(step=before, done=before / 40))
    assert [entry["step"] for entry in run.log() if "val_loss" in entry] == [0, 10, 20, 30, 40]


def test_a_training_that_ended_early_can_be_extended(tmp_path, data):
    run = trained(tmp_path / "run", data, steps=40, evaluate_every=2, patience=1, learning_rate=3.0, ema=0.0)
    ended = run.log()[-1]["step"]
    assert ended < 40
    extend(run, 50, None)
    train(run, data, device="cpu", resume=True)
    assert run.log()[-1]["step"] > ended


def test_an_end_that_has_passed_is_refused(tmp_path, data, unbroken):
    for steps, minutes in ((24, None), (None, 1e-9)):
        with pytest.raises(ForearmError, match="choose more"):
            extend(unbroken, steps, minutes)
    assert unbroken.training() == CONFIG


def test_auto_is_the_same_device_for_accelerate(tmp_path, data, monkeypatch):
    """On a Mac Accelerate would choose mps by itself."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: True)
    assert device_named("auto") == make_accelerator(CONFIG, "auto", (), tmp_path).device == torch.device("cpu")
    assert device_named("mps") == torch.device("mps")
    assert make_accelerator(CONFIG, "mps", (), tmp_path).device.type == "mps"
    monkeypatch.undo()
    assert make_accelerator(CONFIG, "cpu", (), tmp_path).device.type == "cpu"
