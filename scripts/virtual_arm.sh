#!/usr/bin/env bash
# From an arm that nobody has calibrated to foresight, through LeRobot's own driver, on a virtual arm, with faults:
# calibrate, doctor, record 60 actions, build, train, predict and execute 10, plan to a picture, learn 3 cycles.
# What it prints is a page in Markdown: docs/log/2026-11-27-virtual-arm.md is one.
#
# Usage: virtual_arm.sh [WORK]    WORK: a folder for everything, by default virtual-arm; what is in it is done with.
# On PATH: python, forearm and LeRobot's commands, of one environment with lerobot[dataset,feetech] and forearm[sim,play];
# and cc, a C compiler, so that OpenCV opens the virtual cameras.
set -euo pipefail
work=${1:-virtual-arm}
command -v cc >/dev/null || { echo "virtual_arm.sh: no C compiler here; run: apt-get install gcc libc6-dev" >&2; exit 2; }
rm -rf "$work"; mkdir -p "$work"; cd "$work"
export HF_LEROBOT_CALIBRATION=$PWD/calibration OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
pan=(--joints shoulder_pan --position-delta 10 --ranges shoulder_pan -30 30)
filming=(--episodes 60 --fps 10 --camera-size 240 320 --action-duration 0.5 --settling 0.3 --sessions 1 --back-to-back)
robot=(--robot arm/port --robot-id virtual --camera base arm/base wrist arm/wrist --yes)

exec 4>&2
fail() { echo "virtual_arm.sh: $*" >&2; exit 1; }
until_true() { # SECONDS COMMAND…
    local end=$((SECONDS + $1)); shift
    until "$@"; do [ $SECONDS -lt $end ] || fail "waited in vain: $*"; sleep 0.1; done
}

# The arm, and the person beside it

serve() { # starts the arm; options as of forearm virtual-arm
    setsid forearm virtual-arm arm --scene 7 --fps 15 "$@" </dev/null >arm.log 2>&1 &
    trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
    until_true 300 grep -qs "^port" arm.log
}
lines() { wc -l <arm.log; }
tell() { # types a command, and waits for its answer
    local before; before=$(lines)
    echo "$*" >arm/control
    until_true 60 eval "[ \$(lines) -gt $before ]"
    tail -n 1 arm.log
}
motors() { tell status | awk -v word="$1" "{ print gsub(word, word) }"; }
by_hand_home() { # a person switches it off, puts it over the table, and switches it on
    tell power off >/dev/null; tell mend >/dev/null; tell hand home >/dev/null; sleep 4
}
again() { # COMMAND…: once more, as a person does, where a busy machine's pictures or answers come too late
    for _ in 1 2 3 4; do if "$@"; then return; fi; echo "once more: $(tail -n 1 last.log)" >&4; done
    "$@"
}
mended() { tell mend >/dev/null; sleep 1; }

# What is done with it; each program finds the cameras through the library

