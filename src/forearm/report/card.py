"""What the Hub shows of a run or a dataset: its card, made of what is written in its folder."""

import json
from pathlib import Path
from typing import Any

from forearm.base.errors import shown
from forearm.evaluation import METRICS, PERSISTENCE, fed_back_for, key_metrics, legible
from forearm.evaluation.saved import METRICS_FILE, read_figures
from forearm.media.words import NOTHING, figure
from forearm.report.inspection import facts_of
from forearm.report.wording import number
from forearm.training.run import Run

TAGS = ("robotics", "forearm", "lerobot")


def run_card(run: Run, hub_id: str, dataset: str, licence: str) -> str:
    """The card of a run as Markdown: its use, figures with intervals and baselines, data, limits, licence.

    Args:
        dataset: the Hub id or the name of what it was trained on.
        licence: nothing where none is given.
    """
    config = run.config()
    front = {"library_name": "forearm", "pipeline_tag": "robotics", "tags": [*TAGS, "world-model"]}
    if "/" in dataset:
        front["datasets"] = [dataset]
    facts = {name: value for name, value in facts_of(run.path).items() if name not in ("run", "evaluation")}
    facts["trained on"] = f"{dataset}: {config['data']['train']} transitions"
    figures = read_figures(run.path / "evaluation") if (run.path / "evaluation" / METRICS_FILE).is_file() else None
    return "\n".join(
        [
            *_front(front, licence),
            f"# {run.name}",
            "",
            f"A world model of a robot arm, of Forearm's family `{config['family']}`: from what the cameras and joints "
            "show and an action it predicts what they show next.",
            "",
            "```",
            f"forearm play {hub_id}" + ("" if "/" in dataset else " --data DATA"),
            f"forearm evaluate {hub_id}" + ("" if "/" in dataset else " --data DATA"),
            f"forearm train --data DATA --out run --fine-tune {hub_id}",
            "```",
            "",
            *_figures(figures),
            *_section("Data and training", _table(facts)),
            *_section("Limits", _limits(run, figures)),
            *_licence(licence),
        ]
    )


def data_card(folder: Path, hub_id: str, title: str, licence: str) -> str:
    """The card of a dataset or a recording as Markdown."""
    facts = {name: value for name, value in facts_of(folder).items() if name not in ("dataset", "recording")}
    use = f"forearm train --data {hub_id} --out run" if title == "dataset" else f"forearm build {hub_id} --out data"
    return "\n".join(
        [
            *_front({"tags": list(TAGS), "task_categories": ["robotics"]}, licence),
            f"# {folder.resolve().name}",
            "",
            f"A {title} of a robot arm, for learning a world model of it with Forearm.",
            "",
            "```",
            use,
            "```",
            "",
            *_section("What it holds", _table(facts)),
            *_licence(licence),
        ]
    )


def _front(values: dict[str, Any], licence: str) -> list[str]:
    """What the Hub sorts by: YAML, of which JSON is a part."""
    known = values | ({"license": licence} if licence else {})
    return ["---", *(f"{name}: {json.dumps(value)}" for name, value in known.items()), "---", ""]


def _figures(figures: dict[str, Any] | None) -> list[str]:
    """Key figures beside copying and the best baseline, each with its interval."""
    if figures is None:
        return _section("Figures", ["It has not been evaluated."])
    lines = [
        "| | this run | copying the last frame | best baseline |",
        "|---|---|---|---|",
    ]
    for name, title in key_metrics(figures.get("given", ()), legible(figures), fed_back_for(figures)).items():
        metric, baselines = METRICS[name], figures["baselines"]
        fair = {each: b for each, b in baselines.items() if metric.fair(each) and b["metrics"].get(name) is not None}
        best = min(fair, key=lambda each: metric.loss(fair[each]["metrics"][name]), default=None)
        copying = _figure(name, baselines[PERSISTENCE]) if PERSISTENCE in baselines else NOTHING
        other = f"{_figure(name, fair[best])} ({best})" if best else NOTHING
        own = _figure(name, {"metrics": figures, "intervals": figures["intervals"]})
        lines.append(f"| {title} (`{name}` {metric.arrow}) | {own} | {copying} | {other} |")
    latency = figure(figures["latency"]["single_ms"], "ms")
    lines += [
        "",
        f"{figures['samples']} samples of {figures['groups']} {figures['grouped_by']} that the run was not trained on, "
        f"checkpoint {figures['checkpoint']}, on {figures['date'][:10]}. In brackets: 95% intervals over "
        f"{figures['grouped_by']}. {figures['parameters']:,} parameters; a prediction took {latency}. "
        "`evaluation/report.html` shows more.",
    ]
    return _section("Figures", lines)


def _figure(name: str, of: dict[str, Any]) -> str:
    """A metric with its interval."""
    value, interval = of["metrics"].get(name), of["intervals"].get(name)
    text = number(value, METRICS[name])
    if not isinstance(interval, (list, tuple)) or len(interval) != 2:
        return text
    low, high = (number(bound, METRICS[name]) for bound in interval)
    return f"{text} [{low}, {high}]"


def _limits(run: Run, figures: dict[str, Any] | None) -> list[str]:
    """What the run cannot be asked, as far as its folder says."""
    layout = run.layout()
    bounds = ", ".join(f"{j.name} {j.low:.4g} to {j.high:.4g} {j.unit}" for j in layout.joints)
    return [
        "- It knows the cameras, the arm and the scenes of its data; elsewhere nothing is known of its errors.",
        f"- It knows joints only between their bounds: {shown(bounds)}.",
        "- The expected error is learned from its own errors and is no guarantee.",
        *(f"- {shown(warning)}" for warning in (figures or {}).get("warnings", ())),
    ]


def _licence(licence: str) -> list[str]:
    return _section("Licence", [licence or "None was given: ask the author before you use it further."])


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"## {title}", "", *lines, ""]


def _table(facts: dict[str, Any]) -> list[str]:
    cells = {name: _cell(value) for name, value in facts.items()}
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in cells.items())]


def _cell(value: Any) -> str:
    """A fact in a cell of Markdown."""
    return "<br>".join(shown(line).replace("|", "\\|").replace("<", "&lt;") for line in str(value).splitlines())
