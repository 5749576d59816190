"""The commands as a user meets them: what they say, their exit codes, and what is left when they fail."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support.commands import SMALL, Outcome, end, error_of, files, forearm, start
from support.recordings import CAMERA, make_recording
from support.tiny import make_layout, write_data
from support.waiting import PATIENCE, wait_until

from forearm import cli
from forearm.canvas import Camera, Joint

needs_simulator = pytest.mark.skipif(find_spec("mujoco") is None, reason="needs the extra `sim`")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with a recording, the dataset `data`, and a run that was trained on it; only to be read."""
    project = tmp_path_factory.mktemp("project")
    make_recording(project / "recording")
    write_data(project / "data")
    assert train(project / "data", project / "run").code == 0
    return project


@pytest.fixture
def run(project, tmp_path) -> Path:
    """A copy of the project's run, to be spoilt."""
    return Path(shutil.copytree(project / "run", tmp_path / "run"))


def train(data: Path, out: Path, *options: object) -> Outcome:
    """Train the smallest model for a few steps."""
    return forearm("train", "mae", "--data", data, "--out", out, "--steps", 3, *SMALL, *CPU, *options)


CPU = ("--device", "cpu")


def refused(folder: Path, *args: object) -> str:
    """What a command says that has to be refused, and that must leave everything in a folder as it was."""
    before = files(folder)
    said = error_of(forearm(*args))
    assert files(folder) == before
    return said


# What a user gets wrong


@pytest.mark.parametrize("what", ["nothing", "text.txt", "."])
@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("build", "{}", "--out", "out"), "is no folder; give a LeRobot data set|is not a LeRobot data set"),
        (("inspect", "{}"), "is no folder; give a LeRobot data set|is not a LeRobot data set"),
        (("train", "mae", "--data", "{}", "--out", "out"), "is no dataset of transitions.*forearm build"),
        (("combine", "{}", "{}", "--out", "out"), "is no dataset of transitions.*forearm build"),
        (("evaluate", "{}"), "is no run .*forearm train"),
    ],
)
def test_what_is_not_what_a_command_reads(tmp_path, monkeypatch, what, command, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("not what you think")
    said = refused(tmp_path, *(word.format(what) for word in command))
    assert re.search(says, said)
    assert said.startswith(what)


def spoil_videos(root: Path, episodes: list[int]) -> None:
    for episode in episodes:
        (video,) = root.rglob(f"episode_{episode:06d}.mp4")
        video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])


def rewrite_tables(root: Path, episodes: list[int], change) -> None:
    for episode in episodes:
        (path,) = root.rglob(f"episode_{episode:06d}.parquet")
        pq.write_table(change(pq.read_table(path)), path)


def drop_states(root: Path, episodes: list[int]) -> None:
    rewrite_tables(root, episodes, lambda table: table.drop_columns(["observation.state"]))


def put_nan(root: Path, episodes: list[int]) -> None:
    def change(table: pa.Table) -> pa.Table:
        states = table["observation.state"].to_pylist()
        states[4][1] = float("nan")
        column = pa.array(states, table.schema.field("observation.state").type)
        return table.set_column(table.column_names.index("observation.state"), "observation.state", column)

    rewrite_tables(root, episodes, change)


@pytest.mark.parametrize(
    ("spoil", "why"), [(spoil_videos, "mp4"), (drop_states, "observation.state"), (put_nan, "not a finite number")]
)
def test_spoilt_episodes_are_skipped_by_name_and_all_spoilt_are_refused(tmp_path, spoil, why):
    recording = make_recording(tmp_path / "recording")
    spoil(recording, [1])
    built = forearm("build", recording, "--out", tmp_path / "data")
    assert built.code == 0
    (warning,) = [line for line in built.err.splitlines() if line.startswith("skipped episode")]
    assert warning.startswith("skipped episode 1 of recording: ")
    assert why in warning
    assert "of 2 episodes" in built.err
    assert built.out == f"{tmp_path / 'data'}\n"

    spoil(recording, [0, 2])
    before = files(tmp_path)
    failed = forearm("build", recording, "--out", tmp_path / "other")
    *skipped, last = failed.err.splitlines()
    assert all(line.startswith("skipped episode") for line in skipped)
    assert last.startswith("forearm: ")
    assert why in last
    assert failed.code == 2
    assert files(tmp_path) == before


