"""How often the 95% intervals of forearm hold the truth, beside the percentile bootstrap. One command:

    python benchmarks/coverage.py

draws experiments from known distributions and writes docs/benchmarks/coverage.md. It takes some minutes. Nothing here
uses recorded data or a model.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from measuring import ROOT, circumstances, write_table
from scipy.special import stdtrit

from forearm.evaluation.intervals import ERROR_RATE, SeedSpread, estimate

TABLE = ROOT / "docs" / "benchmarks" / "coverage.md"
GROUPS = (5, 6, 8, 12, 21, 100)
Draws = tuple[np.ndarray, np.ndarray]
"""Sums and weights of R experiments of G groups each, (R, G) twice."""


@dataclass(frozen=True)
class Case:
    """A metric whose true value is known."""

    title: str
    truth: float
    draw: Callable[[np.random.Generator, tuple[int, int]], Draws]
    share: bool = False


def one(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.ones(shape)


def uneven(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.integers(1, 21, shape).astype(float)


def very_uneven(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.ceil(5 * rng.lognormal(0, 1, shape))


VALUES: dict[str, tuple[float, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]]] = {
    "normal": (1.0, lambda rng, shape: 1 + rng.normal(size=shape)),
    "heavy tails (t, 3)": (0.0, lambda rng, shape: rng.standard_t(3, shape)),
    "lognormal, σ 0.5": (np.exp(0.125), lambda rng, shape: rng.lognormal(0, 0.5, shape)),
    "exponential": (1.0, lambda rng, shape: rng.exponential(size=shape)),
    "exponential − half of another": (
        0.5,
        lambda rng, shape: rng.exponential(size=shape) - rng.exponential(0.5, shape),
    ),
    "lognormal, σ 1": (np.exp(0.5), lambda rng, shape: rng.lognormal(0, 1, shape)),
}
SIZES = {"groups of one size": one, "1 to 20 samples a group": uneven, "sizes lognormal, σ 1": very_uneven}


def mean_of(values: str, sizes: str) -> Case:
    """The mean over all samples, where those of a group are alike."""
    truth, draw = VALUES[values]

    def drawn(rng: np.random.Generator, shape: tuple[int, int]) -> Draws:
        weights = SIZES[sizes](rng, shape)
        return draw(rng, shape) * weights, weights

    return Case(f"{values}, {sizes}", truth, drawn)


def share_of(p: float, moves: int, alike: float) -> Case:
    """The share of moves that are right; alike: correlation of those of a group."""

    def drawn(rng: np.random.Generator, shape: tuple[int, int]) -> Draws:
        each = rng.beta(p * (1 / alike - 1), (1 - p) * (1 / alike - 1), shape) if alike else np.full(shape, p)
        return rng.binomial(moves, each).astype(float), np.full(shape, float(moves))

    return Case(
        f"share of {p:.0%}, {moves} a group" + (f", correlation {alike}" if alike else ""), p, drawn, share=True
    )


HELD = [
    *(mean_of(values, "groups of one size") for values in list(VALUES)[:-1]),
    mean_of("normal", "1 to 20 samples a group"),
    mean_of("lognormal, σ 0.5", "1 to 20 samples a group"),
    mean_of("normal", "sizes lognormal, σ 1"),
    *(share_of(p, 1, 0) for p in (0.8, 0.95, 0.99)),
    *(share_of(p, 10, alike) for p in (0.5, 0.8, 0.99) for alike in (0, 0.1)),
]
"""Where intervals shall hold the truth in 93 % of experiments or more."""
HARD = [
    mean_of("exponential", "1 to 20 samples a group"),
    mean_of("exponential", "sizes lognormal, σ 1"),
    mean_of("lognormal, σ 1", "groups of one size"),
    share_of(0.95, 60, 0.5),
    share_of(0.99, 60, 0.5),
]
"""Where few groups cannot show how skewed their distribution is: reported, not hidden."""


COMPARISONS = (1, 15, 75)
"""On a page: one, two families beside all others, and all families beside all others, on one figure."""
SKEWED = [
    mean_of(values, "groups of one size")
    for values in ("normal", "exponential − half of another", "lognormal, σ 0.5", "exponential", "lognormal, σ 1")
]


def simulated_intervals(
    sums: np.ndarray, weights: np.ndarray, share: bool, error_rate: float = ERROR_RATE
) -> tuple[np.ndarray, np.ndarray]:
    """`forearm.evaluation.intervals` for many experiments at once, (R,) twice; a test holds them equal."""
    n = sums.shape[1]
    total, count = sums.sum(1, keepdims=True), weights.sum(1, keepdims=True)
    value = (total / count)[:, 0]
    deviations = (n - 1) * (value[:, None] - (total - sums) / (count - weights))
    deviations[np.abs(deviations) < 1e-12 * n * np.abs(value)[:, None]] = 0
    variance = (deviations**2).sum(1) / (n - 1) / n
    error = np.sqrt(variance)
    equal = count[:, 0] ** 2 / (weights**2).sum(1)
    t = stdtrit(np.maximum(equal - 1, 1), 1 - error_rate / 2)
    centred, enough = deviations - deviations.mean(1, keepdims=True), np.maximum(equal, 3)
    with np.errstate(invalid="ignore", divide="ignore"):
        a = (centred**3).sum(1) / (centred**2).sum(1) ** 1.5 * np.sqrt(enough * (enough - 1)) / (enough - 2)
        a = np.where(np.isfinite(a), a, 0)
        low, high = (np.where(np.abs(a) < 1e-6, x, 3 / a * (np.cbrt(1 + a * (x - a / 6)) - 1)) for x in (t, -t))
        lower, upper = value - error * np.maximum(t, low), value + error * np.maximum(t, -high)
        if not share:
            return lower, upper
        wanted = np.where(variance > 0, value * (1 - value) / variance, n)
    m = np.clip(wanted, 1, np.maximum(count[:, 0], 1))
    centre, half = value + t**2 / (2 * m), t * np.sqrt(value * (1 - value) / m + t**2 / (4 * m * m))
    shrunk = 1 + t**2 / m
    return np.maximum(np.minimum(lower, (centre - half) / shrunk), 0), np.minimum(
        np.maximum(upper, (centre + half) / shrunk), 1
    )


def covered(case: Case, groups: int, repeats: int, rng: np.random.Generator) -> tuple[float, int]:
    """The share of experiments whose interval holds the truth, and of how many."""
    low, high = simulated_intervals(*case.draw(rng, (repeats, groups)), case.share)
    return float(((low <= case.truth + 1e-12) & (case.truth <= high + 1e-12)).mean()), repeats


def false_pages(case: Case, groups: int, comparisons: int, repeats: int, rng: np.random.Generator) -> float:
    """The share of pages with a false verdict, of so many independent comparisons in which nothing differs.

    Holm's correction makes no verdict where no p-value is below 0.05 / comparisons, where an interval of that error
    rate leaves out the truth.
    """
    low, high = simulated_intervals(*case.draw(rng, (repeats, groups)), case.share, ERROR_RATE / comparisons)
    return 1 - (1 - float(((case.truth < low) | (high < case.truth)).mean())) ** comparisons


def percentile_covered(case: Case, groups: int, repeats: int, rng: np.random.Generator, resamples: int = 500) -> float:
    """The same for the percentile bootstrap, which forearm used before 2026-11-26."""
    sums, weights = case.draw(rng, (repeats, groups))
    draws = rng.multinomial(groups, np.full(groups, 1 / groups), resamples).astype(float)
    low, high = np.percentile(sums @ draws.T / (weights @ draws.T), (2.5, 97.5), axis=1)
    return float(((low <= case.truth + 1e-12) & (case.truth <= high + 1e-12)).mean())


def covered_over_seeds(
    groups: int, seeds: int, over_groups: float, over_seeds: float, repeats: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Two families of so many seeds, equally good: how often the interval of their difference holds 0.

    Args:
        over_groups, over_seeds: standard deviation of the families' difference over groups, and of a family over its
            seeds; that of both together is 0.3.

    Returns:
        The share with both levels, and with the variance over groups alone.
    """
    ours, theirs = (
        over_seeds * rng.normal(size=(repeats, seeds, 1)) + 0.3 * rng.normal(size=(repeats, seeds, groups))
        for _ in range(2)
    )
    apart = (ours - theirs).mean(1) + over_groups * rng.normal(size=(repeats, groups))
    both = alone = 0
    for i in range(repeats):
        spread = [SeedSpread.of(of[i].mean(1).tolist()) for of in (ours, theirs)]
        for seeded in (True, False):
            left_out = (apart[i].sum() - apart[i]) / (groups - 1)
            found = estimate(np.array([apart[i].mean(), *left_out]), np.ones(groups), spread if seeded else ())
            low, high = found.interval() if found else (0, 0)
            both, alone = both + (seeded and low <= 0 <= high), alone + (not seeded and low <= 0 <= high)
    return both / repeats, alone / repeats


