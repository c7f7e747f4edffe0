"""The ends of finished matches: what the game's own solver says of them, on the host.

The devices play the next chunk meanwhile, and no move of self-play waits for an answer.
"""

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import numpy.typing as npt

from selfplay.arena.solved import checked_solution, has_solver
from selfplay.errors import ConfigError, GameContractError
from selfplay.game import Game, Solution, solver_limit
from selfplay.parallel import host_device
from selfplay.records import MatchRecord
from selfplay.records.match import LENGTH
from selfplay.replay import Rebuilder
from selfplay.settings.sections import RolloutConfig

_RECENT_MATCHES = 400
_SMALLEST_SHARE = 1e-3
"""Of the best moves in the policy of a search: below it, what the search says of them is noise."""


class Comparison(NamedTuple):
    """How far the searches of one match agree with the solver.

    Attributes:
        positions: that were solved.
        best: of these, those where the likeliest move of the search is a best one.
        error: sum over them of the distance of the value of the search from the exact one.
    """

    positions: int
    best: int
    error: float


def check_solver(game: Game[Any], config: RolloutConfig) -> None:
    """Raises `ConfigError` if a solver is asked for that the game does not have."""
    if config.solver != "off" and not has_solver(game):
        raise ConfigError(
            f"rollout.solver is {config.solver!r}, but {game.name} has no solver",
            hint="write `solve` in the game (docs/new-game.md), or leave rollout.solver off",
        )


class EndgameSolver:
    """Asks the solver of the game about the last positions of finished matches.

    It begins with the last one and stops at the first that the solver does not know. Matches that
    ended by their length alone are left out: a solver need not know of `max_plies`.
    """

    def __init__(
        self,
        game: Game[Any],
        config: RolloutConfig,
        *,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Starts without matches.

        Args:
            game: the rules.
            config: its `solver` says what to do, and may be changed later.
            say: is told if a solver that only looks on fails.
        """
        self.config = config
        self._game = game
        self._say = say
        self._rebuild = Rebuilder(game)
        self._device = host_device()
        self._failed = False
        self._recent: collections.deque[Comparison] = collections.deque(maxlen=_RECENT_MATCHES)

    def judge(self, matches: Sequence[MatchRecord]) -> list[MatchRecord]:
        """Returns the matches, with exact targets near their ends if the solver is "live".

        Raises:
            GameContractError: the solver fails, or names moves that are not legal. If it only
                looks on, it is asked no more instead.
        """
        unchanged = list(matches)
        if self.config.solver == "off" or self._failed or not matches:
            return unchanged
        try:
            solutions = self._solve(unchanged)
        except GameContractError as error:
            if self.config.solver == "live":
                raise
            self._failed = True
            self._say(f"the solver is asked no more: {error}")
            return unchanged
        self._recent.extend(map(compared, matches, solutions))
        if self.config.solver == "shadow":
            return unchanged
        return [with_solutions(*pair) for pair in zip(matches, solutions, strict=True)]

    def _solve(self, matches: Sequence[MatchRecord]) -> list[dict[int, Solution]]:
        """Returns the solutions of each match by ply."""
        positions = self._rebuild(matches)
        ends = np.cumsum([match.plies for match in matches])
        found: list[dict[int, Solution]] = []
        for match, end in zip(matches, ends.tolist(), strict=True):
            solutions: dict[int, Solution] = {}
            least = max(0, match.plies - self.config.solver_plies)
            asked = () if match.ending == LENGTH else range(match.plies - 1, least - 1, -1)
            for ply in asked:
                row = end - match.plies + ply
                solution = self._solution(match, ply, positions.states, positions.legal_bits, row)
                if solution is None:
                    break
                solutions[ply] = solution
            found.append(solutions)
        return found

    def _solution(
        self, match: MatchRecord, ply: int, states: Any, bits: npt.NDArray[np.uint8], row: int
    ) -> Solution | None:
        # JAX arrays, as everywhere else: `solve` may call the rules.
        state = jax.device_put(jax.tree.map(lambda leaf: leaf[row], states), self._device)
        legal = np.flatnonzero(np.unpackbits(bits[row], count=self._game.num_actions))
        with jax.default_device(self._device), solver_limit(self.config.solver_positions):
            return checked_solution(
                self._game,
                state,
                legal.tolist(),
                after=match.actions[:ply].tolist(),
                hint="selfplay check compares it with brute force; rollout.solver=off asks it not",
            )

    def metrics(self) -> dict[str, Any]:
        """Returns the metrics of the newest matches; None where not known."""
        positions = sum(one.positions for one in self._recent)
        if self.config.solver == "off" or not positions:
            return dict.fromkeys(("solver_agreement", "solver_value_error"))
        return {
            "solver_agreement": sum(one.best for one in self._recent) / positions,
            "solver_value_error": sum(one.error for one in self._recent) / positions,
        }


def compared(match: MatchRecord, solutions: Mapping[int, Solution]) -> Comparison:
    """Returns how far the searches of a match agree with these solutions, by ply."""
    best, error = 0, 0.0
    for ply, solution in solutions.items():
        actions, shares = match.policy(ply)
        best += int(actions[shares.argmax()]) in solution.actions
        error += abs(float(match.root_values[ply]) - solution.value)
    return Comparison(len(solutions), best, error)


def with_solutions(match: MatchRecord, solutions: Mapping[int, Solution]) -> MatchRecord:
    """Returns a match with exact values and policies at some plies, marked `proven`.

    Of the policy what lies on the best moves is kept; if that is next to nothing, they share it
    evenly. A fast move does not become a policy target.
    """
    if not solutions:
        return match
    values, proven = match.root_values.copy(), match.proven.copy()
    policies = [match.policy(ply) for ply in range(match.plies)]
    for ply, solution in solutions.items():
        values[ply], proven[ply] = solution.value, True
        policies[ply] = _on_best(*policies[ply], solution)
    return dataclasses.replace(
        match,
        root_values=values,
        proven=proven,
        policy_offsets=np.cumsum([0, *(len(actions) for actions, _ in policies)]).astype(np.int32),
        policy_actions=np.concatenate([actions for actions, _ in policies]),
        policy_probabilities=np.concatenate([shares for _, shares in policies]),
    )


def _on_best(
    actions: npt.NDArray[np.int32], shares: npt.NDArray[np.float32], solution: Solution
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Returns a policy, as actions and shares, that plays nothing but the best moves."""
    kept = np.isin(actions, list(solution.actions))
    total = float(shares[kept].sum())
    if total >= _SMALLEST_SHARE:
        return actions[kept], (shares[kept] / total).astype(np.float32)
    best = np.sort(np.array(solution.actions, np.int32))
    return best, np.full(len(best), 1 / len(best), np.float32)