def test_recordings_that_cannot_become_a_dataset(tmp_path):
    out = ("--out", tmp_path / "out")
    unequal = make_recording(tmp_path / "unequal", cameras=(CAMERA, "observation.images.wrist"))
    next(unequal.rglob("*wrist/episode_000001.mp4")).unlink()
    assert "episode 1 lacks observation.images.wrist" in refused(tmp_path, "build", unequal, *out)
    single = make_recording(tmp_path / "single", lengths=(5,))
    assert "1 transition(s) in 1 episode(s) cannot be split" in refused(tmp_path, "build", single, *out)
    assert "60 is not divisible by the patch 8" in refused(tmp_path, "build", single, "--size", 60, *out)
    assert "history is 1" in refused(tmp_path, "build", single, "--history", 1, *out)
    assert "no camera 'tail'; it has base" in refused(tmp_path, "build", single, "--cameras", "tail", *out)
    assert "name each once" in refused(tmp_path, "build", single, "--cameras", "base", "base", *out)
    assert "no preset 'huge'" in refused(tmp_path, "build", single, "--preset", "huge", *out)
    for option, value in (("val", 2), ("seed", -1), ("step", "inf"), ("stride", 0)):
        assert refused(tmp_path, "build", single, f"--{option}", value, *out).startswith(f"{option} is ")
    assert "no readable episode has a logged decision" in refused(tmp_path, "build", single, "--actions", "log", *out)
    assert "at least one recording" in refused(tmp_path, "build", *out)
    (single / "meta/info.json").write_text("{")
    assert "info.json" in refused(tmp_path, "build", single, *out)


def test_a_dataset_of_one_transition_can_only_be_a_test_set(project, tmp_path):
    recording = make_recording(tmp_path / "recording", lengths=(5,))
    for share, missing in ((1, "train"), (0, "val")):
        data = tmp_path / f"data{share}"
        built = forearm("build", recording, "--out", data, "--val", share)
        assert built.code == 0
        assert "1 of 1 episodes" in built.err
        said = refused(tmp_path, "train", "mae", "--data", data, "--out", tmp_path / "out", *CPU)
        assert f"no transitions to {missing} on" in said


def test_datasets_that_are_damaged_or_unlike(project, tmp_path):
    data, out = shutil.copytree(project / "data", tmp_path / "data"), ("--out", tmp_path / "out")
    assert "at least two" in refused(tmp_path, "combine", data, *out)
    wide = write_data(tmp_path / "wide", make_layout(cameras=(Camera("base", 8, 16), Camera("wrist", 8, 16))))
    assert "differ in cameras" in refused(tmp_path, "combine", data, wide.path, *out)
    for name, content, says in (
        ("frames.npy", b"\x93NUMPY", "is damaged"),
        ("layout.json", b'{"cameras": 1}', "layout.json: the layout"),
        ("dataset.json", b'{"format": 1', "dataset.json cannot be read as JSON"),
        ("dataset.json", b'{"format": 99}', "format 99"),
        ("dataset.json", b'{"format": 1}', "dataset.json lacks 'recordings'"),
    ):
        whole = (data / name).read_bytes()
        (data / name).write_bytes(content)
        assert says in refused(tmp_path, "train", "mae", "--data", data, *out, *CPU)
        assert says in refused(tmp_path, "inspect", data)
        (data / name).write_bytes(whole)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--size", "huge"), "has no size 'huge'; it has so101, tiny"),
        (("--model.wings", 2), "Unrecognized options: --model.wings"),
        (("--model.depth", "two"), "Error parsing --model.depth"),
        (("--model.depth", 2.5), "Error parsing --model.depth"),
        (("--model.copy", "maybe"), "--model.copy"),
        (("--model.width", 30), "width is 30"),
        (("--model.depth", 0), "depth is 0; it has to be at least 1"),
        (("--steps", 0), "steps is 0"),
        (("--seed", -1), "seed is -1"),
        (("--workers", -1), "workers is -1"),
        (("--beta2", 2), "beta2 is 2.0"),
        (("--learning-rate", "inf"), "learning_rate is inf"),
        (("--minutes", "nan"), "minutes is nan"),
        (("--imagined-steps", 2), "imagined_steps has no effect"),
        (("--imagined-steps", 2, "--imagined-share", 0), "imagined_steps has no effect"),
        (("--matrix-rate", 0.01), "matrix_rate has no effect on family mae"),
        (("--device", "cuda:7"), "no device cuda:7 here; choose --device auto or cpu"),
        (("--device", "abacus"), "no device 'abacus'; choose auto, cpu"),
        (("--fine-tune", "nothing"), "nothing is no run"),
        (("--resume",), "out is no run"),
    ],
)
def test_trainings_that_cannot_begin(project, tmp_path, monkeypatch, options, says):
    monkeypatch.chdir(tmp_path)
    assert says in refused(tmp_path, "train", "mae", "--data", project / "data", "--out", "out", *options)


