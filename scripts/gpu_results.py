"""Make docs/benchmarks/gpu.md from what ``scripts/gpu_job.sh`` left:

python scripts/gpu_results.py RESULTS/results.json
"""

import argparse
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = {
    "GPT 384d12, 22M": (".0102", ".756", "20.4", "83.1%", ".612"),
    "MAE 384d8, ~15M": (".0147", ".616", "19.1", "80.6%", "1.696"),
    "diffusion 512d12, clean sample": (".009", ".775", "21.0", "82.5%", ".957"),
}
REFERENCE_1500 = {"diffusion, fine-tuned": (".00298", ".891", "27.2", "87.3%", "–")}
COLUMNS = {
    "val_mse": "{:.5f}",
    "ssim": "{:.3f}",
    "psnr": "{:.2f}",
    "motor_direction_accuracy": "{:.1%}",
    "motor_position_mae_mean": "{:.4f}",
    "val_mse_dynamic": "{:.5f}",
    "acting_joint_direction_accuracy": "{:.1%}",
    "k_way_accuracy": "{:.1%}",
    "counterfactual_mse": "{:.5f}",
}
TITLES = {
    "val": "Held-out episodes of the same recording",
    "known-scenes": "New moments of the scenes of training, every action from each",
    "new-scenes": "Other objects and light than in training, every action from each",
}
BASELINES = ("persistence", "nearest-neighbour", "joint-only")


def cell(value: Any, form: str) -> str:
    return form.format(value) if isinstance(value, int | float) else "–"


def row(title: str, figures: dict[str, Any]) -> str:
    return f"| {title} | {' | '.join(cell(figures.get(name), form) for name, form in COLUMNS.items())} |"


def quality(runs: dict[str, Any]) -> list[str]:
    """A table for each test set: the runs, their baselines, and for held-out episodes the reference."""
    lines = []
    for test, title in TITLES.items():
        for data, reference in (("700", REFERENCE), ("1500", REFERENCE_1500)):
            evaluated = {
                name: run["evaluations"][test]
                for name, run in runs.items()
                if run.get("data") == data and test in run.get("evaluations", {})
            }
            if not evaluated:
                continue
            first = next(iter(evaluated.values()))
            lines += [
                f"### {data} canvases: {title[0].lower()}{title[1:]}",
                "",
                f"| | {' | '.join(f'`{name}`' for name in COLUMNS)} |",
                f"|---|{'---:|' * len(COLUMNS)}",
                *(row(f"**{name}**", figures) for name, figures in evaluated.items()),
                *(row(f"*{name}*", first["baselines"][name]) for name in BASELINES if name in first["baselines"]),
            ]
            if test == "val":
                blank = " | ".join("–" for _ in range(len(COLUMNS) - 5))
                lines += [f"| reference: {name} | {' | '.join(cells)} | {blank} |" for name, cells in reference.items()]
            groups = first["groups"] if "groups" in first else first["episodes"]  # its name before 2026-11-26
            lines += ["", f"{first['samples']} samples of {groups} {first.get('grouped_by', 'episodes')}.", ""]
    return lines


