"""Settings of `[evaluation]`: how strength is measured while training."""

import dataclasses

from selfplay.configuration import check_range
from selfplay.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig:
    """How strength is measured while training.

    Attributes:
        enabled: whether it is measured at all.
        opponents: agents to play against: "random", "mcts:N" (plain tree search with N
            simulations), "solver" or another run, "RUN@UPDATE". With none only an evaluator plays,
            against earlier checkpoints.
        matches: per opponent and evaluation, at least 2 and even, because every opening is
            played once from each seat.
        simulations: of our own search, at least 2; 0 for `search.num_simulations`.
        share: at most this share of the wall time goes into evaluation, in (0, 1]. It is spread
            over the time: none is saved up.
        first_seconds: the first evaluation starts this many seconds into training, at least 0.
        interval_seconds: from the end of one evaluation to the next at least so long, at least 0;
            longer where `share` asks for it.
        mistake_positions: in a game with `solve`, every evaluation also counts mistakes in so
            many positions of random matches, at least 0; 0 does not.
        solver_seconds: after this many seconds no further one of those positions is solved,
            above 0. Late ones come first; all is done once in the life of a process.
    """

    enabled: bool = True
    opponents: tuple[str, ...] = ("random", "mcts:100")
    matches: int = 32
    simulations: int = 0
    share: float = 0.1
    first_seconds: float = 20.0
    interval_seconds: float = 20.0
    mistake_positions: int = 256
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