@pytest.mark.parametrize(
    ("option", "why"),
    [
        (("--model.first-frame", "true"), "first_frame has no effect: it is for several known frames"),
        (("--model.sharpening", 2), "sharpening has no effect: it is for several known frames"),
        (("--model.joint-correction", "true"), "joint_correction has no effect: it is for commands"),
    ],
)
def test_settings_for_other_data_are_refused(project, tmp_path, monkeypatch, option, why):
    monkeypatch.chdir(tmp_path)
    assert why in refused(tmp_path, "train", "warp", "--data", project / "data", "--out", "out", *option)


def test_commands_families_and_datasets_have_to_be_named(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "no command 'fly'; there are demo, record" in refused(tmp_path, "fly")
    assert "no family 'yak'; there are " in refused(tmp_path, "train", "yak", "--data", project / "data", "--out", "y")
    assert "train needs --data" in refused(tmp_path, "train", "mae", "--out", "out")
    if find_spec("wandb") is None:
        assert "pip install wandb" in refused(tmp_path, "train", "mae", "--out", "out", "--track", "wandb")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--notes", "nothing.txt"), "the notes cannot be read: nothing.txt is missing"),
        (("--against", "fresh"), "has not been evaluated; do so first: forearm evaluate fresh"),
        (("--samples", 0), "samples is 0"),
        (("--batch-size", 0), "batch_size is 0"),
        (("--device", "cuda:7"), "no device cuda:7 here"),
        (("--data", "joints"), "has joints ('pan',), but run run has ('pan', 'lift')"),
        (("--data", "cameras"), "has cameras of [(8, 16), (8, 16)], but run run has [(8, 8), (8, 8)]"),
        (("--data", "training", "--split", "val"), "no validation transitions; evaluate it with --split all"),
    ],
)
def test_evaluations_that_cannot_begin(run, tmp_path, monkeypatch, options, says):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, tmp_path / "fresh")
    if options[1] == "joints":
        write_data(tmp_path / "joints", make_layout(joints=(Joint("pan"),)), episodes=3, val=1)
    if options[1] == "cameras":
        write_data(tmp_path / "cameras", make_layout(cameras=(Camera("a", 8, 16), Camera("b", 8, 16))), episodes=3)
    if options[1] == "training":
        write_data(tmp_path / "training", episodes=2, val=0)
    assert says in refused(tmp_path, "evaluate", "run", *options)


