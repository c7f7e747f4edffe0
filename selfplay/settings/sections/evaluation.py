"""Settings of `[evaluation]`: how strength is measured while training."""

import dataclasses

from selfplay.configuration import check_range
from selfplay.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig:
    """How strength is measured while training.

    Attributes:
        enabled: whether strength is measured.
        opponents: agents to play against: "random", "mcts:N" (plain tree search with N
            simulations), "solver" or another run, "RUN@UPDATE". If the list is empty, only an
            evaluator plays, against earlier checkpoints.
        matches: number of matches against each opponent in one evaluation, at least 2 and even,
            because every opening is played once from each seat. `selfplay train` plays fewer, at
            least 4, if so many take more time than `share` allows.
        simulations: of an agent of the run per move where no number is given, in evaluations,
            arena, play and serve, at least 2; 0 for `search.num_simulations`.
        share: largest share of the wall time that evaluation may take, in (0, 1]. Evaluations are
            spread evenly: unused time is not saved up.
        first_seconds: seconds of training before the first evaluation, at least 0.
        interval_seconds: least time from the end of one evaluation to the start of the next, at
            least 0; longer if `share` requires it.
        mistake_positions: in a game with `solve`, the number of positions of random matches in
            which every evaluation counts mistakes, at least 0; 0 counts none.
        openings: a file of openings, as `selfplay arena --save-openings` writes it, with which the
            matches begin, in turn; by default every evaluation draws its own.
        suite: the position suite that every evaluation asks: "game" for the game's own, if it has
            one, "none", or a file.
        solver_seconds: time limit for solving those positions, above 0. It starts with the late
            positions, and happens once in the life of a process.
    """

    enabled: bool = True
    opponents: tuple[str, ...] = ("random", "mcts:100")
    matches: int = 32
    simulations: int = 0
    share: float = 0.1
    first_seconds: float = 20.0
    interval_seconds: float = 20.0
    mistake_positions: int = 256
    openings: str = ""
    suite: str = "game"
    solver_seconds: float = 10.0

    def __post_init__(self) -> None:
        check_range("evaluation.matches", self.matches, low=2)
        if self.matches % 2:
            raise ConfigError(
                f"evaluation.matches is {self.matches}, but must be even",
                hint="every opening is played once from each seat",
            )
        if self.simulations != 0:
            check_range("evaluation.simulations", self.simulations, low=2)
        check_range("evaluation.share", self.share, above=0, high=1)
        check_range("evaluation.first_seconds", self.first_seconds, low=0)
        check_range("evaluation.interval_seconds", self.interval_seconds, low=0)
        check_range("evaluation.mistake_positions", self.mistake_positions, low=0)
        check_range("evaluation.solver_seconds", self.solver_seconds, above=0)
