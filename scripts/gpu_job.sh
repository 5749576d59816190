#!/usr/bin/env bash
# One job for one large GPU, without a network and within nine minutes: trains warp and mae at preset so101 on 700
# recorded canvases of the shoulder, and warp on 1,500; measures speed, utilisation, latency and memory; evaluates.
# It takes from gpu_carry/ (made by scripts/gpu_pack.py) what is packed there: recordings, packages, source. What is not
# packed it takes from the machine: the recordings are then simulated, which needs mujoco.
#
#   bash scripts/gpu_job.sh RESULTS [OPTION…]      options of scripts/gpu_job.py; RESULTS is the folder to write
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
carry=${GPU_CARRY:-$root/gpu_carry}
results=$1; shift
work=${GPU_WORK:-$(mktemp -d)}
mkdir -p "$results" "$work"

# Batches reach the training process through shared memory, which virtual machines may give little of.
mount -o remount,size=32G /dev/shm 2>/dev/null || true

unpack() { python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2], filter="tar")' "$1" "$2"; }
source=$root/src
[ ! -d "$carry/src" ] || source=$carry/src
[ ! -f "$carry/recordings.tar.gz" ] || unpack "$carry/recordings.tar.gz" "$work/recordings" &
[ ! -f "$carry/packages.tar.xz" ] || unpack "$carry/packages.tar.xz" "$work/packages"
wait
export PYTHONPATH=$source:$work/packages${PYTHONPATH:+:$PYTHONPATH}
export PYTHONUNBUFFERED=1 FOREARM_COMMIT="$(cat "$carry/commit.txt" 2>/dev/null || git -C "$root" rev-parse --short HEAD)"

python3 "$root/scripts/gpu_job.py" --out "$results" --work "$work" "$@" 2>&1 | tee "$results/job.log"
