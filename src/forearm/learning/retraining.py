"""From a cycle's recording to a trained candidate."""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

from forearm.base.errors import ForearmError
from forearm.base.files import writing
from forearm.canvas import PRESETS, Layout
from forearm.learning.settings import LearnSettings
from forearm.training.launch import Watching, resume_run, train_run, unwatched
from forearm.training.run import Run
from forearm.transitions.bounds import read_bounds
from forearm.transitions.build import build
from forearm.transitions.combine import combine
from forearm.transitions.settings import BuildConfig
from forearm.transitions.store import TransitionSet

VALIDATIONS = 3
"""How often a training is validated."""


def built(recording: Path, out: Path, run: Run, val: float) -> TransitionSet:
    """The dataset of a recording in the geometry and with the bounds of a run; made if it is not there.

    Args:
        recording: of single actions.
        out: the dataset's folder.
        run: whose layout decides.
        val: share of the episodes that validates; 1 for a test set.
    """
    if out.exists():
        return TransitionSet(out)
    layout = run.layout()
    config = BuildConfig(
        preset=preset_of(layout),
        size=layout.cameras[0].height,
        cameras=tuple(camera.name for camera in layout.cameras),
        fit=layout.cameras[0].fit,
        stacking=layout.stacking if len(layout.cameras) > 1 else BuildConfig.stacking,
        history=layout.history,
        actions="log",
        bounds=run.layout_file,
        val=val,
    )
    return build(recording, out, config)


def preset_of(layout: Layout) -> str:
    """The preset that has a layout's patches.

    Raises:
        ForearmError: none has.
    """
    for name, preset in PRESETS.items():
        if (preset.patch, preset.separator) == (layout.patch, layout.separator):
            return name
    raise ForearmError(f"the run has patches of {layout.patch}, as no preset of forearm build has; train another run")


def together(sets: Sequence[TransitionSet], out: Path, run: Run) -> TransitionSet:
    """All transitions of the sets in one dataset with the bounds of a run, unless it is there already."""
    names = [str(data.path) for data in sets]
    if len(sets) == 1:
        return sets[0]
    try:
        data = TransitionSet(out)
        if data.facts["settings"].get("combined") == names:
            return data
    except ForearmError:  # not there, or half removed when this was interrupted
        pass
    shutil.rmtree(out, ignore_errors=True)
    return combine(sets, out, read_bounds(run.layout_file))


def retrained(
    data: TransitionSet,
    out: Path,
    parent: Run,
    settings: LearnSettings,
    device: str,
    watching: Watching = unwatched,
) -> Run:
    """A run trained on ``data``, from the parent's weights or cold; an interrupted training goes on.

    Raises:
        ForearmError: the loss diverges, or a folder cannot be written.
        KeyboardInterrupt: it was interrupted; a checkpoint is written.
    """
    begun = parent.training()
    config = dataclasses.replace(
        begun,
        steps=settings.steps,
        minutes=None,
        schedule="cosine",
        learning_rate=settings.learning_rate,
        matrix_rate=begun.matrix_rate * settings.learning_rate / begun.learning_rate,
        warmup=min(begun.warmup, max(1, settings.steps // 10)),
        ema=min(begun.ema, 1 - 10 / max(settings.steps, 20)),
        evaluate_every=max(1, settings.steps // VALIDATIONS),
        patience=0,
        seed=settings.seed,
    )
    cold = settings.retrain == "cold"
    if out.exists():
        run = Run.open(out)
        if run.training() == config and (run.config()["fine_tuned_from"] is None) == cold:
            # Its checkpoint knows whether it is finished; the log has the last step before the weights are written.
            return _with_last_weights(resume_run(out, data.path, device=device, watching=watching))
        shutil.rmtree(out)  # it was begun with settings that have changed since
    if not cold:
        run = train_run(data, out, config=config, fine_tune=parent.path, device=device, watching=watching)
        return _with_last_weights(run)
    facts = parent.config()
    size = "so101" if data.layout.patch >= 16 else "tiny"
    changes = {"family": facts["family"], "size": size, "model": facts["model"]}
    run = train_run(data, out, **changes, config=config, parent=parent.path, device=device, watching=watching)
    return _with_last_weights(run)


def _with_last_weights(run: Run) -> Run:
    """The candidate is what came of the whole training: a cycle's few validation moments cannot choose among its
    weights. Where they did, they twice preferred those of before the training, and the cycle taught nothing. Whether
    the candidate is good is decided on the locked set."""
    with writing(run.weights_file("best")) as best:
        shutil.copyfile(run.weights_file("last"), best)
    return run
