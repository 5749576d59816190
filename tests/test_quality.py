"""The marks of the quality tables say no more than the samples do."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.benchmarks import load

from forearm.evaluation.samples import Samples

ROOT = Path(__file__).resolve().parents[1]
NOISE = np.random.default_rng(0).uniform(0.5, 1.5, 12)


@pytest.fixture(scope="module")
def quality():
    return load("quality")


def scored(quality, groups=12, metric="val_mse_moves", **errors):
    """A test set on which families have errors about as large as that, one a seed; names in italics are baselines."""
    contenders = {
        name: quality.Contender([Samples.of({metric: error * NOISE}) for error in seeds], name, baseline=name == "copy")
        for name, seeds in errors.items()
    }
    groups = np.arange(12) % groups
    costs = dict.fromkeys(errors, ("1.0", "9", "7"))
    return quality.Scored("A task: new scenes", "a task", contenders, groups, "scenes", frozenset(), "", costs)


def marks(quality, groups=12, **errors):
    """How the cells are marked, without their figures."""
    found = scored(quality, groups, **errors)
    return {who: re.sub(r"[\d.]+", "", found.cell("val_mse_moves", who)) for who in errors}


def test_the_best_is_bold_and_only_who_is_surely_worse_has_no_mark(quality):
    assert marks(quality, a=[0.1], b=[0.2], c=[0.1001]) == {"a": "****", "b": "", "c": " ≈"}


def test_five_groups_mark_nothing(quality):
    assert marks(quality, groups=5, a=[0.1], b=[0.2]) == {"a": "", "b": ""}
    assert "5 scenes: too few to tell" in scored(quality, 5, a=[0.1], b=[0.2]).conclusion()
    assert marks(quality, groups=6, a=[0.1], b=[0.2]) == {"a": "****", "b": ""}


def test_the_spread_over_seeds_counts(quality):
    assert marks(quality, a=[0.10, 0.11, 0.12], b=[0.20, 0.21, 0.22]) == {"a": "****", "b": ""}
    assert marks(quality, a=[0.10, 0.16, 0.22], b=[0.12, 0.20, 0.28]) == {"a": "****", "b": " ≈"}


def test_the_best_is_chosen_among_all_so_all_pairs_are_corrected_for(quality):
    """Among many equal families the best and the worst differ by chance alone."""
    rng, claims = np.random.default_rng(1), 0
    names = [str(i) for i in range(12)]
    for _ in range(60):
        contenders = {n: quality.Contender([Samples.of({"val_mse_moves": rng.normal(1, 0.1, 12)})], n) for n in names}
        found = quality.Scored("", "", contenders, np.arange(12), "scenes", frozenset(), "", {})
        assert len(found.judged) == 12 * 11 / 2
        claims += any(found.beside_best("val_mse_moves", who) == "worse" for who in names)
    assert claims <= 60 * 0.05 + 3 * (60 * 0.05 * 0.95) ** 0.5


def test_the_summary_says_who_is_best_whoever_it_is(quality):
    ahead = scored(quality, warp=[0.1], flow=[0.2], copy=[0.3])
    assert ahead.conclusion() == "- *a task*: `warp` is significantly better than every other row on MSE of moves."
    assert ahead.losses() == []
    level = scored(quality, warp=[0.1001], flow=[0.1], copy=[0.3])
    assert level.conclusion() == "- *a task*: `flow` is best on MSE of moves, level with warp."
    assert level.named(["flow", "copy", "warp"]) == "flow, warp and 1 baseline"
    (loss,) = level.losses()
    assert "level; `flow` has 0.1" in loss
    behind = scored(quality, warp=[0.2], flow=[0.1], copy=[0.3])
    assert "significantly worse; `flow` has" in behind.losses()[0]
    assert "| `warp` | .2" in "\n".join(quality.summary([behind], "one seed"))


def test_a_page_with_objects_says_where_their_figures_are_explained(quality):
    arguments = SimpleNamespace(size=None, preset="tiny", minutes=1, seeds=1, repeat=None, device="cpu")
    told = "(../metrics.md#things)"
    assert told not in quality.page([scored(quality, persistence=[0.1])], arguments)
    assert told in quality.page([scored(quality, metric="object_motion_slope", persistence=[0.1])], arguments)
    assert quality.OF_OBJECTS in (ROOT / "docs/benchmarks/things.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("blind", [None, 77])
def test_blind_scenes_are_recorded_with_their_seed_and_differ_from_all_others(quality, blind):
    names = ["shoulder", "shoulder-stay", "arm"]
    arguments = SimpleNamespace(blind=blind, size=None, preset="tiny", more_tests=True, real_train=None, only=names)
    for task in quality.tasks(arguments):
        seeds = {name: test.record[test.record.index("--seed") + 1] for name, test in task.tests.items()}
        assert seeds["new-scenes"] == "2"
        assert seeds.get("blind") == (str(blind) if blind else None)
        assert len(set(seeds.values())) == len(seeds)
        assert "--scene-seed" not in task.tests["blind" if blind else "new-scenes"].record
        if blind:
            shown = list(task.tests["new-scenes"].record)
            shown[shown.index("--seed") + 1] = "77"
            assert tuple(shown) == task.tests["blind"].record
            assert task.tests["blind"].build == task.tests["new-scenes"].build
    assert "blind" in quality.SUMMARISED
    assert "blind" in quality.TEST_SETS


@pytest.mark.parametrize("name", ["push", "play"])
def test_blind_scenes_of_objects_stand_instead_of_those_that_were_seen(quality, name):
    def tests_of(blind):
        arguments = SimpleNamespace(
            blind=blind, size=None, preset="tiny", more_tests=False, real_train=None, only=[name]
        )
        (task,) = quality.tasks(arguments)
        seeds = {test: each.record[each.record.index("--seed") + 1] for test, each in task.tests.items()}
        assert "held-out" in task.tests["blind-objects" if blind else "new-objects"].record
        assert len(set(seeds.values()) | {task.train.record[task.train.record.index("--seed") + 1]}) == len(seeds) + 1
        return seeds

    assert {"new-scenes": "2", "new-objects": "5"}.items() <= tests_of(None).items()
    assert {"blind": "77", "blind-objects": "78"}.items() <= tests_of(77).items()
    assert not {"new-scenes", "new-objects"} & tests_of(77).keys()


def test_contact_is_for_what_is_pushed(quality):
    assert quality.choice("warp", "play").settings["contact"] > 0
    assert quality.choice("warp", "arm") == quality.CHOSEN["warp"]
    assert quality.choice("flow", "play") == quality.CHOSEN["flow"]


def test_a_run_that_has_been_evaluated_is_not_trained_again(quality, tmp_path, monkeypatch):
    """Going on would note another commit and machine than those that trained it."""
    started = []
    monkeypatch.setattr(quality, "forearm", lambda *words: started.append(words))
    arguments = SimpleNamespace(device="cpu", minutes=1)
    run = tmp_path / "warp-0"
    quality.trained(run, "warp", quality.choice("warp", "arm"), tmp_path, 0, arguments)
    (run / "evaluation").mkdir(parents=True)
    quality.trained(run, "warp", quality.choice("warp", "arm"), tmp_path, 0, arguments)
    assert ["--resume" in words for words in started] == [False, True]
    (run / "evaluation" / "metrics.json").touch()
    quality.trained(run, "warp", quality.choice("warp", "arm"), tmp_path, 0, arguments)
    assert len(started) == 2


def test_generated_lines_stand_between_their_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- quality: made by x -->\nold\n<!-- end of quality -->\nafter\n")
    measuring = load("measuring")
    for _ in range(2):
        measuring.insert(page, "quality", ["new", "lines"])
        text = "before\n<!-- quality: made by x -->\n\nnew\nlines\n\n<!-- end of quality -->\nafter\n"
        assert page.read_text() == text


def test_the_documents_have_places_for_what_the_benchmarks_write():
    for document, names in {"README.md": ["quality"], "docs/results.md": ["quality", "losses", "control"]}.items():
        text = (ROOT / document).read_text(encoding="utf-8")
        for name in names:
            assert text.count(f"<!-- {name}:") == text.count(f"<!-- end of {name} -->") == 1, (document, name)


def test_objects_have_a_table_of_their_own_with_copying_and_the_floor_beside(quality):
    def samples(slope, pushed):
        return Samples.of({"val_mse_moves": NOISE, "object_motion_slope": slope * NOISE, "object_mse_pushed": pushed})

    contenders = {
        "warp": quality.Contender([samples(0.8, np.full(12, 0.01))], "warp"),
        "persistence": quality.Contender([samples(0, np.full(12, 0.04))], "persistence", baseline=True),
    }
    more = {"fed_back": {"warp": "12.5", "floor": "3.0"}, "floor": {"object_motion_slope": 0.97}}
    found = quality.Scored("A", "a", contenders, np.arange(12), "scenes", frozenset(), "", {"warp": "123"}, **more)
    pictures, objects = "\n".join(found.lines()).split("\n\n")[:2]
    assert "slope" not in pictures
    head, _, warp, copying, floor = objects.splitlines()
    assert head.count("|") == warp.count("|") == copying.count("|") == floor.count("|")
    assert warp.endswith("| 25% | – | 12.5 |")
    assert copying.endswith("| 100% | – | – |")
    assert "0.97" in floor
    assert floor.endswith("| 3.0 |")


def test_test_sets_of_objects_share_no_seed_with_training_and_hold_other_objects(quality):
    arguments = SimpleNamespace(blind=None, size=None, preset="tiny", more_tests=False, real_train=None)
    arguments.only = list(quality.OBJECT_TASKS)
    for task in quality.tasks(arguments):
        records = [task.train.record, *(test.record for test in task.tests.values())]
        assert len({record[record.index("--seed") + 1] for record in records}) == len(records)
        assert [name for name, test in task.tests.items() if "held-out" in test.record] == ["new-objects"]
        assert "held-out" not in task.train.record
