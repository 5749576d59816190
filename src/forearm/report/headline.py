"""How good a model is, in a sentence."""

from forearm.canvas import CODE_NAMES
from forearm.evaluation import PERSISTENCE, Evaluation

KEY_FIGURES = {
    "val_mse": "picture error",
    "val_mse_dynamic": "error where the picture changes",
    "ssim": "structural similarity",
    "acting_joint_position_mae": "acting-joint position",
}


def headline(evaluation: Evaluation) -> str:
    """How the model does against copying the last frame, and which other baselines are better, on key figures."""
    return " ".join(filter(None, (_against_copying(evaluation), _against_others(evaluation))))


def _against_copying(evaluation: Evaluation) -> str:
    verdicts = {name: evaluation.verdict(name) for name in KEY_FIGURES}
    known = {KEY_FIGURES[name]: verdict for name, verdict in verdicts.items() if verdict}
    if not known:
        return "There is too little to compare with to say whether this model beats copying the last frame."
    better, worse, level = ([t for t, v in known.items() if v == kind] for kind in ("better", "worse", "level"))
    claim, group = ("Worse than", worse) if len(worse) > len(better) else ("Beats", better)
    if len(group) == len(known):
        return f"{claim} copying the last frame on all {len(known)} key figures."
    if not group:
        return "No clear difference from copying the last frame on any key figure."
    remarks = {"better on": better, "worse on": worse, "no clear difference on": level}
    others = [f"{remark} {listed(titles)}" for remark, titles in remarks.items() if titles and titles is not group]
    return f"{claim} copying the last frame on {len(group)} of {len(known)} key figures; {'; '.join(others)}."


def _against_others(evaluation: Evaluation) -> str:
    """Who else is surely better, so that to beat copying does not sound like more than it is."""
    winners: dict[str, list[str]] = {}
    for name, title in KEY_FIGURES.items():
        if winner := evaluation.ahead(name):
            winners.setdefault(winner, []).append(title)
    claims = [f"by the {winner} baseline on {listed(titles)}" for winner, titles in winners.items()]
    return f"Beaten {', and '.join(claims)}." if claims else ""


def details(evaluation: Evaluation) -> str:
    """What the action does to the prediction, and what is only guessed."""
    sentences = []
    accuracy = evaluation.metrics["acting_joint_direction_accuracy"]
    interval = evaluation.intervals["acting_joint_direction_accuracy"]
    if isinstance(accuracy, float):
        coin = isinstance(interval, tuple) and interval[0] <= 0.5
        remark = ", which a coin might do too" if coin else ""
        sentences.append(f"The acting joint is predicted to go the right way in {_of_moves(accuracy)}{remark}.")
    gain = evaluation.metrics["controllability_psnr"]
    interval = evaluation.intervals["controllability_psnr"]
    if isinstance(gain, float) and isinstance(interval, tuple):
        if interval[0] > 0:
            sentences.append(
                f"The picture is {gain:.1f} dB nearer to the truth under the true action than under others."
            )
        else:
            sentences.append("Knowing the action makes no certain difference to the picture.")
    for code in evaluation.guesses:
        sentences.append(f"{CODE_NAMES[code]} was never seen in training, so what is shown under it is a guess.")
    if PERSISTENCE in evaluation.baselines and 1 < evaluation.episodes < 10:
        sentences.append(f"Only {evaluation.episodes} validation episodes, so this is a rough judgement.")
    return " ".join(sentences)


def listed(items: list[str]) -> str:
    """One, two and three."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _of_moves(share: float) -> str:
    return "every move" if share == 1 else f"{share:.1%} of moves"
