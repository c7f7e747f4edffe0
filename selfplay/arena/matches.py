"""Matches between two agents: every opening twice, seats swapped, and what came of them."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, Key

from selfplay.arena.agents import Agent
from selfplay.arena.openings import Opening, OpeningSet, fingerprint_row, random_openings
from selfplay.arena.statistics import Interval, elo_from_score, score_interval
from selfplay.arena.view import View, view
from selfplay.configuration import check_range
from selfplay.errors import ConfigError, GameContractError, IllegalActionError
from selfplay.game import (
    ChanceGame,
    Game,
    Position,
    advance,
    draw_outcome,
    is_possible_outcome,
    pytree,
    start,
)
from selfplay.search.batches import take

_DEFAULT_OPENING_PLIES = 4
_CHANCE = 2**31 - 1
_DRAWN = -2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Match:
    """One finished match.

    Attributes:
        opening: index of its opening in the set.
        seat: which player the first agent was, 0 or 1.
        start_key: key data of the start.
        actions: every move, those of the opening first.
        outcomes: the chance outcome that followed each move, -1 for none; empty in a game
            without chance.
        score: of the first agent: 1 won, 1/2 drawn, 0 lost.
        result: of the first agent, in [-1, 1], as the game returns it.
        truncated: whether the match was ended by `max_plies` alone.
    """

    opening: int
    seat: int
    start_key: tuple[int, int]
    actions: tuple[int, ...]
    outcomes: tuple[int, ...]
    score: float
    result: float
    truncated: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatchTable:
    """The matches of two agents, seen by the first one.

    Attributes:
        game: name of the game.
        agents: names of the two.
        seed: of everything random.
        opening_set: id of the openings.
        matches: two in a row have the same opening, seats swapped.
        distinct_matches: how many differ in the first position, in a move or in what chance did.
        distinct_pairs: how many pairs do; only those count for the interval.
    """

    game: str
    agents: tuple[str, str]
    seed: int
    opening_set: str
    matches: tuple[Match, ...]
    distinct_matches: int
    distinct_pairs: int

    @property
    def wins(self) -> int:
        """Returns how many matches the first agent won."""
        return sum(match.score == 1 for match in self.matches)

    @property
    def draws(self) -> int:
        """Returns how many matches nobody won."""
        return sum(match.score == 0.5 for match in self.matches)

    @property
    def losses(self) -> int:
        """Returns how many matches the first agent lost."""
        return sum(match.score == 0 for match in self.matches)

    @property
    def score(self) -> float:
        """Returns the first agent's mean score, in [0, 1]; a draw is one half."""
        return (self.wins + self.draws / 2) / len(self.matches)

    @property
    def interval(self) -> Interval:
        """Returns the 95 % interval of the score, by pairs of matches."""
        scores = [match.score for match in self.matches]
        pairs = [(one + two) / 2 for one, two in zip(scores[::2], scores[1::2], strict=True)]
        return score_interval(pairs, distinct_pairs=self.distinct_pairs)

    @property
    def truncated(self) -> int:
        """Returns how many matches were ended by `max_plies`."""
        return sum(match.truncated for match in self.matches)

    @property
    def mean_plies(self) -> float:
        """Returns the mean length of a match, opening included."""
        return sum(len(match.actions) for match in self.matches) / len(self.matches)

    def seat_score(self, seat: int) -> float:
        """Returns the first agent's mean score as player `seat`."""
        scores = [match.score for match in self.matches if match.seat == seat]
        return sum(scores) / len(scores)

    def to_dict(self) -> dict[str, Any]:
        """Returns the document that `selfplay arena --json` prints."""
        return {
            "game": self.game,
            "agents": list(self.agents),
            "matches": len(self.matches),
            "distinct_matches": self.distinct_matches,
            "wins": self.wins,
            "draws": self.draws,
            "losses": self.losses,
            "score": self.score,
            "interval": list(self.interval),
            # JSON has no infinity.
            "elo": _finite(elo_from_score(self.score)),
            "elo_interval": [_finite(elo_from_score(bound)) for bound in self.interval],
            "score_by_seat": [self.seat_score(0), self.seat_score(1)],
            "truncated": self.truncated,
            "mean_plies": self.mean_plies,
            "opening_set": self.opening_set,
            "seed": self.seed,
        }


