#!/bin/sh
# Builds the wheel, installs it in an empty environment, and runs a small demo there without the repository around.
# Usage: sh scripts/try_wheel.sh     Takes a few minutes, most of them for PyTorch's installation.
set -eu
cd "$(dirname "$0")/.."
repository=$PWD
unset PYTHONPATH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Build from a copy: setuptools leaves files behind, and a build must not see old ones.
git ls-files -z --cached --others --exclude-standard -- src pyproject.toml README.md LICENSE | tar --null -cf - -T - | (mkdir "$work/source" && tar -xf - -C "$work/source")
"${PYTHON:-python3}" -m pip --quiet --disable-pip-version-check wheel --no-deps --wheel-dir "$work" "$work/source"
wheel=$(ls "$work"/forearm-*.whl)
echo "built $(basename "$wheel")"
sh scripts/setup.sh "$work/venv" "$wheel[sim,play]"

cd "$work"
forearm=$work/venv/bin/forearm
"$work/venv/bin/python" -c '
import pathlib, sys, forearm
here, repository = pathlib.Path(forearm.__file__).resolve(), pathlib.Path(sys.argv[1])
sys.exit(f"{here} is in the repository" if repository in here.parents else 0)' "$repository"
version=$("$forearm" --version)
[ "$version" = "$(basename "$wheel" | cut -d- -f2)" ] || { echo "$wheel says that it is version $version" >&2; exit 1; }
"$forearm" demo --episodes 10 --steps 20 --no-open
"$forearm" inspect demo/run
for file in report.html metrics.json; do
    [ -s "demo/run/evaluation/$file" ] || { echo "the demo left no $file" >&2; exit 1; }
done
# The pages of play and of the simulator's scenes travel in the wheel as data.
"$work/venv/bin/python" -c '
import forearm, pathlib
package = pathlib.Path(forearm.__file__).parent
missing = [pattern for pattern in ("**/*.xml", "play/**/*.html", "play/**/*.js", "play/**/*.css") if not list(package.glob(pattern))]
assert not missing, f"the wheel has no {missing}"'
echo "the wheel works without the repository"
