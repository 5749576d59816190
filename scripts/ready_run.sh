#!/usr/bin/env bash
# Make a run to give away, with which one can play before anything is trained: forearm-ready.tar.gz, for a release.
# Usage: scripts/ready_run.sh FOLDER [--episodes N --steps N]
set -euo pipefail
out=${1:?the folder to write}
shift
forearm demo --out "$out/demo" --no-open "$@"
rm -rf "$out/ready"
mkdir -p "$out/ready"
# What is pushed to the Hub is what is given away: weights, evaluation and card, and no path of this machine.
forearm push "$out/demo/run" ready/run --licence apache-2.0 --dry-run "$out/ready/run"
forearm push "$out/demo/data" ready/data --licence apache-2.0 --dry-run "$out/ready/data"
forearm export "$out/demo/run" --page "$out/ready/page"
forearm export "$out/demo/run" --onnx "$out/ready/run.onnx"
tar -czf "$out/forearm-ready.tar.gz" -C "$out" ready
du -h "$out/forearm-ready.tar.gz"
