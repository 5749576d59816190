"""The page of control claims no more than its starts and goals do."""

import numpy as np
import pytest
from support.benchmarks import load

from forearm.control.planners import TreeSearch


@pytest.fixture(scope="module")
def control():
    return load("control")


def section(control, task="arm", rivals=None, **successes):
    """A task whose methods succeed so often, in the first of 40 scenes each."""
    outcomes = {}
    for name, hits in successes.items():
        method = control.Method(name, None, TreeSearch(1), joints=False, rival=(rivals or {}).get(name, ""))
        trials = [
            {"scene": i, "error": 0 if i < hits else 9, "first_there": 0, "moves": 1, "actions": 1, "processor": [1.0]}
            | {"cost": 30.0}
            for i in range(control.SLOW.get(name, 40))
        ]
        outcomes[name] = control.Outcome(method, trials)
    return control.Section(control.Task(task, {}), outcomes)


def test_methods_are_compared_on_the_same_scenes_and_corrected_for_all_of_the_page(control):
    found = section(control, warp=40, close=35, far=20, gpt=20, rivals={"far": "close"})
    assert {name: (one.value, one.trials) for name, one in found.compared.items()} == {
        "close": (-5 / 40, 40),
        "far": (-15 / 40, 40),
        "gpt": (-4 / 24, 24),
    }
    assert control.judged([found]) == {("arm", "close"): "≈", ("arm", "far"): "▼", ("arm", "gpt"): "≈"}
    six = section(control, warp=40, other=34)  # p = .031
    assert control.judged([six]) == {("arm", "other"): "▼"}
    assert control.judged([six, found])["arm", "other"] == "≈"


def test_whether_80_percent_of_40_beat_65_depends_on_which_scenes_were_missed(control):
    assert control.judged([section(control, warp=32, other=26)]) == {("arm", "other"): "▼"}, "6 scenes lost, none won"
    found = section(control, warp=32, other=26)
    for scene, trial in enumerate(found.outcomes["other"].trials[::-1]):
        trial["scene"] = scene  # it fails in others
    assert control.judged([found]) == {("arm", "other"): "≈"}, "14 lost, 8 won"


def test_a_target_beside_the_true_simulator_is_judged_in_pairs(control):
    assert "too close to call" in section(control, "shoulder", warp=40, **{"true simulator": 40}).target
    assert "missed" in section(control, "shoulder", warp=20, **{"true simulator": 40}).target
    assert "met" in section(control, "shoulder", warp=40, **{"true simulator": 20}).target


def test_the_table_says_how_long_everything_took(control):
    found = section(control, warp=40, other=0)
    rows = control.table(found, control.judged([found]))
    assert rows[2].startswith("| *warp* | 40 | 100 % (91 to 100) | – | 100 % | 1.0 | 0.00 | 1000 | 20.0 |")
    assert "| 0 % (0 to 9) | -100 (-100 to -82) ▼ |" in rows[3]
    assert "40.0 minutes of one core" in rows[-2]


def test_each_scene_is_one_that_no_recording_has(control):
    seeds = {control.scene_of(number) for number in range(100)}
    assert len(seeds) == 100
    assert np.min(list(seeds)) > 1000
