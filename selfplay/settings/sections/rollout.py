"""Settings of self-play."""

import dataclasses

from selfplay.configuration import check_choice, check_range

CPU_MATCHES = 64
"""Matches on each CPU core, if nothing else is asked for; 16 to 256 are about as fast."""

CHUNK_PLIES = 8
"""Plies in a chunk, if nothing else is asked for."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RolloutConfig:
    """How matches are played for training.

    Attributes:
        matches_per_device: matches played side by side on each device, at least 0; 0 chooses: 64
            on a CPU core, up to 4096 on an accelerator, as its memory allows.
        plies_per_chunk: plies that one compiled call plays in every match, at least 0; 0 chooses:
            8, or up to 32 with few simulations or, with ONNX Runtime, a small network; on CPU cores
            fewer for a large network.
        random_opening_share: share of matches that begin with random moves, in [0, 1].
        random_opening_plies: such a match begins with 1 to this many random plies, at least 1.
            Those moves are marked exploratory: value targets of earlier positions ignore what
            follows them.
        full_search_share: share of the moves that are searched with `search.num_simulations`, in
            (0, 1]; 1 searches all of them so. The others are fast moves, without exploration noise;
            their policies are not learnt, but the values of their positions are (playout cap
            randomisation; see docs/methods.md).
        fast_simulations: simulations of a fast move, at least 2 and below `search.num_simulations`;
            0 plays the raw network.
        resign_share: share of the matches in which a player gives up once his position is as good
            as lost, in [0, 0.95]; 0 plays all matches to the end. The others are played to the end,
            and show at which value to give up (see docs/methods.md).
        max_false_resigns: largest share of the resignations of players who would not have lost, in
            (0, 0.5].
        restart_share: share of the matches that go on from a position of an earlier match where the
            value jumped or the search surprised the network, in [0, 0.9]; they repeat its moves
            until there, marked exploratory (see docs/methods.md).
        side_positions: whether a position beside the match is kept of every search that looked well
            into one, and half of the samples are such positions (see docs/methods.md). Not in
            games of chance or with auxiliary targets.
        solver: what the game's own solver (`solve`) does at the end of finished matches: "off",
            nothing; "shadow", it is compared with the search and changes nothing; "live", its
            values and moves are the targets of training there (see docs/methods.md).
        solver_plies: of how many last plies of a match it is asked at most, at least 1.
        solver_positions: how many positions it may look at to answer, at least 1: a limit for
            `solve_exactly`, on which the time on the host depends.
    """

    matches_per_device: int = 0
    plies_per_chunk: int = 0
    random_opening_share: float = 0.4
    random_opening_plies: int = 6
    full_search_share: float = 1.0
    fast_simulations: int = 8
    resign_share: float = 0.0
    max_false_resigns: float = 0.05
    restart_share: float = 0.0
    side_positions: bool = False
    solver: str = "off"
    solver_plies: int = 16
    solver_positions: int = 1000

    def __post_init__(self) -> None:
        check_range("rollout.matches_per_device", self.matches_per_device, low=0)
        check_range("rollout.plies_per_chunk", self.plies_per_chunk, low=0)
        check_range("rollout.random_opening_share", self.random_opening_share, low=0, high=1)
        check_range("rollout.random_opening_plies", self.random_opening_plies, low=1)
        check_range("rollout.full_search_share", self.full_search_share, above=0, high=1)
        if self.fast_simulations != 0:
            check_range(
                "rollout.fast_simulations",
                self.fast_simulations,
                low=2,
                hint="one simulation only expands the root; 0 plays the raw network",
            )
        check_range("rollout.resign_share", self.resign_share, low=0, high=0.95)
        check_range("rollout.max_false_resigns", self.max_false_resigns, above=0, high=0.5)
        check_range("rollout.restart_share", self.restart_share, low=0, high=0.9)
        check_choice("rollout.solver", self.solver, ("off", "shadow", "live"))
        check_range("rollout.solver_plies", self.solver_plies, low=1)
        check_range("rollout.solver_positions", self.solver_positions, low=1)

    def as_recorded(self) -> "RolloutConfig":
        """Returns the settings on which the records of matches depend; the others at defaults."""
        if self.solver == "live":
            return self
        defaults = RolloutConfig()
        return dataclasses.replace(
            self,
            solver="off",
            solver_plies=defaults.solver_plies,
            solver_positions=defaults.solver_positions,
        )
