"""How fast and how lean forearm is on this machine. One command, some minutes:

    python benchmarks/speed.py

writes docs/benchmarks/speed.md. Every figure comes from a process of its own, so that peak memory is that process's;
ratios compare two ways of doing the same thing in one process, turn by turn.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measuring import ROOT, circumstances, in_own_process, median_seconds, peak_mb, ratio, write_table

TABLE = ROOT / "docs" / "benchmarks" / "speed.md"
EPISODES = 120


# What is measured. Each function runs in a process of its own and returns figures.


def recording(work: Path, size: int, fps: int) -> dict:
    from forearm.sim import RecordingSettings, record

    begin = time.perf_counter()
    record(work / f"recording{size}_{fps}", RecordingSettings(episodes=EPISODES, sessions=2, size=size, fps=fps))
    seconds = time.perf_counter() - begin
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    return {"transitions_per_s": EPISODES / seconds, "peak_mb": max(peak_mb(), children)}


def building(work: Path, repeats: int) -> dict:
    """Every frame of ``repeats`` copies of the 30 fps recording."""
    import shutil

    from forearm import BuildConfig, build

    sources = [work / f"copy{number}" for number in range(repeats)]
    for source in sources:
        shutil.copytree(work / "recording224_30", source, dirs_exist_ok=True)
    config = BuildConfig(actions="change", history=2, step=0.1, stride=1 / 30)
    begin = time.perf_counter()
    data = build(sources, work / f"built{repeats}", config)
    return {"frames_per_s": len(data.frames) * 2 / (time.perf_counter() - begin), "peak_mb": peak_mb()}


def pictures_once_or_by_seeking(work: Path) -> dict:
    """The reader, once and forward, against a seek for every frame."""
    import av

    from forearm import open_recording

    recording = open_recording(work / "recording224_30")
    camera = recording.cameras[0]
    (video,) = sorted((recording.root / "videos" / camera).rglob("*.mp4"))
    wanted = 150

    def forward() -> None:
        seen = 0
        for episode in recording.read((camera,)):
            for _ in episode.pictures(size=(64, 64)):
                seen += 1
                if seen == wanted:
                    return

    def seeking() -> None:
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            for number in range(wanted):
                at = number / recording.fps
                container.seek(int(at / stream.time_base), stream=stream)
                for frame in container.decode(stream):
                    if frame.time >= at - 0.5 / recording.fps:
                        frame.reformat(64, 64, "rgb24").to_ndarray()
                        break

    median, low, high = ratio(seeking, forward, 5)
    return {"ratio": median, "low": low, "high": high}


def dataset(work: Path, preset: str) -> Path:
    from forearm import BuildConfig, build

    path = work / f"data_{preset}"
    if not path.exists():
        build([work / "recording224_30"], path, BuildConfig(preset=preset))
    return path


def drawing_and_training(work: Path, preset: str, batch_size: int) -> dict:
    import torch

    from forearm.models import family_settings, make_model
    from forearm.training.config import TrainConfig
    from forearm.training.optimizer import make_optimizer
    from forearm.transitions.store import TransitionSet

    data = TransitionSet(dataset(work, preset))
    rows = np.arange(batch_size)
    drawing = median_seconds(lambda: data.batch(rows), 20)

    def one_by_one() -> None:
        for row in rows:
            data.batch(np.array([row]))

    at_once, low, high = ratio(one_by_one, lambda: data.batch(rows), 9)
    model = make_model("mae", data.layout, family_settings("mae", preset, {}))
    optimizer = make_optimizer(model, TrainConfig())

    def step() -> None:
        loss = model.training_loss(data.batch(rows))["loss"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    stepping = median_seconds(step, 10 if preset == "tiny" else 3)
    model.eval()
    latency = {}
    with torch.inference_mode():
        for n in (1, 8):
            batch = data.batch(rows[:n] if n <= batch_size else np.resize(rows, n))
            latency[n] = 1e3 * median_seconds(lambda batch=batch: model.predict(batch), 20 if preset == "tiny" else 3)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "canvases_per_s": batch_size / drawing,
        "share": drawing / stepping,
        "samples_per_s": batch_size / stepping,
        "latency_1": latency[1],
        "latency_8": latency[8],
        "at_once": at_once,
        "at_once_low": low,
        "at_once_high": high,
        "peak_mb": peak_mb(),
    }


def training(work: Path) -> dict:
    """``forearm train`` as a user runs it, for its peak memory."""
    from forearm.models import family_settings
    from forearm.training.config import TrainConfig
    from forearm.training.loop import start_run, train
    from forearm.transitions.store import TransitionSet

    data = TransitionSet(dataset(work, "tiny"))
    config = TrainConfig(steps=30, evaluate_every=30)
    begin = time.perf_counter()
    progress = train(start_run(work / "run", "mae", family_settings("mae", "tiny", {}), config, data), data)
    return {
        "samples_per_s": config.batch_size * progress.step / progress.seconds,
        "seconds": time.perf_counter() - begin,
        "peak_mb": peak_mb(),
    }


def larger_than_memory(work: Path, gigabytes: int) -> dict:
    """A dataset whose frames would not fit in memory, opened and trained on for a few steps.

    The file is sparse where nothing was recorded, so that no disk is needed; to the program it is as long as it says.
    """
    import shutil

    from forearm.models import family_settings
    from forearm.training.config import TrainConfig
    from forearm.training.loop import start_run, train
    from forearm.transitions.frames import ArrayWriter
    from forearm.transitions.store import Columns, TransitionSet

    source, path = TransitionSet(dataset(work, "tiny")), work / "large"
    shutil.copytree(source.path, path)
    shape = source.frames.shape[1:]
    frames = int(gigabytes * 1e9 / np.prod(shape))
    writer = ArrayWriter(path / "frames.npy", shape, np.uint8)
    writer.rows = frames
    writer._file.truncate(writer._start + frames * writer._row_bytes)
    writer.close()
    np.save(path / "states.npy", np.resize(source.states, (frames, source.states.shape[1])))
    n = frames // 2
    tiled = {name: np.resize(getattr(source.columns, name), n) for name in ("dimensions", "episodes", "validation")}
    pairs = np.arange(2 * n).reshape(n, 2)
    Columns(pairs, np.resize(source.columns.actions, (n, 1, 1)), **tiled).write(path / "transitions.parquet")
    begin = time.perf_counter()
    data = TransitionSet(path)
    opening = time.perf_counter() - begin
    # Validation would read every eighth frame of the whole; a user of such a set validates on a part as well.
    data.columns.validation[np.flatnonzero(data.columns.validation)[64:]] = False
    config = TrainConfig(steps=30, evaluate_every=30)
    train(start_run(work / "large_run", "mae", family_settings("mae", "tiny", {}), config, data), data)
    return {"gigabytes": gigabytes, "transitions": len(data), "opening_s": opening, "peak_mb": peak_mb()}


MEASUREMENTS: dict[str, Callable[[Path], dict]] = {
    "record_64_2": lambda work: recording(work, 64, 2),
    "record_64_30": lambda work: recording(work, 64, 30),
    "record_224_30": lambda work: recording(work, 224, 30),
    "build_1": lambda work: building(work, 1),
    "build_4": lambda work: building(work, 4),
    "seeking": pictures_once_or_by_seeking,
    "tiny": lambda work: drawing_and_training(work, "tiny", 16),
    "so101": lambda work: drawing_and_training(work, "so101", 4),
    "training": training,
    "large": lambda work: larger_than_memory(work, 60),
}


def table(figures: dict[str, dict]) -> str:
    """The page."""
    rows = []
    for name, what in (
        ("record_64_2", "recording, 64×64, only before and after (2 fps)"),
        ("record_64_30", "recording, 64×64, 30 fps"),
        ("record_224_30", "recording, 224×224, 30 fps"),
    ):
        f = figures[name]
        rows.append((what, f"{f['transitions_per_s']:.1f} transitions/s", f"{f['peak_mb']:.0f} MB a process"))
    for name, what in (("build_1", "building, 224×224 to 64×64"), ("build_4", "the same, four times as long")):
        f = figures[name]
        rows.append((what, f"{f['frames_per_s']:.0f} pictures/s", f"{f['peak_mb']:.0f} MB"))
    for preset in ("tiny", "so101"):
        f = figures[preset]
        size = f"{preset}, MAE with {f['parameters'] / 1e6:.1f}M parameters"
        rows += [
            (f"drawing batches ({preset})", f"{f['canvases_per_s']:.0f} canvases/s", ""),
            (f"share of drawing in a training step ({preset})", f"{100 * f['share']:.1f} %", ""),
            (f"training ({size})", f"{f['samples_per_s']:.1f} samples/s", f"{f['peak_mb']:.0f} MB"),
            (f"prediction, batch 1 ({preset})", f"{f['latency_1']:.1f} ms", ""),
            (f"prediction, batch 8 ({preset})", f"{f['latency_8']:.1f} ms", ""),
        ]
    f = figures["training"]
    rows.append(
        ("`forearm train mae`, tiny, batch 16", f"{f['samples_per_s']:.1f} samples/s", f"{f['peak_mb']:.0f} MB")
    )
    f = figures["large"]
    rows.append(
        (
            f"the same on {f['gigabytes']} GB of frames ({f['transitions']:,} transitions)",
            f"opened in {f['opening_s']:.1f} s",
            f"{f['peak_mb']:.0f} MB",
        )
    )
    s, t = figures["seeking"], figures["tiny"]
    return "\n".join(
        [
            "# Speed and memory",
            "",
            f"{circumstances()}. Made by `python benchmarks/speed.py`; medians, each row in a process of its own; "
            f"recordings of {EPISODES} actions with two cameras. Memory is the peak of the whole process, PyTorch "
            "included.",
            "",
            "| what | speed | peak memory |",
            "|---|---:|---:|",
            *(f"| {what} | {speed} | {memory} |" for what, speed, memory in rows),
            "",
            "Against the obvious alternative, in one process turn by turn (median of the ratios, least to greatest):",
            "",
            "| what | faster by |",
            "|---|---:|",
            f"| decoding a video once and forward, not with a seek a frame | {s['ratio']:.1f}× ({s['low']:.1f} to "
            f"{s['high']:.1f}) |",
            f"| drawing 16 tiny canvases at once, not one by one | {t['at_once']:.1f}× ({t['at_once_low']:.1f} to "
            f"{t['at_once_high']:.1f}) |",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(MEASUREMENTS[arguments.only](arguments.work)))
        return
    figures = {}
    with tempfile.TemporaryDirectory() as work:
        for name in MEASUREMENTS:
            print(f"measuring {name}", file=sys.stderr)
            figures[name] = in_own_process(__file__, "--only", name, "--work", work)
    write_table(TABLE, table(figures))


if __name__ == "__main__":
    main()
