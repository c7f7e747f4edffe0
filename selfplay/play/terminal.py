"""A match in the terminal: a person, or two, or none, and an agent."""

import contextlib
import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import numpy as np

from selfplay.arena.agents import RESIGN, Agent, Analysis, Analyst, HistoryAgent, analyse_one
from selfplay.arena.batches import stack
from selfplay.arena.live import LiveMatch
from selfplay.configuration import check_choice
from selfplay.errors import IllegalActionError
from selfplay.game import Game, title_of
from selfplay.play.ink import Ink
from selfplay.play.match_file import describe_thought
from selfplay.play.streams import LineSource, Screen

_SHOWN_MOVES = 5
_NUMBER = re.compile(r"[+-]?[0-9]+")
_HELP = """\
  a move      as this game writes it; "moves" lists them
  #N          action number N; N will do in a game that does not write moves as numbers
  moves       the legal moves
  hint        what the agent would play here
  undo        take back your last move
  resign      give up the match
  quit        leave without a result
  help        this list"""

Ending = Literal["finished", "resigned", "left"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TerminalMatch:
    """How a match in the terminal went.

    Attributes:
        ending: whether it was played to the end, resigned, or left without a result.
        actions: every move.
        outcomes: the chance outcome that followed each, -1 for none.
        returns: result for player 0 and player 1, in [-1, 1]; None if it was left.
        thoughts: what the agent thought at each move, as in a match file; None at moves of people.
    """

    ending: Ending
    actions: tuple[int, ...]
    outcomes: tuple[int, ...]
    returns: tuple[float, float] | None
    thoughts: tuple[dict[str, Any] | None, ...] = ()


def parse_people(text: str) -> frozenset[int]:
    """Returns which players are people: "0", "1", "both" or "none"."""
    seats = {"0": {0}, "1": {1}, "both": {0, 1}, "none": set()}
    check_choice("the side you play", text, tuple(seats))
    return frozenset(seats[text])


def play_in_terminal(
    game: Game[Any],
    agent: Agent,
    *,
    people: frozenset[int],
    source: LineSource,
    output: Screen,
    seed: int = 0,
    match: LiveMatch | None = None,
    thoughts: Sequence[dict[str, Any] | None] = (),
    colour: bool = False,
    thinking: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
) -> TerminalMatch:
    """Plays one match and returns how it went.

    Args:
        game: the rules.
        agent: plays every side that is not a person's, and gives hints.
        people: the players, of 0 and 1, who type their moves.
        source: where people's lines come from; its end leaves the match.
        output: where everything is written.
        seed: of a random start and of the agent's random choices.
        match: goes on from here; by default a new one.
        thoughts: of the moves of `match`, as `TerminalMatch` has them.
        colour: whether to stress what a move changed, and to draw a bar beside an estimate.
        thinking: its context is entered each time the agent thinks, to show that it does.
    """
    match = match or LiveMatch(game, seed=seed)
    return _Table(
        match, agent, people, source, output, seed, thoughts, Ink(colour), thinking
    ).play()


class _Table:
    """The match, the agent, and the two streams."""

    def __init__(
        self,
        match: LiveMatch,
        agent: Agent,
        people: frozenset[int],
        source: LineSource,
        output: Screen,
        seed: int,
        thoughts: Sequence[dict[str, Any] | None],
        ink: Ink,
        thinking: Callable[[], contextlib.AbstractContextManager[Any]],
    ) -> None:
        self._match = match
        known = list(thoughts)[: len(match.actions)]
        self._thoughts = known + [None] * (len(match.actions) - len(known))
        self._agent = agent
        self._people = people
        # Estimates are for one side all along: the person's, or player 0 if that is not one.
        self._side = min(people) if len(people) == 1 else 0
        self._ink = ink
        self._source = source
        self._output = output
        self._thinking = thinking
        self._key = jax.random.key(seed)

    def play(self) -> TerminalMatch:
        """Plays until the match ends, somebody resigns, or the input does."""
        match = self._match
        seats = ", ".join(f"player {player} is {self._who(player)}" for player in (0, 1))
        self._say(f"{title_of(match.game)}: {seats}")
        if self._people:
            self._say("type a move, or help; an estimate is an expected score, a draw counts half")
        while not match.over:
            self._show()
            by_person = match.player in self._people
            ending = self._person_moves() if by_person else self._agent_moves()
            if ending is not None:
                return self._end(ending)
        self._show()
        return self._end("finished")

    def _person_moves(self) -> Ending | None:
        """Asks until the match has changed; returns an ending if that is what was asked for."""
        match = self._match
        while True:
            self._output.write(f"player {match.player}, your move> ")
            self._output.flush()
            try:
                line = self._source.readline()
            except KeyboardInterrupt:
                line = ""
            if not line:
                self._say("")
                return "left"
            text = line.strip()
            command = text.casefold()
            if command in ("quit", "exit"):
                return "left"
            if command == "resign":
                return "resigned"
            if command == "undo":
                if self._undo():
                    return None
            elif command == "help":
                self._say(_HELP)
            elif command == "moves":
                self._say(" ".join(f"{match.name(action)} (#{action})" for action in match.legal))
            elif command == "hint":
                self._hint()
            elif text and self._try_move(text):
                return None

    def _try_move(self, text: str) -> bool:
        """Plays what was typed; says why not, and returns False, if it is no legal move."""
        match = self._match
        try:
            match.play(self._action(text))
            self._thoughts.append(None)
        except IllegalActionError as error:
            self._say(f"{error}" + (f"; {error.hint}" if error.hint else ""))
        # A game that reads its moves with int() or a table says so in its own way.
        except (ValueError, LookupError):
            self._say(f"{text!r} is not a move; type moves to see them")
        else:
            self._say_roll()
            return True
        return False

    def _action(self, text: str) -> int:
        """Returns the action that was typed: as the game writes it, "#N", or else a number.

        In a game that writes its moves as numbers, a number is never taken for that of an action:
        one that is not legal as a move would then be another move.
        """
        match = self._match
        number = re.fullmatch(r"(#\s*)?([0-9]{1,9})", text)
        if number is not None and number[1]:
            return int(number[2])
        try:
            return match.game.string_to_action(match.position.state, text)
        except (IllegalActionError, ValueError, LookupError):
            if number is None or any(_NUMBER.fullmatch(match.name(a)) for a in match.legal):
                raise
            return int(number[2])

    def _say_roll(self) -> None:
        """Writes what chance did after the last move, if anything."""
        match = self._match
        rolled = match.outcome_name(len(match.outcomes) - 1)
        if rolled is not None:
            self._say(f"chance: {rolled}")

    def _undo(self) -> bool:
        """Goes back to the last position before this one in which a person was to move."""
        earlier = self._match.players()[:-1]
        for ply in range(len(earlier) - 1, -1, -1):
            if earlier[ply] in self._people:
                self._match.undo(len(earlier) - ply)
                del self._thoughts[ply:]
                return True
        self._say("there is no move of yours to take back")
        return False

    def _agent_moves(self) -> Ending | None:
        """Makes the agent's move; returns an ending if it gives the match up."""
        match = self._match
        analysis = self._analysis()
        action = self._selected() if analysis is None else analysis.action
        if action == RESIGN:
            return "resigned"
        text = self._ink.head(f"{self._agent.name} plays {match.name(action)} (#{action})")
        if analysis is None:
            self._say(text)
        else:
            self._say(text + self._estimate(analysis))
            self._table(analysis)
        player = match.player
        match.play(action)
        self._thoughts.append(None if analysis is None else describe_thought(player, analysis))
        self._say_roll()
        return None

    def _selected(self) -> int:
        """Returns the choice of an agent that gives no reasons."""
        positions, key = stack([self._match.position]), self._ply_key()
        with self._thinking():
            if isinstance(self._agent, HistoryAgent):
                return int(self._agent.follow(positions, [self._match.history], key=key)[0])
            return int(self._agent.select(positions, key=key)[0])

    def _hint(self) -> None:
        analysis = self._analysis()
        if analysis is None:
            self._say(f"{self._agent.name} gives no hints")
            return
        name = self._match.name(analysis.action)
        self._say(
            f"{self._agent.name} would play {name} (#{analysis.action})" + self._estimate(analysis)
        )
        self._table(analysis)

    def _analysis(self) -> Analysis | None:
        if not isinstance(self._agent, Analyst):
            return None
        with self._thinking():
            return analyse_one(self._agent, self._match.position, key=self._ply_key())

    def _ply_key(self) -> jax.Array:
        # By the ply, so that the agent answers the same way after an undo.
        return jax.random.fold_in(self._key, len(self._match.actions))

    def _share(self, value: float) -> float:
        """Returns a value for the player to move as the expected score of the named side."""
        return (1 + (value if self._side == self._match.player else -value)) / 2

    def _percent(self, value: float) -> str:
        return f"{100 * self._share(value):.0f} %"

    def _estimate(self, analysis: Analysis) -> str:
        if analysis.value is None:
            return ""
        share = self._share(analysis.value)
        what = "proven for player" if analysis.proven else "estimate for player"
        return f"; {what} {self._side}: {100 * share:.0f} %{self._ink.bar(share)}"

    def _table(self, analysis: Analysis) -> None:
        """Writes the likeliest moves with their probability, visits and estimate."""
        policy, visits, qvalues = analysis.policy, analysis.visits, analysis.qvalues
        searched = visits is not None and qvalues is not None and bool(visits.any())
        rows = [["move", "policy"] + (["visits", "estimate"] if searched else [])]
        likeliest = np.argsort(-policy, kind="stable")[:_SHOWN_MOVES]
        for action in likeliest[policy[likeliest] > 0].tolist():
            row = [self._match.name(action), f"{100 * policy[action]:.0f} %"]
            if searched and visits is not None and qvalues is not None:
                estimate = self._percent(float(qvalues[action])) if visits[action] else "-"
                row += [str(visits[action]), estimate]
            rows.append(row)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for name, *numbers in rows:
            cells = zip(numbers, widths[1:], strict=True)
            row_text = f"  {name:<{widths[0]}}"
            row_text += "".join(f"  {cell:>{width}}" for cell, width in cells)
            self._say(self._ink.aside(row_text))

    def _show(self) -> None:
        self._say("")
        self._say(self._ink.board(self._match.game.render(self._match.position.state)))

    def _end(self, ending: Ending) -> TerminalMatch:
        match = self._match
        returns: tuple[float, float] | None = None
        if ending == "finished":
            returns = match.returns
            cut = f" (cut at {match.game.max_plies} plies)" if match.truncated else ""
            self._say(f"{_verdict(returns)} after {len(match.actions)} plies{cut}")
        elif ending == "resigned":
            returns = (1.0, -1.0) if match.player == 1 else (-1.0, 1.0)
            self._say(f"player {match.player} resigns: {_verdict(returns)}")
        else:
            self._say(f"left after {len(match.actions)} plies, no result")
        return TerminalMatch(
            ending=ending,
            actions=tuple(match.actions),
            outcomes=tuple(match.outcomes),
            returns=returns,
            thoughts=tuple(self._thoughts),
        )

    def _who(self, player: int) -> str:
        if player not in self._people:
            return self._agent.name
        return "you" if len(self._people) == 1 else "a person"

    def _say(self, text: str) -> None:
        self._output.write(text + "\n")


def _verdict(returns: tuple[float, float]) -> str:
    first = returns[0]
    if first == 0:
        return "a draw"
    winner = 0 if first > 0 else 1
    margin = "" if abs(first) == 1 else f" with a result of {abs(first):+.2f}"
    return f"player {winner} wins{margin}"