def test_an_evaluation_that_is_a_link_keeps_what_it_points_to(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, tmp_path / "fresh")
    (tmp_path / "theirs" / "grids").mkdir(parents=True)
    (tmp_path / "theirs" / "grids" / "kept").touch()
    (tmp_path / "fresh" / "evaluation").symlink_to(tmp_path / "theirs")
    assert "fresh/evaluation is a link, so nothing is written there" in refused(tmp_path, "evaluate", "fresh")
    assert (tmp_path / "theirs" / "grids" / "kept").exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("best.safetensors", lambda whole: whole[: len(whole) // 2], "best.safetensors is damaged"),
        ("best.safetensors", lambda whole: b"garbage" * 100, "best.safetensors is damaged"),
        ("best.safetensors", None, "best.safetensors is missing"),
        ("config.json", lambda whole: whole[:-20], "config.json cannot be read as JSON"),
        ("config.json", lambda whole: whole.replace(b'"width": 32', b'"width": 64'), "do not fit; check config.json"),
        ("config.json", lambda whole: b'{"family": "mae"}', "config.json lacks 'model'; it should have been"),
        ("config.json", lambda whole: b"[]", "config.json is [], not an object with names; it"),
        ("log.jsonl", lambda whole: b"{]}\n" + whole, "log.jsonl is damaged"),
        ("config.json", lambda whole: whole.replace(b'"mae"', b'"yak"'), "no family 'yak'"),
        ("layout.json", lambda whole: b"[]", "layout.json: the layout"),
        ("layout.json", lambda whole: whole.replace(b'"pan"', b'"tilt"'), "has joints ('pan', 'lift'), but run run"),
        ("layout.json", lambda whole: whole.replace(b'"patch": 4', b'"patch": 2'), "holds another model or layout"),
    ],
)
def test_runs_that_are_damaged(run, tmp_path, name, content, says):
    whole = (run / name).read_bytes()
    (run / name).unlink()
    if content is not None:
        (run / name).write_bytes(content(whole))
    assert says in refused(tmp_path, "evaluate", run)


def test_checkpoints_that_cannot_be_resumed(run, tmp_path):
    resume = ("train", "mae", "--out", run, "--resume", *CPU)
    whole = (run / "resume.safetensors").read_bytes()
    for content in (whole[:-100], b"garbage" * 100):
        (run / "resume.safetensors").write_bytes(content)
        assert "resume.safetensors is damaged" in refused(tmp_path, *resume)
    shutil.copy(run / "best.safetensors", run / "resume.safetensors")
    assert "is no checkpoint of a training" in refused(tmp_path, *resume)
    (run / "resume.safetensors").unlink()
    assert "nothing to resume from" in refused(tmp_path, *resume)


def test_nothing_is_overwritten(project, tmp_path):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    commands: list[tuple[object, ...]] = [
        ("build", project / "recording"),
        ("combine", project / "data", project / "data"),
        ("train", "mae", "--data", project / "data", *CPU),
    ]
    if find_spec("mujoco"):
        commands.append(("record", "--episodes", 1))
    for command in commands:
        for target in (taken, taken / "mine.txt"):
            assert "already exists" in refused(tmp_path, *command, "--out", target)
        below = refused(tmp_path, *command, "--out", taken / "mine.txt" / "out")  # where even root cannot write
        assert str(taken / "mine.txt") in below
        assert "Not a directory" in below


