"""Programs that play by GTP or UCI as agents: "gtp:gnugo --mode gtp", "uci:stockfish"."""

import concurrent.futures
import dataclasses
import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Int32, Key

from selfplay.arena.agents import RESIGN, Line
from selfplay.arena.engine_spec import Engine, EngineSpec
from selfplay.configuration import check_range
from selfplay.errors import ConfigError, IllegalActionError
from selfplay.game import ChanceGame, Game, Position, start

_MOST_PROCESSES = 64
_STARTS = 8
_ASK = -2
_KOMI_IN_STATE = ("go", "go_9x9", "go_19x19")
"""Games that draw a komi for each match, doubled in their state; others have it as an attribute."""

Moves = tuple[tuple[int, str], ...]


class EngineAgent:
    """Plays the moves of an engine, a program of its own that speaks GTP or UCI.

    A process is told one match at a time. It goes on where it stands if that leads to the position
    in question, else it begins again and is told all moves: with as many processes as matches
    nothing is ever told twice. Programs are started when they are first asked, and ended by
    `close`, by any error, and with the agent.
    """

    def __init__(
        self,
        game: Game[Any],
        spec: EngineSpec,
        *,
        processes: int = 1,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Prepares an agent; starts nothing.

        Args:
            game: the rules.
            spec: which engine.
            processes: how many think side by side, at most one for each position.
            say: is told of what is overlooked, such as lines that are no answers.

        Raises:
            ConfigError: the game has chance in it, which neither protocol can speak of.
        """
        check_range("engine processes", processes, low=1, high=_MOST_PROCESSES)
        if isinstance(game, ChanceGame):
            raise ConfigError(
                f"agent is {spec.text!r}, but {game.name} is a game of chance",
                hint="GTP and UCI have no words for dice; engines play games without chance",
            )
        self.name = spec.text
        self._game = game
        self._spec = spec
        told: set[str] = set()

        def say_once(text: str) -> None:
            if text not in told:
                told.add(text)
                say(text)

        launch = functools.partial(spec.launch, say_once)
        self._seats = [_Seat(launch) for _ in range(processes)]

    def select(self, positions: Position[Any], *, key: Key[Array, ""]) -> Int32[np.ndarray, " n"]:
        """Refuses: an engine must be told the moves."""
        raise ConfigError(
            f"{self.name} can only be asked during a match, move by move",
            hint="engines play in selfplay arena and selfplay play",
        )

    def follow(
        self, positions: Position[Any], lines: Sequence[Line], *, key: Key[Array, ""]
    ) -> Int32[np.ndarray, " n"]:
        """Returns the engine's move, or `RESIGN`, for each of `n` positions.

        Raises:
            ConfigError: the matches begin where the engine cannot be told to begin.
            EngineError: it failed, was silent for too long, or refused a legal move.
            IllegalActionError: it chose a move that the rules forbid.
        """
        del key  # What an engine leaves to chance is its own affair.
        try:
            asked = [self._question(positions, row, line) for row, line in enumerate(lines)]
            actions = np.array([self._forced_pass(positions, row) for row in range(len(lines))])
            # Programs that know no pass are not asked for one; the others are told of it.
            shares = self._shares(asked, np.flatnonzero(actions == _ASK).tolist())
            answers = dict(pair for share in self._think(asked, shares) for pair in share)
            for seat, share in zip(self._seats, shares, strict=True):
                for row in share:
                    actions[row] = self._read(positions, row, asked[row], answers[row])
                if share:
                    seat.remember(self._after(asked[share[-1]], positions, share[-1], actions))
            return actions.astype(np.int32)
        except BaseException:
            # Whatever it was in the middle of: its next answer could be one to an old question.
            for seat in self._seats:
                seat.kill()
            raise

    def close(self) -> None:
        """Ends the programs; they are started again when they are next needed."""
        for seat in self._seats:
            seat.close()

    def _question(self, positions: Position[Any], row: int, line: Line) -> "_Question":
        for _, text in line.moves:
            if not text or re.search(r"\s", text):
                raise ConfigError(
                    f"{self._game.name} writes a move as {text!r}, which no engine can read",
                    hint="action_to_string must return one word",
                )
        player = int(self._game.current_player(_row(positions, row).state))
        return _Question(
            setup=self._setup(line.first),
            moves=line.moves,
            forced=frozenset(ply for ply in line.forced if _is_pass(line.moves[ply][1])),
            player=player,
        )

    def _forced_pass(self, positions: Position[Any], row: int) -> int:
        """Returns the pass if it is the only legal move and GTP is spoken, else `_ASK`."""
        state = _row(positions, row).state
        legal = np.flatnonzero(np.asarray(_legal_mask(self._game, state))).tolist()
        if self._spec.protocol != "gtp" or len(legal) != 1:
            return _ASK
        return legal[0] if _is_pass(self._game.action_to_string(state, legal[0])) else _ASK

    def _shares(self, asked: Sequence["_Question"], rows: Sequence[int]) -> list[list[int]]:
        """Returns which of `rows` each process answers, where it can go on first of all."""
        most = math.ceil(len(rows) / len(self._seats))
        shares: list[list[int]] = [[] for _ in self._seats]
        left = []
        for row in rows:
            question = asked[row]
            seats = enumerate(self._seats)
            index = next((i for i, seat in seats if not shares[i] and seat.leads(question)), None)
            if index is None:
                left.append(row)
            else:
                shares[index].append(row)
        for row in left:
            free = (i for i, share in enumerate(shares) if len(share) < most)
            # Rather one that has no match yet.
            index = min(free, key=lambda i: (len(shares[i]), self._seats[i].is_taken))
            shares[index].append(row)
        return shares

    def _think(
        self, asked: Sequence["_Question"], shares: Sequence[Sequence[int]]
    ) -> list[list[tuple[int, str]]]:
        """Returns what each process answers to its share."""

        def work(seat: "_Seat", engine: Engine, share: Sequence[int]) -> list[tuple[int, str]]:
            return [(row, seat.answer(engine, asked[row])) for row in share]

        # All are started here, so that none can be overlooked when they must be ended.
        jobs = [
            (seat, seat.engine(), share)
            for seat, share in zip(self._seats, shares, strict=True)
            if share
        ]
        if not jobs:
            return []
        if len(jobs) == 1:
            return [work(*jobs[0])]
        threads = concurrent.futures.ThreadPoolExecutor(len(jobs))
        try:
            return [done.result() for done in [threads.submit(work, *job) for job in jobs]]
        except BaseException:
            # The others wait for their programs, and would be waited for.
            for seat in self._seats:
                seat.kill()
            raise
        finally:
            threads.shutdown()

    def _read(self, positions: Position[Any], row: int, question: "_Question", text: str) -> int:
        """Returns the action that the engine means."""
        if text.casefold() == "resign":
            return RESIGN
        state = _row(positions, row).state
        legal = np.flatnonzero(np.asarray(_legal_mask(self._game, state))).tolist()
        names = {self._game.action_to_string(state, action): action for action in legal}
        for name, action in names.items():
            if name.casefold() == text.casefold():
                return action
        try:
            action = self._game.string_to_action(state, text)
            if action in legal:
                return action
        # A game that reads its moves with int() or a table says so in its own way.
        except (IllegalActionError, ValueError, LookupError):
            pass
        moves = " ".join(text for _, text in question.moves)
        raise IllegalActionError(
            f"{self.name} plays {text!r} at ply {len(question.moves)} of {self._game.name}, "
            "which is not a legal move",
            hint=f"moves so far: {moves or 'none'}; legal moves: {' '.join(names)}",
        )

    def _after(
        self, question: "_Question", positions: Position[Any], row: int, actions: np.ndarray
    ) -> "_Question | None":
        """Returns where the process that answered last stands now; None if nobody knows."""
        action = int(actions[row])
        if action == RESIGN:
            return None
        text = self._game.action_to_string(_row(positions, row).state, action)
        moves = (*question.moves, (question.player, text))
        return dataclasses.replace(question, moves=moves)

    def _setup(self, first: Position[Any]) -> tuple[str, ...]:
        """Returns what a GTP engine is told before the first move: board size and komi, if any.

        Raises:
            ConfigError: the first positions of this game differ in more than that.
        """
        drawn_komi = (
            self._spec.protocol == "gtp"
            and self._game.name in _KOMI_IN_STATE
            and hasattr(first.state, "komi")
        )
        starts = [*_leaves(self._starts, drawn_komi), *_leaves(first.state, drawn_komi)]
        half = len(starts) // 2
        for many, one in zip(starts[:half], starts[half:], strict=True):
            if not (many == one).all():
                raise ConfigError(
                    f"{self._game.name} begins at random, which {self.name} cannot be told",
                    hint="engines know one first position; is there an option that fixes it?",
                )
        commands = []
        size, komi = getattr(self._game, "size", None), getattr(self._game, "komi", None)
        if isinstance(size, int):
            commands.append(f"boardsize {size}")
        if drawn_komi:
            komi = int(first.state.komi) / 2
        if isinstance(komi, int | float):
            commands.append(f"komi {komi:g}")
        return tuple(commands)

    @functools.cached_property
    def _starts(self) -> Any:
        """First states for several keys, with a leading axis."""
        keys = jax.random.split(jax.random.key(0), _STARTS)
        begin = jax.jit(jax.vmap(lambda key: start(self._game, key).state))
        return jax.device_get(begin(keys))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Question:
    """One position, as an engine is told of it.

    Attributes:
        setup: of the first position.
        moves: since then.
        forced: plies of passes that were the only legal move.
        player: who is to move.
    """

    setup: tuple[str, ...]
    moves: Moves
    forced: frozenset[int]
    player: int


class _Seat:
    """One process and the position in which it stands."""

    def __init__(self, launch: Callable[[], Engine]) -> None:
        self._launch = launch
        self._engine: Engine | None = None
        self._at: _Question | None = None

    def leads(self, question: _Question) -> bool:
        """Returns whether the process stands on the way to this position."""
        at = self._at
        return (
            at is not None
            and at.setup == question.setup
            and at.moves == question.moves[: len(at.moves)]
        )

    @property
    def is_taken(self) -> bool:
        """Returns whether the process stands in some match."""
        return self._at is not None

    def engine(self) -> Engine:
        """Returns the process, started if need be."""
        if self._engine is None:
            self._engine = self._launch()
        return self._engine

    def answer(self, engine: Engine, question: _Question) -> str:
        """Returns the move of the process."""
        at = self._at if self.leads(question) else None
        self._at = None
        if at is None:
            engine.begin(question.setup)
        told = 0 if at is None else len(at.moves)
        engine.play(question.moves[told:], forced={ply - told for ply in question.forced})
        return engine.choose(question.player)

    def remember(self, at: _Question | None) -> None:
        """Notes where the process stands after its last move."""
        self._at = at

    def close(self) -> None:
        """Ends the process."""
        engine, self._engine, self._at = self._engine, None, None
        if engine is not None:
            engine.close()

    def kill(self) -> None:
        """Ends the process at once."""
        engine, self._engine, self._at = self._engine, None, None
        if engine is not None:
            engine.kill()


def _is_pass(text: str) -> bool:
    # The word of GTP, which games without a word of their own write too.
    return text.casefold() == "pass"


def _row(positions: Position[Any], row: int) -> Position[Any]:
    # JAX arrays, as everywhere else: a game's texts may call its rules.
    one = jax.tree.map(lambda leaf: np.asarray(leaf)[row], positions)
    moved: Position[Any] = jax.device_put(one)
    return moved


def _leaves(state: Any, without_komi: bool) -> list[np.ndarray]:
    return [
        np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
        if not (without_komi and jax.tree_util.keystr(path) == ".komi")
    ]


@functools.partial(jax.jit, static_argnums=0)
def _legal_mask(game: Game[Any], state: Any) -> Bool[Array, " A"]:
    return game.legal_action_mask(state)
