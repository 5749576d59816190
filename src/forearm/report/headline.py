"""How good a model is, and which of several is best, in sentences."""

from collections import Counter

from forearm.canvas import CODE_NAMES
from forearm.evaluation import Evaluation
from forearm.evaluation.catalogue import FED_BACK, LARGEST_FLOOR
from forearm.evaluation.intervals import SMALLEST_EFFECT, too_few
from forearm.evaluation.leaderboard import Lead, Leaderboard
from forearm.media.words import figure
from forearm.report.wording import listed

# One model


def headline(evaluation: Evaluation) -> str:
    """How the model does against copying the last frame, and which other baselines are better, on key figures."""
    return " ".join(filter(None, (_against_copying(evaluation), _against_others(evaluation))))


def _against_copying(evaluation: Evaluation) -> str:
    verdicts = {title: evaluation.verdict(name) for name, title in evaluation.key_metrics.items()}
    known = {title: verdict for title, verdict in verdicts.items() if verdict}
    if not known:
        why = f" {evaluation.too_few}." if evaluation.too_few else ""
        return f"The data do not say whether this model beats copying the last frame.{why}"
    groups = {kind: [t for t, v in known.items() if v == kind] for kind in ("better", "worse", "level")}
    first = "worse" if len(groups["worse"]) > len(groups["better"]) else "better"
    if not groups[first]:
        return "This model does not clearly differ from copying the last frame on any key figure."
    claim = "beats" if first == "better" else "is worse than"
    count = f"all {len(known)}" if len(groups[first]) == len(known) else f"{len(groups[first])} of {len(known)}"
    words = {"better": "It is better on", "worse": "It is worse on", "level": "It does not clearly differ on"}
    others = [f"{words[kind]} {listed(titles)}." for kind, titles in groups.items() if titles and kind != first]
    return " ".join([f"This model {claim} copying the last frame on {count} key figures.", *others])


def _against_others(evaluation: Evaluation) -> str:
    """Which baselines are surely better, so that beating copying does not sound like more than it is."""
    winners: dict[str, list[str]] = {}
    for name, title in evaluation.key_metrics.items():
        if winner := evaluation.ahead(name):
            winners.setdefault(winner, []).append(title)
    return " ".join(f"The {winner} baseline beats it on {listed(titles)}." for winner, titles in winners.items())


def details(evaluation: Evaluation) -> str:
    """What the action does to the prediction, and which actions training never saw."""
    sentences = []
    accuracy = evaluation.metrics["acting_joint_direction_accuracy"]
    interval = evaluation.intervals["acting_joint_direction_accuracy"]
    if "acting_joint_direction_accuracy" in evaluation.given:
        sentences.append(
            "The action names the change of the joint, so figures of joints are given by the action and say little."
        )
    elif isinstance(accuracy, float):
        coin = isinstance(interval, tuple) and interval[0] <= 0.5
        remark = "; chance would be 50%" if coin else ""
        sentences.append(f"The model moves the acting joint the right way in {_of_moves(accuracy)}{remark}.")
    gain = evaluation.metrics["controllability_psnr_moves"]
    interval = evaluation.intervals["controllability_psnr_moves"]
    if isinstance(gain, float) and isinstance(interval, tuple) and not evaluation.too_few:
        if interval[0] > 0:
            sentences.append(
                f"With the true action the picture is {figure(gain, 'dB')} nearer to the truth than with others."
            )
        else:
            sentences.append("The action makes no certain difference to the predicted picture.")
    for code in evaluation.guesses:
        sentences.append(f"Training never saw {CODE_NAMES[code]}. Predictions under it are guesses.")
    return " ".join(sentences)


def _of_moves(share: float) -> str:
    return "every move" if share == 1 else f"{figure(share, 'share')} of moves"


# Several runs


def comparison_headline(board: Leaderboard) -> tuple[str, str]:
    """Which run leads on the key figures and whether that is sure, then how it does against the baselines.

    With a single run the sentence about the baselines comes first, and nothing follows.
    """
    if not board.leads:
        return "The samples hold no move, so there is no key figure to compare.", ""
    leads = Counter(lead.run.name for lead in board.leads if lead.ahead) or Counter([board.leads[0].run.name])
    leader = max(leads, key=lambda name: leads[name])  # of equally many, the one of the first key figure
    baselines = _over_baselines(leader, board)
    return (_over_others(leader, board.leads), baselines) if len(board.runs) > 1 else (baselines, "")


