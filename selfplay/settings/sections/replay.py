"""Settings of the replay window."""

import dataclasses

from selfplay.configuration import check_choice, check_range

BALANCES = ("result", "player", "phase")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ReplayConfig:
    """Which positions the trainer may sample.

    The window grows with the number `n` of positions ever made, as in Wu, "Accelerating
    Self-Play Learning in Go", 2019, appendix C: below `min_window` it holds everything, then
    `min_window * (1 + growth * ((n / min_window) ** power - 1) / power)`, up to `max_window`.

    Attributes:
        min_window: smallest size in positions, at least 1.
        max_window: largest size in positions, at least `min_window`; host memory is reserved for
            this many.
        max_matches: largest size in matches, at least 1; 0 for no limit by matches.
        growth: initial slope of the growth, in [0, 1].
        power: exponent of the growth, in (0, 1].
        value_lambda: how far ahead the search's part of the value target looks, in [0, 1]: 0 takes
            the root value of the ply itself, 1 the outcome, 0.9 about the next ten root values.
            Root values a few plies later are more accurate; outcomes are noisy while play is weak.
        first_positions: positions that must be there before the first update, at least 1.
        holdout_share: share of new matches that are kept out of training, in [0, 0.5]. The loss on
            them beside that on matches learnt from shows overfitting. Which ones is decided by
            their ids; 0 keeps out none.
        surprise_share: share of the sampling that goes to the policy targets of a match in
            proportion to how much the search surprised the network there, in [0, 1]; the rest is
            even, and 0 samples all positions evenly (policy surprise weighting; see
            docs/methods.md).
        balanced: what the samples are balanced by: "result" (player 0 won, lost, or neither),
            "player" (who is to move), "phase" (first, second, last third of a match), or several of
            them. The positions of each result, player and phase that are there get equal shares
            of the sampling. An empty list balances nothing.
        average_positions: a position that comes back in several matches is learnt with the means of
            the targets of up to so many of the newest equal positions in the window, at least 1; 1
            takes its own targets alone.
        reanalyze_share: share of the positions that a trainer searches which are positions of the
            window, searched again with the newest weights for new targets, in [0, 0.9]; 0 searches
            those of its own matches alone. `selfplay reanalyze` does the same in a process of its
            own (see docs/methods.md).
    """

    min_window: int = 30_000
    max_window: int = 500_000
    max_matches: int = 0
    growth: float = 0.6
    power: float = 0.75
    value_lambda: float = 0.9
    first_positions: int = 4_000
    holdout_share: float = 0.0
    surprise_share: float = 0.0
    balanced: tuple[str, ...] = ()
    average_positions: int = 1
    reanalyze_share: float = 0.0

    def __post_init__(self) -> None:
        check_range("replay.min_window", self.min_window, low=1)
        check_range("replay.max_window", self.max_window, low=self.min_window)
        check_range("replay.max_matches", self.max_matches, low=0)
        check_range("replay.growth", self.growth, low=0, high=1)
        check_range("replay.power", self.power, above=0, high=1)
        check_range("replay.value_lambda", self.value_lambda, low=0, high=1)
        check_range("replay.first_positions", self.first_positions, low=1)
        check_range("replay.holdout_share", self.holdout_share, low=0, high=0.5)
        check_range("replay.surprise_share", self.surprise_share, low=0, high=1)
        for name in self.balanced:
            check_choice("replay.balanced", name, BALANCES)
        check_range("replay.average_positions", self.average_positions, low=1)
        check_range("replay.reanalyze_share", self.reanalyze_share, low=0, high=0.9)

    def window(self, positions_made: int) -> int:
        """Returns how many of the newest positions may be sampled."""
        if positions_made <= self.min_window:
            return self.min_window
        ratio = positions_made / self.min_window
        grown = self.min_window * (1 + self.growth * (ratio**self.power - 1) / self.power)
        return min(int(grown), self.max_window)
