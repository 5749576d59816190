"""Pack what ``scripts/gpu_job.sh`` needs on a machine without a network: recordings, packages, and this source.

    python scripts/gpu_pack.py --out gpu_carry

Recordings of the simulated shoulder are made with ``forearm record`` and their videos encoded anew as LeRobot encodes
its own (AV1, CRF 30, a key frame every second frame), at a fifth of the bytes. The packages are those that the other
machine lacks, for its version of Python, unpacked and compressed together.
"""

import argparse
import json
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import av

ROOT = Path(__file__).resolve().parents[1]
COMMON = ("--size", "224", "--fps", "2", "--sessions", "8")
KNOWN_SCENES = ("--scene-seed", "0")
RECORDINGS = {
    "moves": ("--episodes", "700", "--STAY", "0"),
    "more": ("--episodes", "800", "--STAY", "10", "--MOVE+", "3", "--MOVE-", "3", "--seed", "5", *KNOWN_SCENES),
    "known-scenes": ("--every-action", "--episodes", "150", "--seed", "1", *KNOWN_SCENES),
    "new-scenes": ("--every-action", "--episodes", "150", "--seed", "2"),
}
"""700 moves; 800 actions that make them 1,500 of which a third is STAY; and two test sets, each of 50 moments under
every action, in the scenes of training and in others."""
CODEC, OPTIONS = "libsvtav1", {"crf": "30", "g": "2", "preset": "5"}
PACKAGES = ("av", "simplejpeg", "tyro", "docstring_parser", "typeguard")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
COMPRESSION = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 6}]
"""Of the packages, which are mostly machine code."""


def encode_anew(video: Path) -> None:
    """Replace an mp4 by the same frames at the same times in the smaller encoding."""
    beside = video.with_suffix(".new.mp4")
    with av.open(str(video)) as source, av.open(str(beside), "w", format="mp4") as target:
        old = source.streams.video[0]
        new: Any = target.add_stream(CODEC, rate=old.average_rate, options=OPTIONS)
        new.width, new.height, new.pix_fmt = old.width, old.height, "yuv420p"
        new.codec_context.time_base = old.time_base
        for frame in source.decode(old):
            frame.pict_type = 0  # the encoder decides which frames are key frames
            target.mux(new.encode(frame))
        target.mux(new.encode())
    os.replace(beside, video)


def record(folder: Path) -> None:
    """Make the recordings that are not there yet, with small videos."""
    for name, options in RECORDINGS.items():
        recording = folder / name
        if recording.exists():
            continue
        print(f"recording {recording}", file=sys.stderr)
        fresh = folder / f"{name}.fresh"
        command = [sys.executable, "-m", "forearm", "record", "--out", str(fresh), *options, *COMMON]
        subprocess.run(command, check=True)
        for video in fresh.rglob("*.mp4"):
            encode_anew(video)
        info = fresh / "meta" / "info.json"
        facts = json.loads(info.read_text())
        for feature in facts["features"].values():
            if feature["dtype"] == "video":
                feature["info"]["video.codec"] = "av1"
        info.write_text(json.dumps(facts, indent=2))
        fresh.rename(recording)


def pack_packages(archive: Path, python: str) -> None:
    """Fetch wheels for another version of Python and pack them as they lie when installed."""
    with tempfile.TemporaryDirectory() as site:
        wheels = ["--no-deps", "--only-binary=:all:", "--python-version", python, "--implementation", "cp"]
        platforms = [word for name in PLATFORMS for word in ("--platform", name)]
        where = ["--no-compile", "--target", site, "--constraint", str(ROOT / "constraints.txt")]
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", *wheels, *platforms, *where, *PACKAGES], check=True
        )
        with lzma.open(archive, "wb", filters=COMPRESSION) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(site, ".")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "gpu_carry")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "gpu", help="where recordings are made")
    parser.add_argument("--python", default="3.12", help="version of Python on the other machine")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if not (recordings := arguments.out / "recordings.tar.gz").exists():
        folder = arguments.work / "recordings"
        folder.mkdir(parents=True, exist_ok=True)
        record(folder)
        with tarfile.open(recordings, "w:gz") as tar:
            tar.add(folder, ".")
    if not (packages := arguments.out / "packages.tar.xz").exists():
        print(f"packing {packages}", file=sys.stderr)
        pack_packages(packages, arguments.python)
    shutil.rmtree(arguments.out / "src", ignore_errors=True)
    shutil.copytree(ROOT / "src", arguments.out / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    (arguments.out / "commit.txt").write_text(commit)
    size = sum(path.stat().st_size for path in arguments.out.rglob("*") if path.is_file())
    print(f"{arguments.out}: {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
