"""The tree of experiments holds every run once, below its parent where that is known."""

import re

from forearm.report.lineage import INDENT, LineageRun, draw


def run(key, parent=None, family="mae", notes=""):
    return LineageRun(key, name=key, parent=parent, family=family, evaluation=None, notes=notes, compared=True)


def places(svg):
    """Where each run stands: name to (x, y) of its box."""
    nodes = re.findall(r'<rect x="(\d+)" y="(\d+)".*?class="who"[^>]*>([^<]*)<', str(svg))
    return {name: (int(x), int(y)) for x, y, name in nodes}


def test_children_stand_below_their_parents():
    svg = draw([run("a"), run("c", "b"), run("b", "a"), run("d", "a"), run("alone")], {})
    at = places(svg)
    assert {name: x // INDENT for name, (x, _) in at.items()} == {"a": 0, "b": 1, "c": 2, "d": 1, "alone": 0}
    assert sorted(at, key=lambda name: at[name][1]) == ["a", "b", "c", "d", "alone"]
    assert str(svg).count("<path d=") == 3


def test_a_run_that_is_gone_is_drawn_as_such():
    svg = str(draw([run("lost", family=None), run("child", "lost")], {}))
    assert 'class="gone"' in svg
    assert "cannot be opened any more" in svg


def test_nobody_is_lost_where_a_run_descends_from_itself():
    assert places(draw([run("a", "b"), run("b", "a"), run("c", "c")], {})).keys() == {"a", "b", "c"}


def test_the_first_line_of_the_notes_is_shown_and_harmless():
    svg = str(draw([run("a", notes="\ntarget: val_mse <= 1\nA <brighter> lamp & so on\nmore")], {}))
    assert "mae · A &lt;brighter&gt; lamp &amp; so on<" in svg
