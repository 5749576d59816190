#!/bin/sh
# Sets forearm up in a virtual environment: python, packages, and what MuJoCo needs to draw without a display.
# Usage: sh scripts/setup.sh VENV [WHAT]     WHAT is what pip installs, this checkout for users by default.
# PYTHON=python3.12 chooses another Python. LEROBOT=0.6.1 sets it up beside that version of LeRobot, which
# decides the versions of what both need.
set -eu

venv=$1
what=${2:-"--editable .[sim,play]"}
python=${PYTHON:-python3}
lerobot=${LEROBOT:-}
if [ -n "$lerobot" ]; then
    oldest=12 torch=2.11.0 vision=0.26.0 bounds="lerobot[dataset,feetech]==$lerobot"
else
    oldest=11 torch=2.13.0 vision="" bounds="--constraint constraints.txt"
fi
gl_packages="libegl1 libopengl0 libgl1-mesa-dri"

say() { printf '%s\n' "$*" >&2; }
give_up() { say "setup: $*"; exit 2; }

# install PACKAGE...: with apt, where this user may
install() {
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" = 0 ]; then sudo=; elif sudo -n true 2>/dev/null; then sudo="sudo -n"; else return 1; fi
    say "installing $*"
    { $sudo apt-get -qq update && DEBIAN_FRONTEND=noninteractive $sudo apt-get -qq install -y --no-install-recommends "$@"; } >/dev/null 2>&1
}

command -v "$python" >/dev/null || give_up "no $python here; install Python 3.$oldest or later"
"$python" -c "import sys; sys.exit(sys.version_info < (3, $oldest))" ||
    give_up "$($python --version) is too old; install Python 3.$oldest or later and run make again, with PYTHON=python3.$oldest"

if [ ! -x "$venv/bin/pip" ]; then
    rm -rf "$venv"
    "$python" -c 'import ensurepip' 2>/dev/null || install python3-venv ||
        give_up "this Python cannot make virtual environments; run: apt-get install python3-venv"
    "$python" -m venv "$venv"
fi
pip() { "$venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }

# A machine without an NVIDIA GPU gets PyTorch's CPU build, not several GB of CUDA libraries.
if ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
    if [ "$(uname -s)" = Linux ] && ! nvidia-smi >/dev/null 2>&1; then
        say "installing PyTorch $torch for the CPU"
        set -- "torch==$torch+cpu" ${vision:+"torchvision==$vision+cpu"}
        pip install "$@" 2>/dev/null ||
            pip install "$@" --extra-index-url "${TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}" ||
            give_up "PyTorch's CPU build cannot be had; install torch $torch into $venv yourself and run make again"
    else
        say "installing PyTorch $torch"
        pip install "torch==$torch" ${vision:+"torchvision==$vision"}
    fi
fi

say "installing ${lerobot:+LeRobot $lerobot, }forearm and what it needs"
# shellcheck disable=SC2086
pip install $bounds $what

# MuJoCo draws in software where there is no display; what that takes is tried out, not guessed.
can_draw() {
    "$venv/bin/python" -c 'from forearm.sim.engine import make_renderer, mujoco
make_renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 8, 8).close()' 2>/dev/null
}
if ! can_draw; then
    # shellcheck disable=SC2086
    if ! install $gl_packages || ! can_draw; then
        give_up "MuJoCo cannot draw here; run: apt-get install $gl_packages"
    fi
fi
say "forearm is ready in $venv; to type it in this shell: . $venv/bin/activate"
