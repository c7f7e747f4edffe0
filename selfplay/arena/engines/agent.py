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

from selfplay.arena.agents import RESIGN, MoveHistory
from selfplay.arena.batches import row_on_device
from selfplay.arena.engines.process import EngineProcess, Question
from selfplay.arena.engines.setups import Setups
from selfplay.arena.engines.spec import Engine, EngineSpec
from selfplay.configuration import check_range
from selfplay.errors import ConfigError, IllegalActionError
from selfplay.game import ChanceGame, Game, Position

_MOST_PROCESSES = 64
_ASK = -2


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
        self._setups = Setups(game, engine=spec.text, protocol=spec.protocol)
        told: set[str] = set()

        def say_once(text: str) -> None:
            if text not in told:
                told.add(text)
                say(text)

        launch = functools.partial(spec.launch, say_once)
        self._processes = [EngineProcess(launch) for _ in range(processes)]

    def select(self, positions: Position[Any], *, key: Key[Array, ""]) -> Int32[np.ndarray, " n"]:
        """Refuses: an engine must be told the moves."""
        raise ConfigError(
            f"{self.name} can only be asked during a match, move by move",
            hint="engines play in selfplay arena and selfplay play",
        )

    def follow(
        self, positions: Position[Any], histories: Sequence[MoveHistory], *, key: Key[Array, ""]
    ) -> Int32[np.ndarray, " n"]:
        """Returns the engine's move, or `RESIGN`, for each of `n` positions.

        Raises:
            ConfigError: the matches begin where the engine cannot be told to begin.
            EngineError: it failed, was silent for too long, or refused a legal move.
            IllegalActionError: it chose a move that the rules forbid.
        """
        del key  # What an engine leaves to chance is its own affair.
        try:
            asked = [
                self._question(positions, row, history) for row, history in enumerate(histories)
            ]
            actions = np.array([self._forced_pass(positions, row) for row in range(len(histories))])
            # Programs that know no pass are not asked for one; the others are told of it.
            shares = self._shares(asked, np.flatnonzero(actions == _ASK).tolist())
            answers = dict(pair for share in self._think(asked, shares) for pair in share)
            for process, share in zip(self._processes, shares, strict=True):
                for row in share:
                    actions[row] = self._read(positions, row, asked[row], answers[row])
                if share:
                    process.remember(self._after(asked[share[-1]], positions, share[-1], actions))
            return actions.astype(np.int32)
        except BaseException:
            # Whatever it was in the middle of: its next answer could be one to an old question.
            for process in self._processes:
                process.kill()
            raise

    def close(self) -> None:
        """Ends the programs; they are started again when they are next needed."""
        for process in self._processes:
            process.close()

    def _question(self, positions: Position[Any], row: int, history: MoveHistory) -> Question:
        for _, text in history.moves:
            if not text or re.search(r"\s", text):
                raise ConfigError(
                    f"{self._game.name} writes a move as {text!r}, which no engine can read",
                    hint="action_to_string must return one word",
                )
        player = int(self._game.current_player(row_on_device(positions, row).state))
        return Question(
            setup=self._setups.of(history.first),
            moves=history.moves,
            forced=frozenset(ply for ply in history.forced if _is_pass(history.moves[ply][1])),
            player=player,
        )

    def _forced_pass(self, positions: Position[Any], row: int) -> int:
        """Returns the pass if it is the only legal move and GTP is spoken, else `_ASK`."""
        state = row_on_device(positions, row).state
        legal = np.flatnonzero(np.asarray(_legal_mask(self._game, state))).tolist()
        if self._spec.protocol != "gtp" or len(legal) != 1:
            return _ASK
        return legal[0] if _is_pass(self._game.action_to_string(state, legal[0])) else _ASK

    def _shares(self, asked: Sequence[Question], rows: Sequence[int]) -> list[list[int]]:
        """Returns which of `rows` each process answers, where it can go on first of all."""
        most = math.ceil(len(rows) / len(self._processes))
        shares: list[list[int]] = [[] for _ in self._processes]
        left = []
        for row in rows:
            question = asked[row]
            running = enumerate(self._processes)
            index = next((i for i, one in running if not shares[i] and one.leads(question)), None)
            if index is None:
                left.append(row)
            else:
                shares[index].append(row)
        for row in left:
            free = (i for i, share in enumerate(shares) if len(share) < most)
            # Rather one that has no match yet.
            index = min(free, key=lambda i: (len(shares[i]), self._processes[i].is_taken))
            shares[index].append(row)
        return shares

    def _think(
        self, asked: Sequence[Question], shares: Sequence[Sequence[int]]
    ) -> list[list[tuple[int, str]]]:
        """Returns what each process answers to its share."""

        def work(
            process: EngineProcess, engine: Engine, share: Sequence[int]
        ) -> list[tuple[int, str]]:
            return [(row, process.answer(engine, asked[row])) for row in share]

        # All are started here, so that none can be overlooked when they must be ended.
        jobs = [
            (process, process.engine(), share)
            for process, share in zip(self._processes, shares, strict=True)
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
            for process in self._processes:
                process.kill()
            raise
        finally:
            threads.shutdown()

    def _read(self, positions: Position[Any], row: int, question: Question, text: str) -> int:
        """Returns the action that the engine means."""
        if text.casefold() == "resign":
            return RESIGN
        state = row_on_device(positions, row).state
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
        self, question: Question, positions: Position[Any], row: int, actions: np.ndarray
    ) -> "Question | None":
        """Returns where the process that answered last stands now; None if nobody knows."""
        action = int(actions[row])
        if action == RESIGN:
            return None
        text = self._game.action_to_string(row_on_device(positions, row).state, action)
        moves = (*question.moves, (question.player, text))
        return dataclasses.replace(question, moves=moves)


def _is_pass(text: str) -> bool:
    # The word of GTP, which games without a word of their own write too.
    return text.casefold() == "pass"


@functools.partial(jax.jit, static_argnums=0)
def _legal_mask(game: Game[Any], state: Any) -> Bool[Array, " A"]:
    return game.legal_action_mask(state)
