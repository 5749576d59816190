"""What the documents name exists: commands and their options, files, functions and classes."""

import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image
from support.commands import forearm
from support.tiny import write_data

from forearm import TrainConfig, train
from forearm.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES if page.stem != "CHANGELOG"}
CODE = re.compile(r"```(?s:.*?)```|`[^`]+`|^ {4}.*$", re.MULTILINE)
FILES = re.compile(r"\b(?:src|tests|docs|benchmarks|scripts|examples)/[\w./-]*[\w/]|\b[a-z_]+/[a-z_]+\.py\b")
CALL = re.compile(r"\bforearm ([a-z]+(?:-[a-z]+)*)\b([^\n|#]*)")
NAMES = re.compile(r"\bforearm(?:\.\w+)+")
EXAMPLES = {"src/forearm/models/direct.py"}
"""Files that a reader is asked to write."""


@cache
def options_of(command: str) -> set[str]:
    """The options in a command's help; of ``train`` those with the default family's settings."""
    words = (command, "warp") if command == "train" else (command,)
    return set(re.findall(r"--[a-z][\w.-]*", forearm(*words, "--help").out))


def code_of(text: str) -> str:
    return "\n".join(CODE.findall(text))


@pytest.mark.parametrize("page", TEXTS)
def test_commands_and_their_options_exist(page):
    for command, rest in CALL.findall(code_of(TEXTS[page])):
        assert command in COMMANDS, f"{page}: forearm {command}"
        wrong = set(re.findall(r"--[a-z][\w.-]*", rest)) - options_of(command)
        assert not wrong, f"{page}: forearm {command}{rest}"


@pytest.mark.parametrize("page", TEXTS)
def test_files_exist(page):
    for name in FILES.findall(code_of(TEXTS[page])):
        places = (ROOT / name, ROOT / "src" / "forearm" / name)
        assert any(place.exists() for place in places) or name in EXAMPLES, f"{page}: {name}"


@pytest.mark.parametrize("page", TEXTS)
def test_names_can_be_imported(page):
    for name in NAMES.findall(code_of(TEXTS[page])):
        require(name)


def require(name: str) -> None:
    """Import a module, or a module and its attribute."""
    try:
        import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module), attribute), name


def test_the_lines_of_the_readme_show_a_prediction(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", TEXTS["README.md"], re.DOTALL)
    data = write_data(tmp_path / "demo" / "data")
    config = TrainConfig(steps=1, evaluate_every=1, batch_size=2)
    train(data, tmp_path / "demo" / "run", family="mae", size="tiny", model={"width": 32, "depth": 1}, config=config)
    shown: list[Image.Image] = []
    monkeypatch.setattr(Image.Image, "show", lambda picture: shown.append(picture))
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert [picture.size for picture in shown] == [(data.layout.frame_width, data.layout.height)]


def test_documents_that_the_code_names_exist():
    named = [
        (name, file)
        for file in (ROOT / "src").rglob("*.py")
        for name in re.findall(r"\bdocs/[\w./-]*\w", file.read_text(encoding="utf-8"))
    ]
    assert len(named) > 5
    assert not [f"{file}: {name}" for name, file in named if not (ROOT / name).exists()]
