"""``forearm train``."""

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from forearm.commands.console import training
from forearm.commands.options import Device
from forearm.errors import ForearmError
from forearm.models import DEFAULT, FAMILIES
from forearm.training.config import TrainConfig


@dataclass(frozen=True)
class TrainOptions:
    out: Path
    """The run's folder to write; it must not exist, but with --resume it must."""
    family: Positional[Annotated[str, tyro.conf.arg(metavar="{" + ",".join(FAMILIES) + "}")]] = DEFAULT
    """The family of models."""
    data: Path | None = None
    """The dataset to train on; with --resume that of the run by default."""
    size: str | None = None
    """The family's size by name; by default the one made for the dataset's patches."""
    model: tuple[str, ...] = ()
    """Single settings of the family as name=value, such as depth=6."""
    fine_tune: Path | None = None
    """A run whose weights, sizes and bounds to start from."""
    parent: Path | None = None
    """The run that this one follows and whose targets it is measured by; that of --fine-tune by default."""
    notes: Path | None = None
    """A text file with your notes: what changed, why, what to expect. Lines such as "target: val_mse <= 0.01, ssim >
    0.8" set targets for this run's children. It is kept in the run's folder."""
    resume: bool = False
    """Go on with an interrupted training, with the settings it was started with."""
    device: Device = "auto"
    """Where to train."""
    track: tuple[Literal["tensorboard", "trackio", "wandb"], ...] = ()
    """Trackers to log to besides log.jsonl."""
    training: OmitArgPrefixes[TrainConfig] = field(default_factory=TrainConfig)
    """How the training goes."""


def train(options: TrainOptions) -> None:
    """Train a model; best and last weights, log and sample pictures go to the run's folder.

    On several GPUs or processes: accelerate launch -m forearm train …

    Example: forearm train --data data --out run --minutes 20
    """
    from accelerate import PartialState

    from forearm.report.assessment import checked_notes
    from forearm.training.launch import resume_run, train_run

    for tracker in options.track:
        if find_spec(tracker) is None:
            raise ForearmError(f"--track {tracker} needs its package; install it with: pip install {tracker}")
    if options.resume and (options.parent or options.notes):
        raise ForearmError("--parent and --notes belong to a new run; leave them out to --resume one")
    if options.data is None and not options.resume:
        raise ForearmError("train needs --data, a dataset that forearm build wrote")
    try:
        if options.resume:
            resume_run(options.out, options.data, device=options.device, trackers=options.track, watching=training)
        else:
            assert options.data is not None
            train_run(
                options.data,
                options.out,
                family=options.family,
                size=options.size,
                model=dict(_setting(text) for text in options.model),
                config=options.training,
                fine_tune=options.fine_tune,
                parent=options.parent,
                notes=checked_notes(options.notes) if options.notes else "",
                device=options.device,
                trackers=options.track,
                watching=training,
            )
    except KeyboardInterrupt:
        again = f"forearm train {options.family} --out {options.out} --resume"
        raise KeyboardInterrupt(f"stopped; go on with: {again}") from None
    if PartialState().is_main_process:
        print(options.out)


def _setting(text: str) -> tuple[str, Any]:
    """``depth=6`` as ("depth", 6)."""
    import json

    name, equals, value = text.partition("=")
    if not equals:
        raise ForearmError(f"--model takes settings as name=value, not {text!r}")
    try:
        return name, json.loads(value.lower())
    except json.JSONDecodeError:
        return name, value
