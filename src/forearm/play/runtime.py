"""onnxruntime-web, which a static page carries with it: npm fetches it once, and it is checked and kept."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from base64 import b64encode
from pathlib import Path

from forearm.base.errors import ForearmError
from forearm.base.files import read_bytes, reason_of, writing_folder

VERSION = "1.30.0"
INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""SHA-512 of that version's package."""
SCRIPT, GLUE, WASM = "ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"
"""What the page calls, what starts the WebAssembly, and the WebAssembly; MIT licence."""
PATIENCE = 600
"""Seconds that npm is given."""


def runtime(folder: Path | None = None) -> dict[str, bytes]:
    """The files of onnxruntime-web by name.

    Args:
        folder: where they are, or where its package is; by default the cache, which npm fills once.

    Raises:
        ForearmError: the folder lacks one, or npm is not here or does not give the package.
    """
    if folder is not None:
        places = (folder, folder / "dist", folder / "node_modules" / "onnxruntime-web" / "dist")
        place = next((each for each in places if (each / WASM).is_file()), folder)
    else:
        place = cache() / f"onnxruntime-web-{VERSION}"
        if not place.is_dir():
            _fetch(place)
    return {name: read_bytes(place / name) for name in (SCRIPT, GLUE, WASM)}


def cache() -> Path:
    """Where what was fetched is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forearm"


def _fetch(place: Path) -> None:
    """Have npm fetch the package, from the registry that it is set to, and keep the files that a page needs."""
    npm, wanted = shutil.which("npm"), f"onnxruntime-web@{VERSION}"
    if npm is None:
        raise ForearmError(
            f"the page needs {wanted}, which npm fetches once, and npm is not here; "
            f"install Node.js, or give --runtime FOLDER with {SCRIPT}, {GLUE} and {WASM}"
        )
    with tempfile.TemporaryDirectory() as there:
        try:
            subprocess.run(
                [npm, "pack", wanted, "--silent"], cwd=there, check=True, capture_output=True, timeout=PATIENCE
            )
        except (subprocess.SubprocessError, OSError) as error:
            said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
            raise ForearmError(f"npm does not fetch {wanted}: {said[-1] if said else reason_of(error)}") from error
        (package,) = Path(there).glob("*.tgz")
        with package.open("rb") as file:
            if b64encode(hashlib.file_digest(file, "sha512").digest()).decode() != INTEGRITY:
                raise ForearmError(f"what npm fetched as {wanted} is another package than was released under that name")
        place.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(package) as archive, writing_folder(place) as new:
            for name in (SCRIPT, GLUE, WASM):
                content = archive.extractfile(f"package/dist/{name}")
                assert content is not None
                (new / name).write_bytes(content.read())
