"""The command line: the table of commands, and how a command ends."""

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from inspect import getdoc
from types import FrameType
from typing import get_type_hints

from forearm.base.errors import ForearmError

COMMANDS = {
    "demo": "simulate, train, evaluate and show a report, in minutes",
    "record": "record a simulated or a real SO-101 as a LeRobot dataset",
    "doctor": "examine a real SO-101 before it moves",
    "build": "make a dataset of transitions from recordings",
    "combine": "make one dataset of several, with common bounds",
    "inspect": "show what a recording, a dataset or a run holds",
    "train": "train a model on a dataset",
    "evaluate": "score a run on data and write its report",
    "compare": "show on one page which of several runs is best",
    "play": "steer what a run imagines, on a page in the browser",
    "live": "predict actions, let an arm carry them out, and compare",
    "plan": "find the actions that lead to a goal",
    "trial": "try policies in what a run imagines, and say which works",
    "export": "write a run as ONNX, or as a page that needs no server",
    "push": "upload a run or a dataset to the Hub, with a card",
    "virtual-arm": "be an SO-101 to try everything on: port, servos, cameras",
    "learn": "let an arm learn on: record where it errs, train, judge",
}
"""Each command and what it does; ``commands/NAME.py`` is imported when it runs, so that help is there at once."""

EXTRAS = {
    "mujoco": "sim",
    "lerobot": "robot",
    "fastapi": "play",
    "uvicorn": "play",
    "tensorboard": "tracking",
    "trackio": "tracking",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
}
"""The extra that installs a package which not everybody needs."""


def usage() -> str:
    """What ``forearm --help`` prints."""
    lines = [f"  forearm {name:<11} {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "Forearm gives a low-cost robot arm foresight.",
            "",
            *lines,
            "",
            "forearm COMMAND --help says more and gives an example.",
            "Results go to standard output, everything else to standard error.",
        ]
    )


def main() -> None:
    """Run the command that the arguments name.

    Exit codes: 0 done; 2 something the user can mend, told in one line; 130 interrupted.
    """
    signal.signal(signal.SIGTERM, _interrupt)  # so that a polite kill cleans up as Ctrl-C does
    try:
        _run(*sys.argv[1:] or ["--help"])
        sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        _leave(str(interrupt) or "stopped", 130)
    except ForearmError as error:
        _leave(str(error), 2)
    except BrokenPipeError:  # whoever read our output, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(error.name or "")
        if extra is None:
            raise
        _leave(f"this needs {error.name}; install it with: pip install 'forearm[{extra}]'", 2)
    except OSError as error:
        if error.errno is None:
            raise
        _leave(f"{error.filename or 'a file'}: {error.strerror}; nothing more was written", 2)


def _share_cores() -> None:
    """Where others use the cores, let threads that wait for one another give theirs away.

    Two trainings of two threads side by side then take .6 of the time. Where nobody else needs the cores, waiting
    actively halves a step. OpenMP reads this when PyTorch is imported.
    """
    from forearm.base.processes import others_run

    if others_run():
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _run(name: str, *args: str) -> None:
    if name in ("-h", "--help", "help"):
        print(usage())
    elif name == "--version":
        from forearm import __version__

        print(__version__)
    elif name in COMMANDS:
        from forearm.commands.options import parse

        _share_cores()
        function = name.replace("-", "_")
        module = import_module(f"forearm.commands.{function}")
        command = getattr(module, function)
        kind = get_type_hints(command, include_extras=True)["options"]
        words: Sequence[str] = args
        if hasattr(module, "subcommand"):
            name, kind, words = module.subcommand(args)
        command(parse(kind, words, f"forearm {name}", getdoc(command) or "", getattr(module, "RULES", ())))
    else:
        raise ForearmError(f"no command {name!r}; there are {', '.join(COMMANDS)}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _leave(message: str, code: int) -> None:
    print("forearm: " + " ".join(message.split()), file=sys.stderr, flush=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