@pytest.mark.parametrize(
    "args",
    [
        ("build", "x", "--out", "y", "--size", "big"),
        ("build", "x"),
        ("train", "mae", "--out", "y", "--steps", "some"),
        ("evaluate", "x", "--split", "some"),
        ("record", "--out", "y", "--fps", 7),
        ("record", "--out", "y", "--action-duration", "nan"),
        ("demo", "--steps", 0),
        ("demo", "--family", "yak"),
        ("demo", "--device", "abacus"),
        ("inspect",),
        ("inspect", "x", "--colour", "red"),
    ],
)
def test_nonsense_among_the_options_is_refused_without_a_traceback(tmp_path, monkeypatch, args):
    if args[0] in ("record", "demo"):
        pytest.importorskip("forearm.sim", exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    outcome = forearm(*args)
    assert outcome.code == 2
    assert outcome.err
    assert "Traceback" not in outcome.err
    assert files(tmp_path) == {}


# Full and read-only disks


@contextlib.contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk(project, tmp_path):
    out = "No space left on device"
    with mounted(tmp_path / "disk", "size=112k") as disk:
        assert out in refused(disk, "build", project / "recording", "--out", disk / "data")
        trained = ("train", "mae", "--data", project / "data", "--out", disk / "run", *CPU)
        assert out in error_of(forearm(*trained))
        assert not [name for name in files(disk) if "partial" in name]
        shutil.rmtree(disk / "run")
        for name in ("config.json", "layout.json", "best.safetensors"):
            (disk / "run").mkdir(exist_ok=True)
            shutil.copy(project / "run" / name, disk / "run" / name)
        before = files(disk / "run")
        assert out in error_of(forearm("evaluate", disk / "run"))
        assert {name: held for name, held in files(disk / "run").items() if not name.endswith("/")} == before
        assert out in error_of(forearm("inspect", project / "data", "--pictures", fill(disk) / "sheet.png"))


def fill(disk: Path) -> Path:
    """Leave no room on a disk."""
    with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    return disk


def test_a_read_only_disk(project, tmp_path):
    with mounted(tmp_path / "disk", "size=4m") as disk:
        shutil.copytree(project / "run", disk / "run")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for command in (
            ("build", project / "recording", "--out", disk / "data"),
            ("combine", project / "data", project / "data", "--out", disk / "data"),
            ("train", "mae", "--data", project / "data", "--out", disk / "new", *CPU),
            ("train", "mae", "--out", disk / "run", "--resume", *CPU),
            ("evaluate", disk / "run"),
            ("inspect", project / "data", "--pictures", disk / "sheet.png"),
        ):
            assert "Read-only file system" in refused(disk, *command)


# Help


def test_help_names_every_option_and_is_there_at_once(tmp_path):
    script = (
        "import sys; from forearm.cli import main; sys.argv = ['forearm', '--help']; main();"
        "assert not {'torch', 'numpy', 'mujoco'} & sys.modules.keys()"
    )
    usage = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert usage.returncode == 0, usage.stderr
    for command, options in {
        "demo": "--out --episodes --steps --seed --family --device --again",
        "record": "--out --processes --episodes --joints --sessions --seed --fps --size --STAY --MOVE+ --MOVE-",
        "build": "--out --preset --size --cameras --stacking --history --actions --step --stride --val --seed",
        "combine": "--out",
        "inspect": "--pictures",
        "train": "--data --out --size --fine-tune --parent --notes --resume --device --track --steps --seed",
        "compare": "--out --data --device",
        "plan": "--joints --picture --mask --like --region --start --simulator --robot --planner --depth --out --yes",
        "evaluate": "--data --split --checkpoint --notes --against --samples --batch-size --device",
    }.items():
        assert f"forearm {command} " in usage.stdout
        if command in ("record",) and find_spec("mujoco") is None:
            continue
        told = forearm(command, "--help")
        assert told.code == 0
        assert {*options.split()} <= {*re.findall(r"--[\w+-]+", told.out)}
        words = " ".join(told.out.replace("│", "").split())
        silent = {*re.findall(r"(--[\w+-]+) (?:\[[^]]*\]\]|\S+) \((?:default|required)", words)}
        assert silent <= {"--STAY", "--MOVE+", "--MOVE-"}  # which their box explains together
    assert forearm("--version").out.strip()


def test_a_reader_that_has_enough_ends_a_command_quietly():
    process = start("--help")
    process.stdout.close()
    assert process.wait(timeout=PATIENCE) == 0
    assert process.stderr.read() == ""


# In a process of their own


def test_an_unknown_hub_id_without_network(tmp_path):
    outcome = end(start("build", "nobody/nothing", "--out", tmp_path / "out", HF_HUB_OFFLINE="1"))
    assert "nobody/nothing is neither a folder here nor a LeRobot data set the Hub gives out" in error_of(outcome)
    assert files(tmp_path) == {}


def interrupted(process: "subprocess.Popen[str]", how: signal.Signals, ready) -> Outcome:
    """Wait until a command is in mid-work, then interrupt it as the terminal or the system does."""
    wait_until(lambda: ready() or process.poll() is not None)
    assert process.poll() is None, end(process)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    outcome = end(process)
    assert outcome.code == 130, outcome
    assert "Traceback" not in outcome.err
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("forearm: ")]
    assert line.startswith("forearm: stopped")
    return outcome


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_what_it_goes_on_with(tmp_path, how):
    recording = make_recording(tmp_path / "recording", lengths=(150,) * 4)
    process = start("build", recording, "--out", tmp_path / "data")
    stopped = interrupted(process, how, lambda: [*tmp_path.glob(".data.parts/*.npz")])
    assert "of 4 episodes; run the same command again to go on" in stopped.err
    assert sorted(path.name for path in tmp_path.iterdir()) == [".data.parts", "recording"]


