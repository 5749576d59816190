"""Digests of what `forearm build` makes of recordings, to compare two versions of the reader:

python benchmarks/frames.py RECORDING...
"""

import hashlib
import sys
import tempfile
from pathlib import Path

from forearm import BuildConfig, build


def main(recordings: list[str]) -> None:
    """Print for each recording the number of frames that a tiny build has, digests of frames and states, and skips."""
    for recording in recordings:
        with tempfile.TemporaryDirectory() as folder:
            data = build([recording], Path(folder) / "data", BuildConfig(preset="tiny", stride=0.1))
            digests = [hashlib.sha256(values.tobytes()).hexdigest()[:16] for values in (data.frames, data.states)]
            skipped = [skip["episode"] for skip in data.facts["skipped"]]
            print(Path(recording).name, len(data.frames), *digests, f"skipped {skipped}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
