"""The scripts in ``benchmarks/`` as modules."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from unittest import mock

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    """A script as a module, under a name that no installed package has; what it imports beside it is forgotten."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    with mock.patch.object(sys, "path", [str(FOLDER), *sys.path]), mock.patch.dict(sys.modules):
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    return module