def test_an_interrupted_training_goes_on_to_the_same_weights(project, tmp_path):
    out = tmp_path / "run"
    options = ("--data", project / "data", *SMALL, *CPU, "--steps", 400, "--evaluate-every", 100, "--batch-size", 2)
    process = start("train", "mae", "--out", out, *options)
    stopped = interrupted(process, signal.SIGTERM, (out / "resume.safetensors").is_file)
    assert f"go on with: forearm train --out {out} --resume" in stopped.err
    steps = [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert max(steps) < 400
    assert not [name for name in files(out) if "partial" in name]
    assert forearm("train", "mae", "--out", out, "--resume").out == f"{out}\n"
    assert forearm("train", "mae", "--out", tmp_path / "unbroken", *options).code == 0
    for name in ("best.safetensors", "last.safetensors"):
        assert (out / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()


def test_a_training_interrupted_before_anything_is_written_promises_nothing(project, tmp_path, monkeypatch):
    def interrupt(*given, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("forearm.training.launch.train_run", interrupt)
    ended = forearm("train", "mae", "--out", tmp_path / "run", "--data", project / "data", *CPU)
    assert (ended.code, ended.err.splitlines()[-1]) == (130, "forearm: stopped")


def test_a_training_interrupted_before_its_first_checkpoint_begins_anew(run):
    expected = (run / "last.safetensors").read_bytes()
    for path in run.iterdir():
        if path.name not in ("config.json", "layout.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert forearm("train", "mae", "--out", run, "--resume", *CPU).code == 0
    assert (run / "last.safetensors").read_bytes() == expected


# From the first to the last command


SOUND = ("val_mse", "ssim", "psnr", "val_mse_dynamic", "motor_position_mae_mean", "action_discrimination_score")


def require_report(folder: Path, samples: int) -> str:
    """The page of an evaluation that has to be complete."""
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["samples"] == samples
    assert all(np.isfinite(metrics[name]) for name in SOUND)
    assert np.isfinite(metrics["baselines"]["persistence"]["metrics"]["val_mse"])
    grids = sorted((folder / "grids").glob("*.png"))
    assert grids
    for grid in grids:
        assert np.ptp(np.asarray(Image.open(grid).convert("RGB"))) > 50  # a picture, and no plain one
    held = {"metrics.json", "report.html", "grids", "samples.parquet", "examples.npz"}
    assert {path.name for path in folder.iterdir()} == held
    return (folder / "report.html").read_text()


@needs_simulator
def test_from_recording_to_report(tmp_path):
    from forearm.recordings import staged_episodes

    arm, other = tmp_path / "arm", tmp_path / "other"
    record = ("record", "--size", 64, "--fps", 2, "--sessions", 2)
    process = start(*record, "--episodes", 12, "--out", arm)
    said = interrupted(process, signal.SIGINT, lambda: len(staged_episodes(tmp_path / "arm.partial")) >= 2)
    assert "of 12 episodes; run the same command again to go on" in said.err
    assert not arm.exists()
    for out in (arm, tmp_path / "unbroken"):
        assert forearm(*record, "--episodes", 12, "--processes", 1, "--out", out).out == f"{out}\n"
    assert files(arm) == files(tmp_path / "unbroken")
    assert {path.name for path in tmp_path.iterdir()} == {"arm", "unbroken"}

    facts = forearm("inspect", arm).out
    for fact in ("LeRobot v3.0", "24 at 2 fps, 2 to 2 an episode", "base 64×64", "shoulder_pan.pos (deg)", "MOVE+"):
        assert fact in facts
    assert forearm(*record, "--episodes", 6, "--seed", 1, "--processes", 1, "--out", other).code == 0
    for recording in (arm, other):
        assert forearm("build", recording, "--out", tmp_path / f"{recording.name}-data", "--val", 0.5).code == 0
    data = tmp_path / "data"
    assert forearm("combine", tmp_path / "arm-data", tmp_path / "other-data", "--out", data).out == f"{data}\n"
    facts = forearm("inspect", data).out
    for fact in ("18 of 18 episodes, 36 frames", "144×136, patch 8", "9 transitions: STAY 3, MOVE+ 3, MOVE− 3"):
        assert fact in facts

    run, notes = tmp_path / "run", tmp_path / "notes.txt"
    assert train(data, run).out == f"{run}\n"
    notes.write_text("Brighter lamp & <fewer> steps")
    evaluated = forearm("evaluate", run, "--notes", notes, "--samples", 3, *CPU)
    assert evaluated.out == f"{run / 'evaluation' / 'report.html'}\n"
    page = require_report(run / "evaluation", samples=6)  # of the 9 held out, 3 of other scenes picked the weights
    for part in ("Brighter lamp &amp; &lt;fewer&gt; steps", "run", "mae", str(run / "best.safetensors"), "val_mse"):
        assert part in page

    elsewhere = ("--data", tmp_path / "arm-data", "--against", run, "--checkpoint", "last")
    for _ in range(2):  # an evaluation may be repeated
        evaluated = forearm("evaluate", run, *elsewhere, "--samples", 3, *CPU)
        assert evaluated.out == f"{run / 'evaluation-arm-data' / 'report.html'}\n"
    half = require_report(run / "evaluation-arm-data", samples=4)  # the other 8 trained the run or picked its weights
    assert str(run / "last.safetensors") in half
    assert require_report(run / "evaluation", samples=6) == page
    assert "validation loss" in forearm("inspect", run).out


@needs_simulator
def test_the_demo_and_what_it_does_not_do_twice(tmp_path):
    out = tmp_path / "demo"
    command = ("demo", "--episodes", 7, "--steps", 2, "--out", out, *CPU)
    first = forearm(*command)
    assert first.code == 0, first.err
    report = out / "run/evaluation/report.html"
    assert first.out.splitlines()[-1] == str(report)
    require_report(report.parent, samples=10)
    assert json.loads((report.parent / "metrics.json").read_text())["rollouts"]["horizons"] == [*range(1, 11)]
    assert f"forearm play {out}/run" in first.err
    assert "training run: 2 of 2, loss " in first.err

    made = {path: path.stat().st_mtime_ns for room in ("recordings", "data") for path in (out / room).rglob("*")}
    weights, log = ((out / "run" / name).read_bytes() for name in ("last.safetensors", "log.jsonl"))
    second = forearm(*command)
    assert second.out.splitlines()[-1] == str(report)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert (out / "run/last.safetensors").read_bytes() == weights
    assert (out / "run/log.jsonl").read_bytes() == log

    info = out / "recordings/meta/info.json"
    info.write_text("{}")
    assert "info.json is damaged: it lacks total_episodes" in refused(tmp_path, *command)


@pytest.mark.parametrize("busy", [True, False])
def test_threads_give_cores_away_where_others_use_them(monkeypatch: pytest.MonkeyPatch, busy: bool) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setattr("forearm.base.processes.others_run", lambda: busy)
    cli._share_cores()
    assert os.environ.pop("OMP_WAIT_POLICY", None) == ("PASSIVE" if busy else None)
