"""``forearm train``."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, get_type_hints

import tyro
from tyro.conf import OmitArgPrefixes, Suppress

from forearm.base.errors import ForearmError
from forearm.commands.console import training
from forearm.commands.options import DatasetFolder, Device, OtherRun, not_with, only_with
from forearm.models import DEFAULT, family_names, get_family
from forearm.training.config import GPU_BATCH_SIZE, TrainConfig


@dataclass(frozen=True)
class ModelOptions:
    """Settings of the family; ``forearm train FAMILY --help`` shows them."""

    family: ClassVar[str | None] = None
    """The family that was named, if one was."""


Model = TypeVar("Model", bound=ModelOptions)


@dataclass(frozen=True)
class TrainOptions(Generic[Model]):
    out: Path
    """The run's folder to write; it must not exist, but with --resume it must."""
    model: Model
    """Settings of the family, warp unless another is named; each is that of the size by default."""
    data: DatasetFolder = None
    """The dataset to train on; with --resume that of the run by default."""
    size: str | None = None
    """The family's size: tiny, so101, base or large (docs/training.md); by default tiny or so101, whichever is made for
    the dataset's patches."""
    fine_tune: OtherRun = None
    """A run whose family, settings, weights and bounds to start from."""
    parent: OtherRun = None
    """The run that this one follows and whose targets it is measured by; that of --fine-tune by default."""
    notes: Path | None = None
    """A text file with your notes: what changed, why, what to expect. Lines such as "target: val_mse <= 0.01, ssim >
    0.8" set targets for this run and its children. It is kept in the run's folder."""
    weights: Path | None = None
    """A text file with a number a line for each transition or each episode of the dataset: how often the training draws
    it beside the others; 0 never. It is kept in the run's folder."""
    resume: bool = False
    """Go on with an interrupted training, with the settings it was started with. With --steps or --minutes it goes on
    to a later end, also if it had finished."""
    device: Device = "auto"
    """Where to train."""
    track: tuple[Literal["tensorboard", "trackio", "wandb"], ...] = ()
    """Trackers to log to besides log.jsonl, if they are installed. tensorboard --logdir RUN shows the first."""
    training: OmitArgPrefixes[TrainConfig] = field(default_factory=TrainConfig)
    """How the training goes."""
    given: Suppress[tuple[str, ...]] = ()
    """Names of the options that were given."""


FIXED = tuple(f.name for f in dataclasses.fields(TrainConfig) if f.name not in ("steps", "minutes"))
"""Settings that a resumed training keeps."""

RULES = (
    not_with("resume", "size", "model", "fine_tune", "parent", "notes", "weights", *FIXED),
    not_with("fine_tune", "size", "model"),
    not_with("minutes", "steps"),
    only_with("minutes", "clock"),
    only_with("schedule=plateau", "plateau_patience"),
)


def subcommand(args: Sequence[str]) -> tuple[str, Any, Sequence[str]]:
    """The name of the command, with its family if one is named, its options, and its other arguments."""
    generic: Any = TrainOptions
    if args and not args[0].startswith("-"):
        return f"train {args[0]}", generic[model_options(args[0], named=True)], args[1:]
    return "train [{" + ",".join(family_names()) + "}]", generic[model_options(DEFAULT, named=False)], args


def model_options(name: str, named: bool) -> type[ModelOptions]:
    """A dataclass of a family's settings, each None unless given: then it is that of the size."""
    family = get_family(name)
    kind = family.config
    hints = get_type_hints(kind)
    fields = []
    for setting in dataclasses.fields(kind):
        sizes = ", ".join(f"{size}: {getattr(config, setting.name)}" for size, config in family.sizes.items())
        hint = tyro.conf.arg(help_behavior_hint=f"({sizes})")
        fields.append((setting.name, Annotated[hints[setting.name] | None, hint], field(default=None)))
    # As a subclass it has the documentation of the settings; they are checked when they are whole.
    namespace = {"__post_init__": lambda self: None, "family": name if named else None}
    bases = (kind, ModelOptions)
    return dataclasses.make_dataclass(f"{kind.__name__}Options", fields, bases=bases, frozen=True, namespace=namespace)


def train(options: TrainOptions) -> None:
    """Train a model on a dataset.

    Weights, a log and sample pictures go to the run's folder.

    On several GPUs: torchrun --nproc-per-node 4 -m forearm train …

    Example: forearm train warp --data data --out run --minutes 20 --model.layers 6
    """
    from accelerate import PartialState

    from forearm.base.devices import device_named
    from forearm.report.assessment import checked_notes
    from forearm.training.launch import resume_run, train_run

    for tracker in options.track:
        if find_spec(tracker) is None:
            raise ForearmError(f"--track {tracker} needs its package; install it with: pip install {tracker}")
    common: dict[str, Any] = {"device": options.device, "trackers": options.track}
    try:
        if options.resume:
            _require_family(options, options.out)
            resume_run(
                options.out,
                options.data,
                steps=options.training.steps if "steps" in options.given else None,
                minutes=options.training.minutes,
                watching=training,
                **common,
            )
        else:
            if options.data is None:
                raise ForearmError("train needs --data, a dataset that forearm build wrote")
            if options.fine_tune is not None:
                _require_family(options, options.fine_tune)
            config = options.training
            if "batch_size" not in options.given and device_named(options.device).type == "cuda":
                config = dataclasses.replace(config, batch_size=GPU_BATCH_SIZE)
            settings = {f.name: getattr(options.model, f.name) for f in dataclasses.fields(options.model)}
            train_run(
                options.data,
                options.out,
                family=options.model.family or DEFAULT,
                size=options.size,
                model={name: value for name, value in settings.items() if value is not None},
                config=config,
                fine_tune=options.fine_tune,
                parent=options.parent,
                notes=checked_notes(options.notes) if options.notes else "",
                weights=options.weights,
                given=options.given,
                watching=partial(training, data=options.data),
                **common,
            )
    except KeyboardInterrupt:
        if not (options.out / "config.json").is_file():
            raise  # nothing is written yet that could go on
        raise KeyboardInterrupt(f"stopped; go on with: forearm train --out {options.out} --resume") from None
    if PartialState().is_main_process:
        print(options.out)


def _require_family(options: TrainOptions, path: Path) -> None:
    """Refuse a named family that is not that of the run whose family counts."""
    from forearm.training.run import Run

    run, named = Run.open(path), options.model.family
    family = run.config()["family"]
    if named not in (None, family):
        raise ForearmError(f"run {run.name} is of family {family}, so {named} has no effect; leave the family out")