with_cameras() { LD_PRELOAD=$PWD/arm/video.so "$@"; }
calibrate() {
    mkfifo keys
    exec 3<>keys
    local calibrating
    for _ in 1 2 3; do  # on a busy machine an answer comes too late for LeRobot, which asks once
        lerobot-calibrate --robot.type=so101_follower --robot.port=arm/port --robot.id=virtual <keys >calibrate.log 2>&1 &
        calibrating=$!
        until_true 300 eval "grep -q 'middle of its range' calibrate.log || ! kill -0 $calibrating 2>/dev/null"
        ! kill -0 $calibrating 2>/dev/null || break
    done
    grep -q "middle of its range" calibrate.log || fail "$(tail -n 1 calibrate.log)"
    tell hand middle >/dev/null; sleep 3; echo >&3
    until_true 300 grep -q "Press ENTER to stop" calibrate.log
    tell hand sweep >/dev/null; sleep 12; echo >&3
    exec 3>&-
    wait $calibrating
    grep "Calibration saved" calibrate.log | sed "s|to .*|under the name virtual|"
    tell hand home >/dev/null; sleep 3
}
staged() { ls rec.partial 2>/dev/null | grep -c '^episode_' || true; }
record() { with_cameras forearm record "${robot[@]}" "${pan[@]}" "${filming[@]}" --out rec; }
fault() { # LIMP COMMAND…: while actions are recorded; LIMP motors are limp afterwards
    local limp=$1 code=0 kept; shift
    kept=$(staged)
    record >record.log 2>&1 &
    local recording=$!
    until_true 300 eval "[ \$(staged) -ge $((kept + 2)) ] || ! kill -0 $recording 2>/dev/null"
    sleep 0.6
    kept=$(staged)
    tell "$*" >/dev/null
    wait $recording || code=$?
    local line limps; line=$(tail -n 1 record.log); limps=$(motors limp)
    echo "| \`$*\` | $code | $line | $((6 - limps)) stiff, $limps limp | $(staged) |"
    [ "$code" = 2 ] || fail "recording ended with $code"
    [ "$limps" = "$limp" ] || fail "$limps motors are limp instead of $limp"
    [ "$(staged)" -ge "$kept" ] || fail "recorded actions are lost"
    ! grep -q Traceback record.log || fail "a traceback"
    mended
}
turn() { # DEGREES [NAME]: through LeRobot alone; what its cameras see then goes to NAME-CAMERA.png, in the run's size
    with_cameras python - "$@" <<'END'
import sys
import time
from pathlib import Path

import numpy as np
from lerobot.cameras.opencv import OpenCVCameraConfig
from lerobot.robots.so_follower import SO101Follower, SO101FollowerConfig
from PIL import Image

cameras = {
    name: OpenCVCameraConfig(index_or_path=Path("arm") / name, width=320, height=240, fps=10) for name in ("base", "wrist")
}
config = SO101FollowerConfig(port="arm/port", id="virtual", cameras=cameras, disable_torque_on_disconnect=False)
robot = SO101Follower(config)
for left in reversed(range(3)):  # it asks each motor once, and waits 50 ms for the answer
    try:
        robot.connect(calibrate=False)
        break
    except (ConnectionError, RuntimeError):
        if not left:
            raise
        robot.bus.disconnect(disable_torque=False)
start = {key: value for key, value in robot.get_observation().items() if key.endswith(".pos")}
began, loops = time.monotonic(), 0
while (share := min(1.0, (time.monotonic() - began) / 2)) < 1:
    robot.get_observation()
    robot.send_action(start | {"shoulder_pan.pos": start["shoulder_pan.pos"] + share * float(sys.argv[1])})
    loops += 1
    time.sleep(max(0.0, began + loops / 30 - time.monotonic()))
time.sleep(1)
seen = robot.get_observation()
was, is_now = (each["shoulder_pan.pos"] for each in (start, seen))
print(f"shoulder_pan went from {was:.1f} to {is_now:.1f} degrees, with {loops / 2:.0f} looks and targets a second")
robot.disconnect()
if len(sys.argv) > 2:
    from forearm import open_run
    from forearm.arms.pictures import observed

    layout, top = open_run("run").layout(), 0
    picture = observed(layout, {name: seen[name] for name in cameras}, np.zeros(len(layout.joints))).picture
    for camera in layout.cameras:
        Image.fromarray(picture[top : top + camera.height, : camera.width]).save(f"{sys.argv[2]}-{camera.name}.png")
        top += camera.height
END
}
step() { echo; echo "## $*"; echo; }

step "Calibrate"
serve --uncalibrated
calibrate
tr -d ' \n' <arm/calibration.json; echo

step "Move it by LeRobot alone"
turn 15
turn -15

step "Doctor"
with_cameras forearm doctor "${robot[@]}" 2>&1 || echo "exit code $?"

step "Record 60 actions, with faults"
echo "| fault | exit code | last line | motors | actions kept |"
echo "|---|---|---|---|---|"
fault 0 silent elbow_flex
fault 0 garbled wrist_flex
fault 0 blocked shoulder_pan
fault 1 hot gripper 75
fault 0 unplug
fault 6 power off
fault 0 camera wrist off
again eval "record >last.log 2>&1" || fail "$(tail -n 1 last.log)"
forearm inspect rec 2>/dev/null | head -n 3

step "Build and train"
forearm build rec --out data 2>&1 | tail -n 1
forearm train warp --data data --out run --size tiny --steps 400 --evaluate-every 100 --model.mse-weight 10 --device cpu 2>&1 | tail -n 2

step "Live: 10 predicted and executed"
by_hand_home
again with_cameras forearm live run "${robot[@]}" --trials 10 --out live 2>last.log || fail "$(tail -n 1 last.log)"

step "Plan to a picture"
by_hand_home
turn 10 goal
turn -10
plan() {
    rm -rf plan
    with_cameras forearm plan run "${robot[@]}" --picture goal-base.png goal-wrist.png --steps 4 --out plan >last.log 2>&1
}
again plan || fail "$(tail -n 1 last.log)"
tail -n 8 last.log

step "Learn 3 cycles"
by_hand_home
learn() {
    with_cameras forearm learn run "${robot[@]}" --out learned --no-page --actions 36 --verify 6 --explore 6 --locked 6 \
        --wide 0 --rearrange-every 0 --bins 3 --steps 30 --device cpu >last.log 2>&1
}
again learn || fail "$(tail -n 1 last.log)"
tail -n 12 last.log