def page(repeats: int) -> str:
    rng = np.random.default_rng(1)

    def row(case: Case) -> str:
        cells = []
        for groups in GROUPS:
            times = repeats if groups < 100 else repeats // 4
            ours, _ = covered(case, groups, times, rng)
            cells.append(f"{100 * ours:.1f} ({100 * percentile_covered(case, groups, times // 4, rng):.0f})")
        return f"| {case.title} | {' | '.join(cells)} |"

    head = [f"| | {' | '.join(f'{groups} groups' for groups in GROUPS)} |", f"|---|{'---:|' * len(GROUPS)}"]
    seeds = []
    for count in (2, 3, 5):
        for over_groups, over_seeds in ((1, 1), (1, 0.1), (0.1, 1), (1, 0)):
            cells = []
            for groups in GROUPS[1:]:
                both, alone = covered_over_seeds(groups, count, over_groups, over_seeds, repeats // 4, rng)
                cells.append(f"{100 * both:.1f} ({100 * alone:.0f})")
            seeds.append(f"| {count} | {over_groups} | {over_seeds} | {' | '.join(cells)} |")
    few = [groups for groups in GROUPS if 6 <= groups <= 21]
    pages = []
    for case in SKEWED:
        found = ((false_pages(case, groups, count, 25 * repeats, rng) for count in COMPARISONS) for groups in few)
        pages.append(f"| {case.title} | {' | '.join(' / '.join(f'{100 * x:.0f}' for x in cell) for cell in found)} |")
    return "\n".join(
        [
            "# Coverage of the 95 % intervals",
            "",
            f"{circumstances()}.",
            f"Made by `python benchmarks/coverage.py`: {repeats:,} simulated experiments a cell (a quarter at 100",
            "groups, and for the numbers in brackets). Cells give the share of intervals that hold the truth, in %; in",
            "brackets that of the percentile bootstrap, used until 2026-11-26. 95 is right, more is safe.",
            "No verdict is given below 6 groups. The method was chosen on these distributions, not on recorded",
            "data; [Metrics](../metrics.md#how-sure) describes it.",
            "",
            "## Where 93 % or more is demanded",
            "",
            "`tests/evaluation/test_intervals.py` demands it with fewer experiments.",
            "",
            *head,
            *map(row, HELD),
            "",
            "## Where few groups cannot show how skewed they are",
            "",
            *head,
            *map(row, HARD),
            "",
            "Rare groups hold much of the sum here. No method that sees only the groups at hand can know of them.",
            "",
            "## Verdicts on a page of many comparisons",
            "",
            "Holm's correction needs p-values that hold far out in the tails, where skewed differences of few groups",
            "are worst. Cells give the share of pages with a false verdict, in %, of",
            f"{', '.join(map(str, COMPARISONS[:-1]))} and {COMPARISONS[-1]} independent comparisons in which nothing "
            "differs: 5 is what is promised, less is",
            "safe. Where the errors of two models have one distribution, differences are symmetric, and the first row",
            "holds. Where one model fails rarely and badly and the other often and little, they are skewed as in the",
            "last rows.",
            "",
            f"| | {' | '.join(f'{groups} groups' for groups in few)} |",
            f"|---|{'---:|' * len(few)}",
            *pages,
            "",
            "## Groups and seeds",
            "",
            "Two equally good families with so many seeds each. Standard deviations: of the difference over groups, of",
            "a family over its seeds; 0.3 of both together. In brackets: without the variance over seeds.",
            "",
            f"| seeds | over groups | over seeds | {' | '.join(f'{groups} groups' for groups in GROUPS[1:])} |",
            f"|---:|---:|---:|{'---:|' * (len(GROUPS) - 1)}",
            *seeds,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=8000, help="experiments a cell")
    write_table(TABLE, page(parser.parse_args().repeats))


if __name__ == "__main__":
    main()