def play_matches(
    game: Game[Any],
    agent_a: Agent,
    agent_b: Agent,
    *,
    num_matches: int | None = None,
    seed: int = 0,
    opening_plies: int | None = None,
    openings: OpeningSet | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MatchTable:
    """Plays matches of two agents, all at once, and returns the table seen by `agent_a`.

    Each opening is played twice, `agent_a` first as player 0, then as player 1. The matches go
    on in step; at every ply each agent is asked once for all matches in which it is to move.

    In a game of chance the two matches of an opening have the same start and common dice: where
    both draw among the same probabilities at the same ply, the same outcome comes up. Luck then
    goes to one agent in the one match and to the other in the other.

    Args:
        game: the rules.
        agent_a: the agent whose score is counted.
        agent_b: the other one.
        num_matches: even, at least 2; by default 100, or each of `openings` twice.
        seed: of the openings and of the agents' random choices.
        opening_plies: length of the random openings; by default 4, less in short games.
        openings: play these instead, in turn.
        progress: called after every ply with the number of finished and of all matches.

    Raises:
        IllegalActionError: an agent chose an action that the rules forbid.
    """
    if num_matches is None:
        num_matches = 100 if openings is None else 2 * len(openings.openings)
    check_range("num_matches", num_matches, low=2)
    if num_matches % 2:
        raise ConfigError(
            f"num_matches is {num_matches}, but must be even",
            hint="every opening is played twice, seats swapped",
        )
    if openings is None:
        if opening_plies is None:
            opening_plies = min(_DEFAULT_OPENING_PLIES, game.max_plies // 4)
        openings = random_openings(
            game, num_openings=num_matches // 2, plies=opening_plies, seed=seed
        )
    elif opening_plies is not None:
        raise ConfigError(
            f"opening_plies is {opening_plies}, but openings are given",
            hint="leave one of the two out",
        )
    chosen = [index % len(openings.openings) for index in range(num_matches // 2)]
    key = jax.random.key(seed)
    board = _Board(game, [openings.openings[index] for index in chosen for _ in range(2)], seed)
    # Row i belongs to pair i // 2; agent_a is player i % 2 in it.
    seats = np.arange(num_matches) % 2
    for turn in range(game.max_plies + 1):
        if progress is not None:
            progress(int(board.over.sum()), num_matches)
        if board.over.all():
            break
        for side, agent in enumerate((agent_a, agent_b)):
            waiting = board.waiting & (board.movers == (seats if side == 0 else 1 - seats))
            agent_key = jax.random.fold_in(key, 2 * turn + side)
            board.ask(agent, np.flatnonzero(waiting), key=agent_key)
        board.play()
    else:
        raise GameContractError(f"{game.name}: a match goes on after max_plies")
    results = board.returns[np.arange(num_matches), seats]
    matches = tuple(
        Match(
            opening=chosen[row // 2],
            seat=int(seats[row]),
            start_key=board.openings[row].start_key,
            actions=tuple(board.moves[row]),
            outcomes=tuple(board.outcomes[row]) if isinstance(game, ChanceGame) else (),
            score=(1 + int(np.sign(results[row]))) / 2,
            result=float(results[row]),
            truncated=bool(board.truncated[row]),
        )
        for row in range(num_matches)
    )
    played = [
        (board.starts[row], match.actions, match.outcomes) for row, match in enumerate(matches)
    ]
    return MatchTable(
        game=game.name,
        agents=(agent_a.name, agent_b.name),
        seed=seed,
        opening_set=openings.id,
        matches=matches,
        distinct_matches=len(set(played)),
        distinct_pairs=len(set(zip(played[::2], played[1::2], strict=True))),
    )


class _Board:
    """All matches of a table, in step, on the host."""

    def __init__(self, game: Game[Any], openings: Sequence[Opening], seed: int) -> None:
        self.openings = openings
        self.moves: list[list[int]] = [[] for _ in openings]
        self.outcomes: list[list[int]] = [[] for _ in openings]
        self._game = game
        # Far from the keys of the agents, which are made from the seed and the turn alone.
        self._chance_key = jax.random.fold_in(jax.random.key(seed), _CHANCE)
        self._ply = 0
        self._actions = np.zeros(len(openings), np.int32)
        key_data = np.array([opening.start_key for opening in openings], np.uint32)
        self._look(_begin(game, key_data))
        self.starts = [fingerprint_row(self._positions, row) for row in range(len(openings))]
        self._follow_openings()

    def ask(self, agent: Agent, rows: np.ndarray, *, key: Key[Array, ""]) -> None:
        """Takes the agent's moves for these matches; refuses illegal ones."""
        if not rows.size:
            return
        actions = np.asarray(agent.select(take(self._positions, rows), key=key))
        if actions.shape != rows.shape or not np.issubdtype(actions.dtype, np.integer):
            raise GameContractError(
                f"agent {agent.name} answered {rows.size} positions with {actions.dtype} of shape "
                f"{actions.shape}, but must return one integer each"
            )
        for row, action in zip(rows.tolist(), actions.tolist(), strict=True):
            self._choose(row, action, f"agent {agent.name}")

    def play(self) -> None:
        """Plays the chosen moves in all matches that are not over."""
        playing = np.flatnonzero(~self.over).tolist()
        key = jax.random.fold_in(self._chance_key, self._ply)
        seen, drawn = _advance(self._game, self._positions, self._actions, self._given(), key)
        outcomes = np.asarray(drawn.outcomes)
        for row in playing:
            if not drawn.possible[row]:
                raise ConfigError(
                    f"the opening {self.openings[row].actions} of {self._game.name} has outcome "
                    f"{outcomes[row]} at ply {len(self.moves[row])}, which cannot follow",
                    hint="-1 stands where no chance follows; outcomes may be left out",
                )
            self.moves[row].append(int(self._actions[row]))
            self.outcomes[row].append(int(outcomes[row]))
        self._ply += 1
        self._look(seen)
        self._actions = np.zeros_like(self._actions)
        self._follow_openings()

    def _given(self) -> Int32[np.ndarray, " M"]:
        """Returns the outcome that each opening prescribes at this ply, -2 where it is drawn."""
        ply = self._ply
        return np.array(
            [
                opening.outcomes[ply] if ply < len(opening.outcomes) else _DRAWN
                for opening in self.openings
            ],
            np.int32,
        )

    def _look(self, seen: View) -> None:
        # One transfer per ply; everything else of the ply is NumPy on the host.
        seen = jax.device_get(seen)
        self._positions = seen.position
        self._legal: np.ndarray = np.asarray(seen.legal)
        self.movers: np.ndarray = np.asarray(seen.mover)
        self.over: np.ndarray = np.asarray(seen.over)
        self.truncated: np.ndarray = np.asarray(seen.truncated)
        self.returns: np.ndarray = np.asarray(seen.returns)

    def _follow_openings(self) -> None:
        for row in np.flatnonzero(self.over).tolist():
            if len(self.moves[row]) <= len(self.openings[row].actions):
                raise ConfigError(
                    f"the opening {self.openings[row].actions} of {self._game.name} ends the match",
                    hint="the agents would have no move to make; take it out of the set",
                )
        self.waiting = ~self.over
        for row in np.flatnonzero(~self.over).tolist():
            ply, opening = len(self.moves[row]), self.openings[row].actions
            if ply < len(opening):
                self._choose(row, opening[ply], "the opening")
                self.waiting[row] = False

    def _choose(self, row: int, action: int, who: str) -> None:
        legal = self._legal[row]
        if not (0 <= action < legal.size and legal[action]):
            raise IllegalActionError(
                f"{who} chose action {action} at ply {len(self.moves[row])} of {self._game.name}, "
                "which is not legal",
                hint=f"legal actions: {np.flatnonzero(legal).tolist()}; "
                f"moves so far: {self.moves[row]}",
            )
        self._actions[row] = action


@functools.partial(jax.jit, static_argnums=0)
def _begin(game: Game[Any], key_data: Array) -> View:
    keys = jax.random.wrap_key_data(key_data)
    return jax.vmap(lambda key: view(game, start(game, key)))(keys)


@pytree
class _Drawn:
    """What chance did in `M` matches, with a leading axis of `M`."""

    outcomes: Int32[Array, ""]
    possible: Bool[Array, ""]


@functools.partial(jax.jit, static_argnums=0)
def _advance(
    game: Game[Any], positions: Position[Any], actions: Array, given: Array, key: Key[Array, ""]
) -> tuple[View, _Drawn]:
    """Plays the actions; `given` outcomes follow, or drawn ones, alike for two rows in a row."""

    def play(
        position: Position[Any], action: Array, given: Array, pair: Array
    ) -> tuple[View, _Drawn]:
        drawn = draw_outcome(game, position, action, key=jax.random.fold_in(key, pair))
        outcome = jnp.where(given == _DRAWN, drawn, given)
        possible = is_possible_outcome(game, position, action, outcome)
        after = advance(game, position, action, outcome).position
        return view(game, after), _Drawn(outcomes=outcome, possible=possible)

    pairs = jnp.arange(actions.shape[0], dtype=jnp.int32) // 2
    return jax.vmap(play)(positions, actions, given, pairs)


def _finite(elo: float) -> float | None:
    return elo if np.isfinite(elo) else None
