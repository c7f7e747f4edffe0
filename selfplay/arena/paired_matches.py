"""Matches between two agents: every opening twice, seats swapped, and what came of them."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, Key

from selfplay.arena.agents import RESIGN, Agent, HistoryAgent, MoveHistory
from selfplay.arena.batches import row_on_device, take
from selfplay.arena.openings import (
    Opening,
    OpeningSet,
    default_opening_plies,
    fingerprint_row,
    random_openings,
)
from selfplay.arena.table import Match, MatchTable
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
from selfplay.replay.blame import broken_rule

_CHANCE = 2**31 - 1
_DRAWN = -2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """How far the matches of a table are.

    Attributes:
        finished: matches that are over.
        matches: all of them.
        plies: made so far in all of them together, those of the openings too.
    """

    finished: int
    matches: int
    plies: int

    def __str__(self) -> str:
        return f"{self.finished} of {self.matches} matches finished, {self.plies:,} plies played"


def play_matches(
    game: Game[Any],
    agent_a: Agent,
    agent_b: Agent,
    *,
    num_matches: int | None = None,
    seed: int = 0,
    opening_plies: int | None = None,
    openings: OpeningSet | None = None,
    progress: Callable[[Standing], None] | None = None,
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
        progress: told before every ply, and at the end, how far the matches are; may raise to
            break off.

    Raises:
        IllegalActionError: an agent chose an action that the rules forbid.

    >>> from selfplay import make, make_agent
    >>> game = make("tic_tac_toe")
    >>> agents = make_agent("solver", game), make_agent("random", game)
    >>> play_matches(game, *agents, num_matches=4, opening_plies=0).losses
    0
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
            opening_plies = default_opening_plies(game)
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
    board = _Board(
        game,
        [openings.openings[index] for index in chosen for _ in range(2)],
        seed,
        follow=isinstance(agent_a, HistoryAgent) or isinstance(agent_b, HistoryAgent),
    )
    # Row i belongs to pair i // 2; agent_a is player i % 2 in it.
    seats = np.arange(num_matches) % 2
    for turn in range(game.max_plies + 1):
        if progress is not None:
            plies = sum(map(len, board.moves))
            progress(Standing(finished=int(board.over.sum()), matches=num_matches, plies=plies))
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
    for row in np.flatnonzero(~(np.abs(results) <= 1 + 1e-5)).tolist():
        board.blame(row)
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
            resigned=bool(board.resigned[row]),
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

    def __init__(
        self, game: Game[Any], openings: Sequence[Opening], seed: int, *, follow: bool
    ) -> None:
        self.openings = openings
        self.moves: list[list[int]] = [[] for _ in openings]
        self.outcomes: list[list[int]] = [[] for _ in openings]
        self.resigned = np.zeros(len(openings), bool)
        self._forfeits = np.zeros((len(openings), 2), np.float32)
        self._game = game
        # Far from the keys of the agents, which are made from the seed and the turn alone.
        self._chance_key = jax.random.fold_in(jax.random.key(seed), _CHANCE)
        self._ply = 0
        self._actions = np.zeros(len(openings), np.int32)
        key_data = np.array([opening.start_key for opening in openings], np.uint32)
        self._look(_begin(game, key_data))
        self.starts = [fingerprint_row(self._positions, row) for row in range(len(openings))]
        # For agents that must be told the moves; without one none is put into words.
        self._histories: list[MoveHistory] = []
        if follow:
            self._histories = [
                MoveHistory(first=row_on_device(self._positions, row), moves=())
                for row in range(len(openings))
            ]
        self._follow_openings()

    def blame(self, row: int) -> None:
        """Raises `GameContractError` if the game itself is at fault in a match."""
        key = self.openings[row].start_key
        broken = broken_rule(self._game, key, self.moves[row], self.outcomes[row])
        if broken is not None:
            raise broken

    def ask(self, agent: Agent, rows: np.ndarray, *, key: Key[Array, ""]) -> None:
        """Takes the agent's moves for these matches; refuses illegal ones."""
        if not rows.size:
            return
        positions = take(self._positions, rows)
        if isinstance(agent, HistoryAgent):
            histories = [self._histories[row] for row in rows.tolist()]
            actions = np.asarray(agent.follow(positions, histories, key=key))
        else:
            actions = np.asarray(agent.select(positions, key=key))
        if actions.shape != rows.shape or not np.issubdtype(actions.dtype, np.integer):
            raise GameContractError(
                f"agent {agent.name} answered {rows.size} positions with {actions.dtype} of shape "
                f"{actions.shape}, but must return one integer each"
            )
        for row, action in zip(rows.tolist(), actions.tolist(), strict=True):
            if action == RESIGN and isinstance(agent, HistoryAgent):
                self._resign(row)
            else:
                self._choose(row, action, f"agent {agent.name}")

    def play(self) -> None:
        """Plays the chosen moves in all matches that are not over."""
        playing = np.flatnonzero(~self.over).tolist()
        if self._histories:
            self._put_into_words(playing)
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
        # A match that was given up is stepped on with the others, unseen: by legal moves too.
        self._actions[self.resigned] = self._legal[self.resigned].argmax(axis=1)
        self._follow_openings()

    def _put_into_words(self, rows: Sequence[int]) -> None:
        for row in rows:
            history, state = self._histories[row], row_on_device(self._positions, row).state
            text = self._game.action_to_string(state, int(self._actions[row]))
            moves = (*history.moves, (int(self.movers[row]), text))
            forced = history.forced
            if self._legal[row].sum() == 1:
                forced |= {len(history.moves)}
            self._histories[row] = dataclasses.replace(history, moves=moves, forced=forced)

    def _resign(self, row: int) -> None:
        loser = int(self.movers[row])
        self.resigned[row] = self.over[row] = True
        self._forfeits[row] = (-1, 1) if loser == 0 else (1, -1)
        self.returns[row] = self._forfeits[row]
        self._actions[row] = self._legal[row].argmax()

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
        self.over: np.ndarray = np.asarray(seen.over) | self.resigned
        self.truncated: np.ndarray = np.asarray(seen.truncated) & ~self.resigned
        self.returns: np.ndarray = np.where(
            self.resigned[:, None], self._forfeits, np.asarray(seen.returns)
        )

    def _follow_openings(self) -> None:
        for row in np.flatnonzero(self.over & ~self.resigned).tolist():
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
            self.blame(row)
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
