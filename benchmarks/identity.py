"""Whether a change of the code changes a result: the rule of identical results. Two commands, on two commits:

    python benchmarks/identity.py --out before.json
    python benchmarks/identity.py --out after.json --against before.json
    python benchmarks/identity.py --out before.json --real RECORDING     # on a real recording as well

The script goes through the command line alone, so it runs on every commit. For each family it trains 100 steps at a
fixed seed, evaluates and plans, and keeps digests of the dataset, weights, predicted pictures, plans and the numbers of
``metrics.json``. Digests ignore names, so that a renamed tensor or key does not count as a change; numbers are compared
one by one under their keys. ``--against`` prints a table and exits with 1 where a result differs.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import safe_open

FAMILIES = ("mae", "gpt", "diffusion", "unet", "flow", "warp")
UNREPEATABLE = ("latency", "date", "path", "seconds", "name", "digest", "weights", "warnings", "run")
"""Keys of ``metrics.json`` and of plans that differ from run to run, or that digest what is compared elsewhere."""


def forearm(*words: object) -> None:
    """Run a command of forearm on one thread; its output is shown where it fails."""
    command = [sys.executable, "-m", "forearm", *map(str, words)]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")


def digest(arrays: list[np.ndarray]) -> str:
    """One digest of arrays, whatever their names and order."""
    each = sorted(hashlib.sha256(f"{a.dtype}{a.shape}".encode() + a.tobytes()).hexdigest() for a in arrays)
    return hashlib.sha256("".join(each).encode()).hexdigest()[:16]


def pictures(paths: list[Path]) -> str:
    """One digest of the pixels of PNG files."""
    return digest([np.asarray(Image.open(path)) for path in paths])


def tensors(path: Path) -> str:
    """One digest of the weights in a safetensors file."""
    with safe_open(path, "np") as file:
        return digest([file.get_tensor(name) for name in file.keys()])  # noqa: SIM118


def numbers(value: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """Every number in a JSON value, with the keys that lead to it."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name not in UNREPEATABLE:
                yield from numbers(part, f"{key}/{name}")
    elif isinstance(value, list):
        for i, part in enumerate(value):
            yield from numbers(part, f"{key}/{i}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield key, float(value)


def results(name: str, data: Path, work: Path, steps: int, families: list[str]) -> dict[str, Any]:
    """Digests and numbers of a dataset and of every family that is trained on it."""
    found: dict[str, Any] = {
        f"{name}: frames": digest([np.load(data / "frames.npy", mmap_mode="r")]),
        f"{name}: states": digest([np.load(data / "states.npy")]),
    }
    for family in families:
        run, plan = work / f"{name}-{family}", work / f"{name}-{family}-plan"
        print(f"{name} {family}", file=sys.stderr)
        forearm("train", family, "--data", data, "--out", run, "--steps", steps, "--seed", 0, "--device", "cpu")
        forearm("evaluate", run, "--samples", 4, "--rollouts", 4, "--horizon", 4, "--device", "cpu")
        forearm("plan", run, "--start", 0, "--like", 1, "--steps", 2, "--depth", 2, "--out", plan, "--device", "cpu")
        found |= {
            f"{name} {family}: weights": [tensors(run / f"{kind}.safetensors") for kind in ("best", "last")],
            f"{name} {family}: predicted pictures": pictures(sorted((run / "samples").glob("*.png"))),
            f"{name} {family}: grids": pictures(sorted((run / "evaluation" / "grids").glob("*.png"))),
            f"{name} {family}: metrics": dict(numbers(json.loads((run / "evaluation" / "metrics.json").read_text()))),
            f"{name} {family}: plan": dict(numbers(json.loads(next(plan.glob("*.json")).read_text()))),
        }
    return found


def difference(before: Any, after: Any) -> str:
    """Say how two results differ; nothing where they are identical."""
    if before == after:
        return ""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return "differs"
    common = before.keys() & after.keys()
    changed = {k: abs(after[k] - before[k]) / max(abs(before[k]), 1e-12) for k in common if after[k] != before[k]}
    parts = []
    if changed:
        worst = max(changed, key=changed.__getitem__)
        parts.append(f"{len(changed)} of {len(common)} numbers, at most by {changed[worst]:.1e} ({worst})")
    for what, keys in (("gone", before.keys() - after.keys()), ("new", after.keys() - before.keys())):
        if keys:
            parts.append(f"{len(keys)} {what}, such as {min(keys)}")
    return "; ".join(parts)


def main() -> None:
    """Keep the results of this commit, and compare them with another's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--against", type=Path, help="JSON file of another commit")
    parser.add_argument("--real", type=Path, help="a real recording to train on as well")
    parser.add_argument("--families", nargs="+", default=FAMILIES, help="those that both commits have")
    parser.add_argument("--steps", type=int, default=100, help="training steps of each family")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        forearm("record", "--episodes", 24, "--size", 64, "--fps", 2, "--sessions", 4, "--seed", 0, "--out", work / "r")
        forearm("build", work / "r", "--preset", "tiny", "--out", work / "simulated")
        found = results("simulated", work / "simulated", work, arguments.steps, arguments.families)
        if arguments.real:
            forearm("build", arguments.real, "--preset", "tiny", "--out", work / "real")
            found |= results("real", work / "real", work, arguments.steps, arguments.families)
    arguments.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if arguments.against:
        before = json.loads(arguments.against.read_text(encoding="utf-8"))
        different = {name: difference(before.get(name), found.get(name)) for name in before.keys() | found.keys()}
        for name in sorted(different):
            print(f"| {name} | {different[name] or 'identical'} |")
        sys.exit(int(any(different.values())))


if __name__ == "__main__":
    main()
