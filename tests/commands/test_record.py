"""``forearm record``: no option without effect."""

from importlib.util import find_spec

import pytest
from support.commands import error_of, forearm

if find_spec("mujoco") is None:
    pytest.skip("needs the extra `sim`", allow_module_level=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--task push --joints gripper", "--joints has no effect without --single-actions or --every-action"),
        ("--task push --decisions 3", "--decisions has no effect without --single-actions or --every-action"),
        ("--task push --every-action --clumsiness 1", "--clumsiness has no effect with --single-actions or"),
        ("--task push --vary all", "--vary has no effect with --task"),
        ("--objects held-out", "--objects has no effect without --task"),
        ("--free-objects 1", "--free-objects has no effect without --task"),
        ("--single-actions", "--single-actions has no effect without --task"),
        ("--task push --single-actions --every-action", "--single-actions has no effect with --every-action"),
        ("--units %", "--units has no effect without --robot"),
        ("--max-step 3", "--max-step has no effect without --robot"),
        ("--robot /dev/x --camera top 0 --every-action", "--every-action has no effect with --robot"),
        ("--robot /dev/x --camera top 0 --size 64", "--size has no effect with --robot"),
        ("--robot /dev/x --camera top 0 --ranges gripper 9 1", "the range of gripper is 9 to 1; give its lower end"),
        ("--robot /dev/x --camera top 0 --fps 7", "an action of 0.5 s is 3.5 frames at 7 fps"),
        ("--robot /dev/x", "a recording needs a camera; name it with --camera NAME INDEX"),
        ("--task push --every-action --episodes 4", "every action from a state takes 3 episodes"),
    ],
)
def test_an_option_without_effect_is_refused(tmp_path, words, message):
    done = forearm("record", "--out", tmp_path / "out", *words.split())
    assert done.code == 2
    assert message in done.err
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_name_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert error_of(forearm("record", "--out", ".", "--episodes", 1)) == (
        ". names no new folder or file; choose another --out"
    )
    assert not list(tmp_path.iterdir())