def training(runs: dict[str, Any]) -> list[str]:
    """How fast the trainings were, and what the GPU did meanwhile."""
    lines = [
        "| run | steps | samples | seconds | samples/s | GPU busy, mean (p10 to p90) | power, W | memory used, MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, run in runs.items():
        if "steps" not in run:
            continue
        gpu = run.get("gpu") or {}
        busy, power, memory = (gpu.get(key, {}) for key in ("utilization.gpu", "power.draw", "memory.used"))
        batch = int(run["options"].split("--batch-size ")[1].split()[0])
        share = f"{busy['mean']:.0f}% ({busy['p10']:.0f} to {busy['p90']:.0f})" if busy else "–"
        lines.append(
            f"| {name} | {run['steps']} | {run['steps'] * batch} | {run['seconds']:.0f} | "
            f"{cell(run['samples_per_s'], '{:.0f}')} | {share} | {cell(power.get('mean'), '{:.0f}')} | "
            f"{cell(memory.get('max'), '{:.0f}')} |"
        )
    return [*lines, ""]


def speed(bench: list[dict[str, Any]]) -> list[str]:
    """The models' own speed and memory, by batch size."""
    lines = [
        "| family | batch | training as it comes, ms | recorded, ms | samples/s | peak, MB | fp32, ms | peak, MB "
        "| bf16, ms | peak, MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for figures in bench:
        for count, eager in figures["train"].items():
            one, half = figures["predict"][count], figures["predict_bf16"][count]
            recorded = figures.get("train_recorded", {}).get(count)
            trained = recorded or eager
            lines.append(
                f"| {figures['family']}, {figures['parameters'] / 1e6:.1f}M | {count} | {eager['ms']:.1f} | "
                f"{cell((recorded or {}).get('ms'), '{:.1f}')} | "
                f"{trained['samples_per_s']:.0f} | {cell(trained['peak_mb'], '{}')} | {one['ms']:.1f} | "
                f"{cell(one['peak_mb'], '{}')} | {half['ms']:.1f} | {cell(half['peak_mb'], '{}')} |"
            )
    return [*lines, ""]


def fed(results: dict[str, Any]) -> list[str]:
    """How much of its own speed a training reaches, and for how much of its time it waits for its batches."""
    drawing, feeding, lines = results.get("drawing"), results.get("feeding"), []
    if drawing:  # before 2026-11-27 canvases were drawn on the CPU
        lines.append(f"{drawing['workers']} processes draw {drawing['canvases_per_s']} canvases a second.")
    if feeding:
        lines.append(
            f"From bytes that {feeding['workers']} processes bring, the device draws {feeding['canvases_per_s']} "
            "canvases a second."
        )
    own = {each["family"]: each.get("train_recorded") or each["train"] for each in results.get("bench", [])}
    for name, run in results["runs"].items():
        batch = run.get("options", "").partition("--batch-size ")[2].split(" ")[0]
        alone = own.get(run.get("family", ""), {}).get(batch)
        if alone and run.get("samples_per_s"):
            share = run["samples_per_s"] / alone["samples_per_s"]
            lines.append(f"{name} trains at {share:.0%} of the speed of the model alone with its batches on the GPU.")
        if run.get("feeding_share") is not None:
            lines.append(f"{name} waits for its batches in {run['feeding_share']:.1%} of its time.")
    return [*lines, ""]


def page(results: dict[str, Any]) -> str:
    machine = results["machine"]
    outcome = [f"{name}: {facts['outcome']}" for name, facts in results["phases"].items() if facts["outcome"] != "done"]
    options = next((run["options"] for run in results["runs"].values() if "options" in run), "")
    return "\n".join(
        [
            f"# One large GPU, {float(results['options']['seconds']) / 60:.0f} minutes",
            "",
            f"{machine['date']}, commit {machine['commit']}, {machine['gpu'] or 'no GPU'}, {machine['cores']} cores,",
            f"Python {machine['python']}, PyTorch {machine['torch']}. `{results['options']['preset']}`, one seed.",
            "Made by `bash scripts/gpu_job.sh` and `python scripts/gpu_results.py`.",
            "",
            f"Training: `{options}`, bfloat16 on a GPU. Rates and batch sizes were set before the job;",
            "nothing was tuned on a test set. Differences tell about these runs, not about their families.",
            f"The recordings are of the simulated arm (shoulder, moves of 10°), {results['recordings']};",
            "their videos are encoded as LeRobot does (AV1, CRF 30).",
            "",
            *([f"Not all was done: {'; '.join(outcome)}.", ""] if outcome else []),
            *([results["note"], ""] if "note" in results else []),
            "## Quality",
            "",
            "The reference figures are of others' models on *real* SO-101 canvases of the same form, trained for 77 to",
            "250 minutes on a consumer GPU: a yardstick, not the same test. Baselines in italics.",
            "",
            *quality(results["runs"]),
            "## Training",
            "",
            *training(results["runs"]),
            *fed(results),
            "*GPU busy* is what `nvidia-smi` says: the share of time in which any kernel ran, not how much of the chip",
            "worked; validations and checkpoints are included. Beside warp-1500 the other runs were evaluated.",
            "",
            "## The models alone",
            "",
            "Batches lie on the GPU; fp32 and bf16 are predictions; medians of synchronised repeats; memory is what",
            "PyTorch held at most. A step that is recorded (a CUDA graph) computes the same as one that comes piece by",
            "piece; trainings on a GPU record theirs.",
            "",
            *speed(results.get("bench", [])),
        ]
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks" / "gpu.md")
    arguments = parser.parse_args()
    arguments.out.write_text(page(json.loads(arguments.results.read_text())), encoding="utf-8")
    print(arguments.out)


if __name__ == "__main__":
    main()
