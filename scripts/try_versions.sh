#!/bin/sh
# Tries the formats, the canvas and a training with the lowest or the newest versions of the packages that are declared.
# Usage: sh scripts/try_versions.sh lowest|newest [VENV]     PYTHON=python3.13 chooses another Python; an environment that
# has PyTorch keeps it.
set -eu
cd "$(dirname "$0")/.."
versions=$1
venv=${2:-$(mktemp -d)/venv}

[ -x "$venv/bin/pip" ] || "${PYTHON:-python3}" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
newer=$("$venv/bin/python" -c 'import sys; print(int(sys.version_info >= (3, 13)))')
case $versions in
lowest)  # as pyproject.toml declares them; on Python 3.13 the first that there are
    packages="av==15.0.0 accelerate==1.0.0 huggingface_hub==0.30.0 tyro==0.9.1 rich==13.0.0 jinja2==3.1.0"
    if [ "$newer" = 1 ]; then
        packages="$packages numpy==2.1.0 scipy==1.14.1 pyarrow==18.0.0 matplotlib==3.9.2 pillow==11.0.0 safetensors==0.4.5"
    else
        packages="$packages numpy==2.0.0 scipy==1.13.0 pyarrow==16.1.0 matplotlib==3.9.0 pillow==10.0.0 safetensors==0.4.3"
    fi ;;
newest) packages="" ;;
*) echo "say lowest or newest" >&2; exit 2 ;;
esac
torch=2.13.0
"$venv/bin/python" -c 'import torch' 2>/dev/null || pip install "torch==$torch+cpu" 2>/dev/null ||
    pip install "torch==$torch+cpu" --extra-index-url "${TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}"
# shellcheck disable=SC2086
pip install --only-binary :all: $packages pytest pytest-timeout hypothesis psutil
pip install --editable .
"$venv/bin/python" -m pytest tests/base tests/canvas tests/recordings tests/transitions tests/test_batch.py tests/training/test_loop.py
