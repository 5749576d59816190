"""The table of rooms in docs/architecture.md and the imports of src/forearm agree."""

import ast
import functools
import itertools
import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "forearm"
ROW = re.compile(r"^\| `([\w.]+?)(?:\.py|/)` \|.*\| ([^|]*) \|$", re.MULTILINE)

LAZY = re.compile(r"forearm(\.\w+)+:[\w.]+$")
"""What `forearm.base.lazy.attach` imports when it is used."""


def read_table(text: str) -> dict[str, set[str]]:
    """For each room, in the order of the table, the rooms that it may import."""
    table: dict[str, set[str]] = {}
    for room, may_import in ROW.findall(text):
        table[room] = set(table) if may_import == "all above" else set(re.findall(r"\w+", may_import)) - {"–"}
    return table


@functools.cache
def rooms() -> dict[str, list[Path]]:
    """The files of each package and module directly below ``src/forearm``."""
    found: dict[str, list[Path]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        found.setdefault(file.relative_to(PACKAGE).parts[0].removesuffix(".py"), []).append(file)
    return found


def imported_rooms(source: str, package: str) -> dict[str, int]:
    """The rooms that a module of ``package`` imports anywhere, also inside functions, each with a line number."""
    names: dict[str, int] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *filter(None, [node.module])])
            modules = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and LAZY.match(str(node.value)):
            modules = [str(node.value)]
        else:
            continue
        for module in modules:
            top, _, rest = module.partition(".")
            if top == "forearm":
                room = re.split("[.:]", rest)[0]
                names.setdefault(room if room in rooms() else "__init__", getattr(node, "lineno", 0))
    return names


@functools.cache
def imports_of(room: str) -> list[tuple[Path, str, int]]:
    """Each room that a room's files import: the file, the other room, and a line number."""
    found = []
    for file in rooms()[room]:
        package = ".".join(["forearm", *file.relative_to(PACKAGE).parts[:-1]])
        imported = imported_rooms(file.read_text(encoding="utf-8"), package)
        found += [(file, other, line) for other, line in imported.items()]
    return found


PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TABLE = read_table(PAGE)
PATHS = {
    path.partition("\n")[0]: re.findall(r"^\d+\. `([\w.]+)`", path, re.MULTILINE)
    for path in PAGE.partition("## Three paths")[2].partition("\n## ")[0].split("\n### ")[1:]
}
"""For each path through the code the functions that are passed."""


def test_every_room_stands_in_the_table():
    assert TABLE.keys() == rooms().keys()


@pytest.mark.parametrize("room", rooms())
def test_a_room_imports_only_what_the_table_allows(room):
    allowed = TABLE.get(room, set()) | {room}
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {other}"
        for file, other, line in imports_of(room)
        if other not in allowed
    ]
    assert not wrong, f"docs/architecture.md lets {room} import {sorted(TABLE.get(room, set())) or 'nothing'}"


@pytest.mark.parametrize("room", rooms())
def test_the_table_allows_nothing_that_is_not_imported(room):
    assert TABLE[room] <= {other for _, other, _ in imports_of(room)}, (
        f"docs/architecture.md lists imports that {room} does not have"
    )


def test_the_rooms_stand_on_ten_floors():
    floors: dict[str, int] = {}
    for room, others in TABLE.items():
        floors[room] = 1 + max((floors[other] for other in others), default=0)
    assert max(floors.values()) <= 10
    # arms/ stands on three rooms, and six on it; virtual/ stands on two, and one on it; live needs three more in play/;
    # learning/ puts ten rooms together; gym opens runs for environment/;
    # trials/ brings policies, worlds and judges together; export/ stands on five, and play/ and commands/ on it
    assert sum(map(len, TABLE.values())) < 126


def test_no_room_may_import_one_below_its_own():
    order = list(TABLE)
    below = {(room, other) for room in order for other in TABLE[room] if order.index(other) >= order.index(room)}
    assert not below


@pytest.mark.parametrize("package", sorted(PACKAGE.rglob("__init__.py")), ids=lambda file: file.parent.name)
def test_nothing_lazy_is_called_as_a_module_beside_it(package):
    """Importing the module sets the package's attribute of that name: it would be the module from then on."""
    offered = re.findall(r'^        "(\w+)": "forearm', package.read_text(encoding="utf-8"), re.MULTILINE)
    assert not set(offered) & {module.name for module in pkgutil.iter_modules([str(package.parent)])}


def test_imports_are_found_wherever_they_stand():
    source = """
import numpy, forearm.canvas.layout
from forearm import __version__, batch
from ..models import blocks
from . import loop
from .loop import control
def f():
    if True:
        from forearm.play.app import serve
later = {"open_run": "forearm.training.run:Run.open"}
"""
    assert imported_rooms(source, "forearm.control") == {
        "canvas": 2, "__init__": 3, "batch": 3, "models": 4, "control": 5, "play": 9, "training": 10,
    }  # fmt: skip


def test_the_table_is_read_in_its_order():
    text = "| room | holds | may import |\n| `a.py` | x | – |\n| `b/` | `c/` | a |\n| `d.py` | y | all above |\n"
    assert read_table(text) == {"a": set(), "b": {"a"}, "d": {"a", "b"}}


@pytest.mark.parametrize("path", PATHS)
def test_a_path_names_functions_that_exist(path):
    assert len(PATHS[path]) > 5
    for name in PATHS[path]:
        assert callable(pkgutil.resolve_name(f"forearm.{name}")), name


@pytest.mark.parametrize("path", PATHS)
def test_a_path_returns_to_no_room_that_it_has_left(path):
    passed = [room for room, _ in itertools.groupby(name.split(".")[0] for name in PATHS[path])]
    assert len(passed) == len(set(passed)), passed
