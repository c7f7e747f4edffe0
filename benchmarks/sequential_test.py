"""How often the sequential test errs, and how many matches it takes, by simulation.

    python benchmarks/sequential_test.py [--elo0 0] [--elo1 15] [--tests 4000] [--seed 0]

Pairs of matches are drawn at random for a known difference in Elo, and each test is looked at after
every 32 pairs, as `selfplay arena --sprt` does. Three kinds of games: with many draws, with hardly
any, and one in which the opening nearly always decides who wins. Prints a Markdown table: how often
the test ended with elo1, how often undecided after 10,000 matches, and the matches that it took,
on average and in nine of ten tests. Takes a minute or two.
"""

import argparse

import numpy as np
from scipy import optimize

from selfplay.arena.rating.sequential import log_likelihood_ratios, sequential_bounds
from selfplay.arena.sequential_match import MOST_MATCHES, ROUND_MATCHES
from selfplay.arena.statistics import PAIR_SCORES, score_from_elo

SCORES = np.array(PAIR_SCORES)
KINDS = {
    "many draws": (0.02, 0.15, 0.66, 0.15, 0.02),
    "hardly any draws": (0.25, 0.02, 0.46, 0.02, 0.25),
    "openings decide": (0.03, 0.05, 0.84, 0.05, 0.03),
}
"""Chances of the scores of a pair, 0 to 1, at equal strength."""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--elo0", type=float, default=0.0)
    parser.add_argument("--elo1", type=float, default=15.0)
    parser.add_argument("--alpha", type=float, default=0.05)
    parser.add_argument("--beta", type=float, default=0.05)
    parser.add_argument("--elo", type=float, nargs="*", help="true differences")
    parser.add_argument("--tests", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    truths = arguments.elo or sorted({arguments.elo0, 10.0, arguments.elo1, 30.0})
    print("| pairs | true difference | ends with elo1 | undecided | matches | nine of ten below |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in KINDS:
        for elo in truths:
            row = measure(kind, elo, arguments)
            print(f"| {kind} | {elo:+g} Elo | {row} |", flush=True)


def measure(kind: str, elo: float, arguments: argparse.Namespace) -> str:
    """Returns the cells of one row of the table."""
    bounds = {"elo0": arguments.elo0, "elo1": arguments.elo1}
    lower, upper = sequential_bounds(**bounds, alpha=arguments.alpha, beta=arguments.beta)
    random = np.random.default_rng(arguments.seed)
    chances = tilted(KINDS[kind], score_from_elo(elo))
    counts = np.zeros((arguments.tests, len(SCORES)))
    verdicts = np.zeros(arguments.tests, int)
    matches = np.full(arguments.tests, MOST_MATCHES)
    for played in range(ROUND_MATCHES, MOST_MATCHES + 1, ROUND_MATCHES):
        going = np.flatnonzero(verdicts == 0)
        if not going.size:
            break
        counts[going] += random.multinomial(ROUND_MATCHES // 2, chances, size=going.size)
        ratios = log_likelihood_ratios(counts[going], **bounds)
        verdicts[going] = np.where(ratios >= upper, 1, np.where(ratios <= lower, -1, 0))
        matches[going[verdicts[going] != 0]] = played
    accepted = (verdicts == 1).mean()
    error = 1.96 * np.sqrt(accepted * (1 - accepted) / arguments.tests)
    return (
        f"{100 * accepted:.1f} ± {100 * error:.1f} % | {100 * (verdicts == 0).mean():.1f} % | "
        f"{matches.mean():,.0f} | {np.quantile(matches, 0.9):,.0f}"
    )


def tilted(chances: tuple[float, ...], mean: float) -> np.ndarray:
    """Returns chances of the same kind whose mean score is `mean`."""

    def at(tilt: float) -> np.ndarray:
        weights = np.array(chances) * np.exp(tilt * SCORES)
        return weights / weights.sum()

    return at(optimize.brentq(lambda tilt: at(tilt) @ SCORES - mean, -20, 20))


if __name__ == "__main__":
    main()
