#!/bin/sh
# Installs LeRobot and then our wheel into one environment; records, builds, trains and evaluates there; LeRobot opens the
# recording. Usage: sh scripts/try_lerobot.sh [VENV]     PYTHON=python3.13 chooses another Python, 3.12 or later.
set -eu
cd "$(dirname "$0")/.."
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
venv=${1:-$work/venv}

[ -x "$venv/bin/pip" ] || "${PYTHON:-python3}" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
pip install "lerobot[dataset,feetech]==${LEROBOT:-0.6.1}"
"$venv/bin/pip" freeze >"$work/before"
pip wheel --no-deps --wheel-dir "$work" .
pip install "$(ls "$work"/forearm-*.whl)[robot,sim]"
"$venv/bin/pip" freeze | grep -vxFf - "$work/before" && { echo "forearm changed what LeRobot had asked for" >&2; exit 1; }

cd "$work"
forearm=$venv/bin/forearm
"$forearm" record --out recording --episodes 24 --size 64 --fps 10
"$forearm" build recording --out data
"$forearm" train --data data --out run --size tiny --steps 20 --evaluate-every 10 --device cpu
"$forearm" evaluate run --device cpu --samples 2 --rollouts 2
"$venv/bin/python" -c '
from lerobot.datasets.lerobot_dataset import LeRobotDataset
data = LeRobotDataset("local/recording", root="recording", video_backend="pyav")
assert data.num_episodes == 24, data.num_episodes
frames = [item["observation.images.base"].shape for item in data]
assert len(frames) == data.num_frames == 144, len(frames)
import forearm.control.robot'
echo "forearm and LeRobot work in one environment"
