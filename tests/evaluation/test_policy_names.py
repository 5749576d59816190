"""Short names of policies: without folders, and no two alike."""

import pytest

from forearm.evaluation.policy_names import short_names


@pytest.mark.parametrize(
    ("policies", "names"),
    [
        (["replay", "noise:5", "cut:.5", "expert:1e-1"], ["replay", "noise:5", "cut:.5", "expert:1e-1"]),
        (["/home/me/cloning.py:load:/runs/lift-300.safetensors"], ["cloning: lift-300"]),
        (["mine.py:make", "my.package:make", "a.b:make:0.5"], ["mine: make", "package: make", "b: 0.5"]),
        (["a.py:load:x.pt", "a.py:steady:x.pt"], ["a: load: x", "a: steady: x"]),
        (
            ["a.py:load:runs/000300/model", "a.py:load:runs/000600/model", "a.py:load:other"],
            ["a: 000300/model", "a: 000600/model", "a: other"],
        ),
        (["one/a.py:make", "two/a.py:make"], ["one/a: make", "two/a: make"]),
        (["a.py:load:x.pt", "a.py:load:x.safetensors"], ["a.py:load:x.pt", "a.py:load:x.safetensors"]),
    ],
)
def test_names_are_short_and_tell_policies_apart(policies, names):
    assert short_names(policies) == dict(zip(policies, names, strict=True))
