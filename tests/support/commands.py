"""Run forearm's commands in this process or in another, as a user does in a shell."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from forearm import cli
from support.waiting import PATIENCE

SMALL = (
    *("--model.width", 32, "--model.depth", 1, "--model.heads", 2),
    *("--model.decoder-width", 16, "--model.decoder-depth", 1, "--model.decoder-heads", 2),
)
"""Settings of the smallest masked autoencoder, for ``forearm train mae``."""


@dataclass(frozen=True)
class Outcome:
    """What a command left behind: exit code, standard output and standard error."""

    code: int
    out: str
    err: str


def forearm(*args: object) -> Outcome:
    """Run a command in this process, which spares it the import of PyTorch."""
    out, err = io.StringIO(), io.StringIO()
    code, handler = 0, signal.getsignal(signal.SIGTERM)
    with (
        mock.patch.object(sys, "argv", ["forearm", *map(str, args)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            signal.signal(signal.SIGTERM, handler)
    return Outcome(code, out.getvalue(), err.getvalue())


def start(*args: object, **environment: str) -> "subprocess.Popen[str]":
    """Start a command as its own process group, as a shell does."""
    return subprocess.Popen(
        [sys.executable, "-m", "forearm", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )


def end(process: "subprocess.Popen[str]") -> Outcome:
    """Wait for a started command; its code is the one that a shell shows.

    A Python that was interrupted while it executed a string (as dataclasses and named tuples do when they are made)
    ends itself by SIGINT once it is done, whatever its exit code: for a shell that is 130 too.
    """
    out, err = process.communicate(timeout=PATIENCE)
    code = process.returncode
    return Outcome(code if code >= 0 else 128 - code, out, err)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, and every empty folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
        elif not any(path.iterdir()):
            found[f"{path.relative_to(folder)}/"] = b""
    return found


def error_of(outcome: Outcome) -> str:
    """The one line that a refused command says, which has to be alone."""
    assert outcome.code == 2, outcome
    assert "Traceback" not in outcome.err
    (line,) = outcome.err.splitlines()
    assert line.startswith("forearm: "), outcome.err
    return line.removeprefix("forearm: ")