def _over_others(leader: str, leads: list[Lead]) -> str:
    level = [lead for lead in leads if not lead.ahead]
    if len(level) == len(leads):
        return f"No run leads: on every key figure the best two differ by less than {SMALLEST_EFFECT:.0%}."
    led = [lead for lead in leads if lead.run.name == leader and lead.ahead]
    where = f"all {len(led)} key figures" if len(led) == len(leads) else listed(_titles(led))
    sure = [lead for lead in led if lead.over_second == "better"]
    if all(lead.over_second is None for lead in led):
        how = "The data do not say how sure that is."
    elif len(sure) == len(led):
        how = "It is surely ahead of the second" + (" on each." if len(led) > 1 else ".")
    elif sure:
        how = f"It is surely ahead of the second on {listed(_titles(sure))}."
    else:
        how = "It is nowhere surely ahead of the second."
    alike: dict[str, list[Lead]] = {}
    for lead in sure:
        for name in lead.level:
            alike.setdefault(name, []).append(lead)
    how += "".join(f" It is level with {name} on {listed(_titles(theirs))}." for name, theirs in alike.items())
    others: dict[str, list[Lead]] = {}
    for lead in leads:
        if lead.ahead and lead not in led:
            others.setdefault(lead.run.name, []).append(lead)
    rest = [f"{name} leads on {listed(_titles(theirs))}." for name, theirs in others.items()]
    if level:
        rest.append(f"On {listed(_titles(level))} the best two differ by less than {SMALLEST_EFFECT:.0%}.")
    return " ".join([f"{leader} leads on {where}.", how, *rest])


def _over_baselines(leader: str, board: Leaderboard) -> str:
    """How the leading run does against the baselines on each key figure."""
    (run,) = [run for run in board.runs if run.name == leader]
    found: dict[str, list[str]] = {}
    for lead in board.leads:
        verdict, baseline = board.against_baselines(run, lead.metric)
        if verdict:
            found.setdefault(verdict, []).append(f"{lead.title} ({baseline.name})" if baseline else lead.title)
    if not found:
        return f"The data do not say how {leader} differs from the baselines."
    if list(found) == ["better"]:
        return f"{leader} surely beats every baseline on all key figures."
    words = {
        "better": f"{leader} surely beats every baseline on",
        "level": f"{leader} is level with a baseline on",
        "worse": f"{leader} loses to a baseline on",
    }
    return " ".join(f"{words[verdict]} {listed(found[verdict])}." for verdict in words if verdict in found)


def _titles(leads: list[Lead]) -> list[str]:
    return [lead.title for lead in leads]


def comparison_details(board: Leaderboard) -> str:
    """What makes the comparison less sure than it looks."""
    sentences = []
    if few := too_few(board.count, board.grouped_by):
        sentences.append(f"The samples are from {few}.")
    if not board.legible:
        sentences.append(
            "Joints as read from the picture are no key figure here: on true pictures the reader errs by more than "
            f"{LARGEST_FLOOR:.0%} of copying's error."
        )
    if others := [run.name for run in board.not_fed_back]:
        were, them = ("was", "it") if len(others) == 1 else ("were", "them")
        sentences.append(
            f"{listed(others)} {were} not fed back along the paths of the others, so no run leads on "
            f"{board.key_metrics[FED_BACK]}: evaluate {them} again to compare that."
        )
    for runs in {tuple(run.name for run in seeds) for seeds in board.seeds.values() if len(seeds) > 1}:
        sentences.append(f"{listed(list(runs))} differ only in the seed, and their spread counts in every comparison.")
    unseen: dict[tuple[int, ...], list[str]] = {}
    for run in board.runs:
        unseen.setdefault(tuple(run.metrics["guesses"]), []).append(run.name)
    for codes, names in unseen.items():
        if codes:
            actions = listed([CODE_NAMES[code] for code in codes])
            verb = "was" if len(names) == 1 else "were"
            sentences.append(f"{listed(names)} {verb} trained without {actions}. Predictions under it are guesses.")
    return " ".join(sentences)
