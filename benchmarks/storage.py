"""As what frames are stored: bytes, time and error of several codings. One command, some minutes:

    python benchmarks/storage.py [--recordings FOLDER]

codes frames of the simulator (two cameras, recorded here) and, if a folder of recordings is given, of real ones (one
camera each); then trains on raw and on compressed frames turn by turn. It writes docs/benchmarks/storage.md. Times are
those of one core's processor, which other programs on the machine change little.
"""

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import simplejpeg
from measuring import ROOT, circumstances, command, write_table
from PIL import Image

from forearm import BuildConfig, build
from forearm.models import family_settings, make_model
from forearm.sim import RecordingSettings, record
from forearm.transitions import TransitionSet, frames

TABLE = ROOT / "docs/benchmarks/storage.md"
FRAMES = 60
Code = Callable[[np.ndarray], bytes]
Decode = Callable[[bytes], np.ndarray]
Codec = tuple[Code, Decode]


def pillow(form: str, **options: object) -> Codec:
    def code(frame: np.ndarray) -> bytes:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, form, **options)
        return file.getvalue()

    return code, lambda coded: np.asarray(Image.open(io.BytesIO(coded)))


def jpeg(**options: object) -> Codec:
    return pillow("JPEG", optimize=True, **options)[0], lambda coded: simplejpeg.decode_jpeg(coded, "RGB")


def flat(step: int) -> Codec:
    return jpeg(qtables=[[step] * 64] * 2, subsampling=0)


def h264(crf: int) -> Codec:
    """Every frame a key frame, with full chroma."""
    decoder = av.CodecContext.create("h264", "r")

    def code(frame: np.ndarray) -> bytes:
        coder = av.CodecContext.create("libx264", "w")
        coder.height, coder.width = frame.shape[:2]
        coder.pix_fmt, coder.time_base = "yuv444p", Fraction(1, 30)
        coder.options = {"crf": str(crf), "x264-params": "keyint=1:log-level=-1"}
        picture = av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format="yuv444p")
        return b"".join(bytes(packet) for packet in [*coder.encode(picture), *coder.encode(None)])

    def decode(coded: bytes) -> np.ndarray:
        found = decoder.decode(av.Packet(coded)) or decoder.decode(None)
        decoder.flush_buffers()
        return found[0].to_ndarray(format="rgb24")

    return code, decode


CODECS: dict[str, Codec] = {
    "PNG": pillow("PNG"),
    "WebP, lossless": pillow("WEBP", lossless=True, quality=50, method=2),
    "WebP, quality 90": pillow("WEBP", quality=90, method=4),
    "all-intra H.264, 4:4:4, crf 18": h264(18),
    "all-intra H.264, 4:4:4, crf 22": h264(22),
    "JPEG, quality 85, 4:2:0": jpeg(quality=85, subsampling=2),
    "JPEG, quality 85, 4:4:4": jpeg(quality=85, subsampling=0),
    "JPEG, quality 90, 4:4:4": jpeg(quality=90, subsampling=0),
    **{f"JPEG, steps of {step}, 4:4:4": flat(step) for step in (8, 12, 16, 20)},
    "JPEG, steps of 16, decoded by Pillow": (flat(16)[0], pillow("JPEG")[1]),
}


def coded(name: str, some: list[np.ndarray]) -> tuple[float, float, float, float]:
    """Bytes and microseconds a frame of coding and of decoding, and the PSNR in dB."""
    code, decode = CODECS[name]
    begin = time.process_time()
    pictures = [code(frame) for frame in some]
    coding = time.process_time() - begin
    times = []
    for _ in range(3):
        begin = time.process_time()
        decoded = [decode(picture) for picture in pictures]
        times.append(time.process_time() - begin)
    error = np.mean([np.square(a.astype(float) - b).mean() for a, b in zip(some, decoded, strict=True)])
    psnr = 10 * np.log10(255**2 / error) if error else np.inf
    return np.mean([*map(len, pictures)]), 1e6 * coding / len(some), 1e6 * min(times) / len(some), psnr


def stepping(raw: TransitionSet, compressed: TransitionSet, preset: str, repeats: int) -> dict[str, float]:
    """Processor milliseconds of a training step of `warp` with a batch of 8, and of what reading its frames takes."""
    import torch

    model = make_model("warp", raw.layout, family_settings("warp", preset, {}))
    random = np.random.default_rng(0)

    def step(data: TransitionSet, rows: np.ndarray) -> float:
        begin = time.process_time()
        model.zero_grad()
        model.training_loss(data.batch(rows))["loss"].backward()
        return 1e3 * (time.process_time() - begin)

    def reading(data: TransitionSet, rows: np.ndarray) -> float:
        begin = time.process_time()
        data.frames[data.columns.frames[rows]]
        return 1e3 * (time.process_time() - begin)

    torch.manual_seed(0)
    found: dict[str, list[float]] = {"raw": [], "jpeg": [], "raw, frames": [], "jpeg, frames": []}
    for _ in range(repeats):
        rows = random.integers(0, len(raw), 8)
        for name, data in (("raw", raw), ("jpeg", compressed)):
            found[f"{name}, frames"].append(reading(data, rows))
            found[name].append(step(data, rows))
    return {name: statistics.median(times) for name, times in found.items()}


