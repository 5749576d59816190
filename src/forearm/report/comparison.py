"""From several runs to one page: evaluate those that have not been, on the same samples, and set them side by side."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import reduce
from pathlib import Path

import numpy as np

from forearm.base.errors import ForearmError
from forearm.base.files import require_replaceable, writing
from forearm.evaluation.saved import METRICS_FILE, Saved, digest_of, evaluations_of, read_figures, scored_on
from forearm.report.assessment import Watch, assess
from forearm.report.comparison_page import GENERATOR, ComparedRun, render
from forearm.report.lineage import LineageRun
from forearm.training.run import Run
from forearm.transitions.split import MOST_REPORTED, drawn_equally
from forearm.transitions.store import TransitionSet


@contextmanager
def unwatched(name: str) -> Iterator[Watch]:
    """Show no progress while a run is evaluated."""
    yield lambda done, total: None


def compare(
    paths: Sequence[Path],
    out: Path,
    *,
    data: Path | None = None,
    device: str = "auto",
    watching: Callable[[str], AbstractContextManager[Watch]] = unwatched,
) -> Path:
    """Write one page that says which of several runs is best and how sure that is; return its path.

    A run that has not been evaluated on the samples in question, or not with the weights it has now, is evaluated
    first. The samples are those of the runs' own data, or of ``data``, that neither trained a run nor chose its best
    weights.

    Args:
        out: an HTML file; an earlier comparison there is replaced, anything else is not.
        watching: from a run's name to what is called with the progress of its evaluation.
    """
    if not paths:
        raise ForearmError("compare needs at least one run: a folder that forearm train wrote")
    require_replaceable(Path(out), GENERATOR)
    runs = [Run.open(path) for path in paths]
    resolved = [run.path.resolve() for run in runs]
    for i, path in enumerate(resolved):
        if path in resolved[:i]:
            raise ForearmError(f"run {paths[i]} is given twice; name each run once")
    digest, rows = _samples(runs, data)
    found = {}
    for run in runs:
        saved = saved_on(run, digest)
        if saved is None:
            with watching(run.name) as watch:
                report = assess(run.path, data=data, rows=rows, device=device, watch=watch)
            saved = Saved.open(report.parent, run.layout())
        found[run.path.resolve()] = saved
    first, *others = found.values()
    for run, saved in zip(runs[1:], others, strict=True):
        if not np.array_equal(saved.rows, first.rows):
            raise ForearmError(f"the evaluation of run {run.name} has other samples than it says; evaluate it again")
    lineage = _lineage(runs, found, digest)
    names = {run.key: run.name for run in lineage}
    compared = [
        ComparedRun(names[str(path)], found[path], run.layout(), run.config(), run.log())
        for run, path in zip(runs, resolved, strict=True)
    ]
    with writing(out) as beside:
        beside.write_text(render(compared, lineage), encoding="utf-8")
    return Path(out)


def saved_on(run: Run, digest: str) -> Saved | None:
    """A run's evaluation on the samples of a digest; None without one, or if the weights have changed since."""
    for folder, figures in evaluations_of(run.path):
        if scored_on(figures) == digest:
            checkpoint = figures["checkpoint"]
            # Without weights, as where only an evaluation was handed on, there is nothing it could be older than.
            if not run.weights_file(checkpoint).is_file() or run.weights_digest(checkpoint) == figures["weights"]:
                return Saved.open(folder, run.layout())
    return None


def _samples(runs: list[Run], data: Path | None) -> tuple[str, np.ndarray | None]:
    """The digest of the samples to compare on, and the rows of which they are drawn.

    On ``data`` these are those of episodes that neither trained a run nor chose its best weights; without it None, as
    each run reports on its own data.
    """
    if data is not None:
        transitions = TransitionSet(data)
        common = reduce(np.intersect1d, (run.reported_on(transitions, len(transitions)) for run in runs))
        if not len(common):
            raise ForearmError(f"{data} has no episode that none of the runs was trained on; name other data")
        return digest_of(transitions, drawn_equally(common, transitions.groups, MOST_REPORTED)), common
    first, *others = runs
    digest = _own_digest(first)
    for run in others:
        if _own_digest(run) != digest:
            raise ForearmError(
                f"runs {first.path} and {run.path} validate on different samples "
                f"({first.data_path()} and {run.data_path()}); "
                "name the data to compare them on with --data"
            )
    return digest, None


def _own_digest(run: Run) -> str:
    """The digest of the samples of its own data that a run reports on; without the data, what its evaluation says."""
    try:
        data = TransitionSet(run.data_folder())
    except ForearmError:
        figures = run.path / "evaluation" / METRICS_FILE
        digest = scored_on(read_figures(figures.parent)) if figures.is_file() else None
        if digest is None:
            raise
        return digest
    return digest_of(data, run.reported_on(data))


def _lineage(runs: list[Run], found: dict[Path, Saved], digest: str) -> list[LineageRun]:
    """The runs and their ancestors, as far as they can still be opened, each after its parent."""
    known: dict[Path, tuple[Run | None, Path | None]] = {}

    def add(path: Path) -> None:
        if path in known:
            return
        try:
            run = Run.open(path)
            parent = run.parent()
        except ForearmError:
            known[path] = None, None
            return
        known[path] = run, parent.resolve() if parent else None
        if parent:
            add(parent.resolve())

    for run in runs:
        add(run.path.resolve())
    names = dict(zip(known, _distinct(list(known)), strict=True))
    return [
        LineageRun(
            key=str(path),
            name=names[path],
            parent=str(parent) if parent else None,
            family=run.config()["family"] if run else None,
            evaluation=(found.get(path) or saved_on(run, digest)) if run else None,
            notes=run.notes() if run else "",
            compared=path in found,
        )
        for path, (run, parent) in known.items()
    ]


def _distinct(paths: list[Path]) -> list[str]:
    """For each path the shortest end that no other has."""

    def end(path: Path, depth: int) -> tuple[str, ...]:
        return path.parts[-depth:]

    def name(path: Path) -> str:
        others = [other for other in paths if other != path]
        depths = range(1, len(path.parts) + 1)
        return "/".join(next(end(path, d) for d in depths if end(path, d) not in [end(other, d) for other in others]))

    return [name(path) for path in paths]
