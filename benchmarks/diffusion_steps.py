"""What more sampling steps give a diffusion run, and what they cost. One command:

    python benchmarks/diffusion_steps.py RUN [--data DATA]

scores the run's validation transitions (or all of DATA) with 1, 2, 4, 10 and 50 steps and writes
docs/benchmarks/diffusion_steps.md. Times are compared in one process, turn by turn.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from measuring import ROOT, circumstances, ratio, write_table

from forearm import ForearmError
from forearm.evaluation.intervals import differences
from forearm.evaluation.metrics import Truth, per_sample
from forearm.evaluation.samples import Samples
from forearm.models import WorldModel, family_settings, make_model
from forearm.models.diffusion.model import DiffusionTransformer
from forearm.training.run import Run
from forearm.transitions.loader import batches
from forearm.transitions.store import TransitionSet

TABLE = ROOT / "docs" / "benchmarks" / "diffusion_steps.md"
STEPS = (1, 2, 4, 10, 50)
SHOWN = {"val_mse": ".5f", "val_mse_dynamic": ".5f", "ssim": ".4f", "acting_joint_position_mae": ".3f"}


def sampling(run: Run, steps: int) -> WorldModel:
    """The run's model, sampling in this many steps."""
    model = run.load()
    if not isinstance(model, DiffusionTransformer):
        raise ForearmError(f"{run.path} is a run of {run.config()['family']}; give one of diffusion")
    model.config = dataclasses.replace(model.config, steps=steps)
    return model


def scored(model: WorldModel, data: TransitionSet, rows: np.ndarray) -> Samples:
    """The metrics of every sample."""
    parts = []
    for batch in batches(data, rows, 16):
        parts.append(per_sample(Truth.of(batch), model.predict(batch.context()).frame.numpy()))
    return Samples.concatenate(parts)


@torch.inference_mode()
def table(run: Run, data: TransitionSet, rows: np.ndarray) -> str:
    """The page."""
    models = {steps: sampling(run, steps) for steps in STEPS}
    samples = {steps: scored(model, data, rows) for steps, model in models.items()}
    layout, config = run.layout(), run.config()
    size = "so101" if layout.patch >= 16 else "tiny"
    mae = make_model("mae", layout, family_settings("mae", size, {})).eval()
    one = data.batch(rows[:1]).context()

    def slower(steps: int, than: WorldModel) -> str:
        median, least, most = ratio(lambda: models[steps].predict(one), lambda: than.predict(one), 15)
        return f"{median:.1f}× ({least:.1f} to {most:.1f})"

    lines = []
    for steps in STEPS:
        values = samples[steps].table()
        figures = " | ".join(f"{values[name]:{form}}" for name, form in SHOWN.items())
        groups, _ = data.independent_groups(rows)
        more = differences(samples[steps].only(["val_mse"]), samples[1], groups[rows])["val_mse"]
        apart = "{:+.5f} to {:+.5f}".format(*more.interval) if more and steps > 1 else "–"
        lines.append(f"| {steps} | {figures} | {apart} | {slower(steps, models[1])} | {slower(steps, mae)} |")
    count = sum(p.numel() for p in models[1].parameters())
    return "\n".join(
        [
            "# Diffusion: quality against sampling steps",
            "",
            f"{circumstances()}. Made by `python benchmarks/diffusion_steps.py`.",
            "",
            f"A model of {count / 1e6:.1f}M parameters after {run.log()[-1]['step']:,} training steps of "
            f"{config['training']['batch_size']}; {len(rows)} transitions that it was not trained on. Times are those "
            "of one prediction at batch 1: median of the ratios, least to greatest.",
            "",
            f"| steps | {' | '.join(f'`{name}`' for name in SHOWN)} | `val_mse` − that of 1 step, 95 % | time / 1 step "
            f"| time / `mae`, {size} |",
            f"|---:|{'---:|' * (len(SHOWN) + 3)}",
            *lines,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, help="score all of this dataset instead")
    arguments = parser.parse_args()
    try:
        run = Run.open(arguments.run)
        data = TransitionSet(arguments.data or Path(run.config()["data"]["path"])).with_layout(run.layout(), run.name)
        page = table(run, data, data.rows(None if arguments.data else "val"))
    except ForearmError as error:
        sys.exit(str(error))
    write_table(TABLE, page)


if __name__ == "__main__":
    main()