def page(work: Path, recordings: list[Path]) -> str:
    record(work / "simulator", RecordingSettings(episodes=24, sessions=6, size=224, fps=10))
    recordings = [work / "simulator", *recordings]
    lines = ["# Storage of frames", "", f"{circumstances()}. Made by `{command()}`.", ""]
    lines += [
        f"{FRAMES} frames of each recording, decoded one by one in one thread. *B* is bytes a frame, *µs* the "
        "processor's microseconds to decode one, *dB* the PSNR; the last column is the time to code one of the "
        "simulator's. A frame of the simulator has two cameras, one of the others one.",
        "",
    ]
    speeds = {}
    for preset in ("tiny", "so101"):
        sets = {}
        for path in recordings:
            config = BuildConfig(preset=preset, actions="change", step=0.2, stride=0.2, storage="raw")
            sets[path.name] = build(path, work / f"{path.name}-{preset}", config)
        some = {
            name: [
                np.ascontiguousarray(data.frames[row])
                for row in np.linspace(0, len(data.frames) - 1, FRAMES, dtype=int)
            ]
            for name, data in sets.items()
        }
        side = sets["simulator"].layout.cameras[0].height
        lines += [f"## {side}×{side} a camera", ""]
        heads = [f"{name}: B | µs | dB" for name in some]
        lines += [f"| coding | {' | '.join(heads)} | µs to code |", "|---|" + "---:|" * (3 * len(some) + 1)]
        raw = " | ".join(f"{frames_[0].nbytes:,} | 0 | exact" for frames_ in some.values())
        lines.append(f"| raw | {raw} | 0 |")
        for name in CODECS:
            figures = [coded(name, frames_) for frames_ in some.values()]
            cells = [f"{b:,.0f} | {d:.0f} | {'exact' if np.isinf(p) else f'{p:.1f}'}" for b, _, d, p in figures]
            lines.append(f"| {name} | {' | '.join(cells)} | {figures[0][1]:.0f} |")
            print(preset, lines[-1], file=sys.stderr)
        lines.append("")
        config = BuildConfig(preset=preset, actions="change", step=0.2, stride=0.2, storage="jpeg")
        built = build(work / "simulator", work / f"compressed-{preset}", config)
        speeds[side] = stepping(sets["simulator"], built, preset, 40 if preset == "tiny" else 5)
        speeds[side]["million"] = 1e6 * frames.bytes_of(built.path, "jpeg") / len(built.frames) / 1e9
    lines += [
        "## What was chosen",
        "",
        "JPEG with full chroma and one step of quantisation for all frequencies: "
        f"{frames.SMALL_STEP} for frames of at most {frames.SMALL_PIXELS:,} pixels, {frames.STEP} for larger ones. Its "
        "PSNR is 1 to 2 dB above that of the usual tables at equal size, which are made for eyes, and halved chroma "
        "costs more than it saves. All-intra H.264 is smaller at equal PSNR, and so is WebP at 224×224, but they take "
        "three to ten times as long to decode; lossless codings take three times the room.",
        "",
        f"Up to {frames.RAW_BYTES / 1e9:g} GB of frames stay raw by default, so that a few hundred moments lose "
        "nothing. `build` says in a line when it compresses, and `inspect` the PSNR.",
        "",
        "Training `warp` on the simulator's frames, batch 8, three frames each, in processor's milliseconds a step "
        "(medians, turn by turn):",
        "",
        "| a camera | 1M frames as JPEG | reading, raw | reading, JPEG | step, raw | step, JPEG | reading's share |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for side, s in speeds.items():
        reading = f"{s['raw, frames']:.1f} ms | {s['jpeg, frames']:.1f} ms"
        step = f"{s['raw']:.0f} ms | {s['jpeg']:.0f} ms | {100 * s['jpeg, frames'] / s['jpeg']:.1f} %"
        lines.append(f"| {side}×{side} | {s['million']:.1f} GB | {reading} | {step} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, help="a folder of real recordings")
    arguments = parser.parse_args()
    names = ("g1_inspire_v21", "cr5_banana_v30") if arguments.recordings else ()
    with tempfile.TemporaryDirectory() as work:
        write_table(TABLE, page(Path(work), [arguments.recordings / name for name in names]))


if __name__ == "__main__":
    main()
