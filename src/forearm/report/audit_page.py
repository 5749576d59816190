"""The page of an audit: the verdict, each finding with its place and a picture, and what the data cover."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from forearm.base.files import require_replaceable, writing
from forearm.recordings.audit import EpisodeFigures, Finding, Span, Subject
from forearm.report.audit import Audit, Place, coverage
from forearm.report.charts import Span as Marked
from forearm.report.charts import line_chart
from forearm.report.gallery_page import GENERATOR
from forearm.report.html import image, template

SPANS = 3
"""So many places of a finding are shown."""
NAMED = 40
"""So many places are named."""
CONTEXT = 15
"""Rows shown before and after a place."""
WIDTH = 150
"""About how many pixels wide a picture is shown."""
CLOCK = {"dropped_rows", "clock_drift", "backward_clock"}
LAG = {"late_pictures", "early_pictures", "unclear_lag"}
CHECKED = {
    "unreadable": "files that cannot be read",
    "pairing": "rows that do not fit their pictures",
    "black_pictures": "black pictures",
    "empty_pictures": "pictures of one colour",
    "constant_camera": "cameras that never change",
    "frozen_pictures": "frozen pictures",
    "repeated_pictures": "repeated pictures",
    "other_calibration": "episodes of another calibration",
    "other_pose": "resting joints that stand elsewhere",
    "near_duplicates": "near-duplicate episodes",
    "spike": "spikes",
    "jump": "jumps",
    "shaky": "shaking joints",
    "dropped_rows": "missing rows",
    "clock_drift": "a clock that drifts",
    "backward_clock": "a clock that runs backwards",
    "late_pictures": "late pictures",
    "action_sign_or_unit": "commands of another sign or unit",
    "action_offset": "states beside their commands",
    "unclear_actions": "actions that mean nothing clear",
    "early_pictures": "early pictures",
    "still_episode": "episodes without motion",
    "idle_ends": "pauses at the ends",
    "still_joints": "joints that never move",
    "surprising_episodes": "episodes that surprise the model",
}
"""What is looked for, in words."""


def save_audit(audit: Audit, target: Path) -> Path:
    """Write the page and return its path; only an earlier page of ``forearm inspect`` is replaced.

    Raises:
        ForearmError: something else stands there, or it cannot be written.
    """
    require_replaceable(target, GENERATOR, "--html")
    pictures = audit.pictures([place for finding in audit.findings for place in _places(audit.subject, finding)])
    modelled = any(episode.error is not None for episode in audit.subject.episodes)
    found = {finding.kind for finding in audit.findings} | (set() if modelled else {"surprising_episodes"})
    page = template("audit.html").render(
        generator=Markup(GENERATOR),
        audit=audit,
        subject=audit.subject,
        rows=sum(map(len, audit.subject.episodes)),
        findings=[
            {
                "of": finding,
                "where": _where(finding.spans),
                "pictures": [
                    {"image": image(pictures[place], WIDTH), "episode": place[1], "row": place[2]}
                    for place in _places(audit.subject, finding)
                    if place in pictures
                ],
                "chart": _chart(audit.subject, finding),
            }
            for finding in audit.findings
        ],
        clean=[words for kind, words in CHECKED.items() if kind not in found],
        joints=coverage(audit.subject),
        episodes=audit.to_json()["episodes"],
        bars=bars,
        modelled=modelled,
    )
    with writing(target) as beside:
        beside.write_text(page, encoding="utf-8")
    return target


def _where(spans: Sequence[Span]) -> str:
    named = [f"episode {index}, row {a}" + (f" to {b - 1}" if b > a + 1 else "") for index, a, b in spans[:NAMED]]
    return "; ".join(named) + (f"; and {len(spans) - NAMED} more" if len(spans) > NAMED else "")


def _places(subject: Subject, finding: Finding) -> list[Place]:
    """Which pictures show a finding: of each place its beginning, middle and end, and the row before."""
    if finding.kind in CLOCK | LAG or (not finding.spans and not finding.camera):
        return []
    spans = finding.spans or tuple((e.index, 0, len(e)) for e in subject.episodes)
    cameras = [finding.camera] if finding.camera else subject.cameras[:1]
    return [
        (camera, index, row)
        for index, first, stop in spans[:SPANS]
        for camera in cameras
        for row in dict.fromkeys((max(0, first - 1), first, (first + stop) // 2, stop - 1))
    ]


def _chart(subject: Subject, finding: Finding) -> Markup | None:
    """A finding as curves over the rows of the worst episode, where pictures alone do not show it."""
    if finding.kind in LAG:
        return _lag_chart(subject)
    if not finding.spans or not (finding.joints or finding.kind in CLOCK):
        return None
    index, first, stop = finding.spans[0]
    episode = next(episode for episode in subject.episodes if episode.index == index)
    if finding.kind in CLOCK:
        assert episode.timestamps is not None
        rows = np.arange(len(episode))
        late = episode.timestamps - episode.timestamps[0] - rows / (subject.fps or 1.0)
        return line_chart({f"episode {index}": (rows, late)}, "row", "seconds behind the nominal rate")
    whole = (first, stop) == (0, len(episode))
    shown = slice(0, len(episode)) if whole else slice(max(0, first - CONTEXT), min(len(episode), stop + CONTEXT))
    j = subject.joints.index(finding.joints[0])
    curves = {f"episode {index}": (np.arange(len(episode))[shown], episode.states[shown, j])}
    if whole:  # an odd episode is odd beside the others
        others = [e for e in subject.episodes if e.index not in {s[0] for s in finding.spans}][:SPANS]
        curves |= {f"episode {e.index}": (np.arange(len(e)), e.states[:, j]) for e in others}
    marked = None if whole else Marked(first - 0.5, stop - 0.5, "here")
    unit = subject.units[j]
    return line_chart(curves, "row", f"{finding.joints[0]} ({unit})" if unit else finding.joints[0], span=marked)


def _lag_chart(subject: Subject) -> Markup:
    """How fast pictures and joints move in a lively stretch of the longest episode, as shares of a brisk motion."""
    episode: EpisodeFigures = max(subject.episodes, key=len)
    joints = np.abs(np.gradient(episode.states / np.maximum(subject.widest, 1e-9), axis=0)).sum(axis=1)
    change = np.mean([figures.change for figures in episode.cameras.values()], axis=0)
    middle = int(np.convolve(joints, np.ones(40), "same").argmax())
    rows = np.arange(max(0, middle - 30), min(len(episode), middle + 30))
    curves = {"pictures change": change[rows], "joints move": joints[rows]}
    scaled = {name: (rows, (y / max(float(np.percentile(y, 95)), 1e-9)).clip(max=1.2)) for name, y in curves.items()}
    return line_chart(scaled, "row", "share of a brisk motion")


def bars(shares: Sequence[float]) -> list[dict[str, Any]]:
    """Shares as the heights of bars, in percent of the highest."""
    return [{"height": round(100 * share / max(max(shares), 1e-9)), "share": share} for share in shares]
