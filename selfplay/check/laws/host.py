"""Laws of what people see and of what is compared on the host: names, text, boards, solutions."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.adapters import PythonGame
from selfplay.check.laws.law import AnyGame, Finding, Law, Sample, SampleTest
from selfplay.check.laws.values import TOLERANCE
from selfplay.check.play.sequence import MoveSequence
from selfplay.check.solved.brute_force import BruteForce
from selfplay.contract import brief
from selfplay.errors import SelfplayError
from selfplay.game import BoardView, ChanceGame, Game, Position, board_faults

_MOST_NAMES = 64
_MOST_INVERSES = 12
_MOST_SOLVED = 24
_LARGEST_SOLVED = 3000


def _given(game: AnyGame, state: Any) -> Any:
    """Returns a state as the methods of a game take it."""
    return state if isinstance(game, PythonGame) else jax.tree.map(jnp.asarray, state)


def _names(sample: Sample) -> Iterator[Finding]:
    game, some = sample.game, sample.some
    for kept in some[:: max(1, len(some) // 3)]:
        state = _given(game, kept.state)
        legal = np.flatnonzero(kept.before_facts.mask).tolist()[:_MOST_NAMES]
        names: dict[str, int] = {}
        for action in legal:
            try:
                name: Any = game.action_to_string(state, action)
            except Exception as error:
                message = f"action_to_string fails for action {action}: {brief(error)}"
                yield Finding(message, kept.line)
                return
            if not isinstance(name, str) or not name.strip() or name.split() != [name]:
                message = f"action_to_string({action}) is {name!r}, but must be one word"
                yield Finding(message, kept.line)
                continue
            if name.casefold() in names:
                other = names[name.casefold()]
                yield Finding(f"actions {other} and {action} are both {name!r}", kept.line)
            names[name.casefold()] = action
        for name, action in list(names.items())[:_MOST_INVERSES]:
            try:
                found: Any = game.string_to_action(state, game.action_to_string(state, action))
            except Exception as error:
                message = f"string_to_action({name!r}) fails: {brief(error)}"
                yield Finding(message, kept.line)
                return
            if found != action:
                message = f"string_to_action({name!r}) is {found}, but action {action} is called so"
                yield Finding(message, kept.line)


TEXT = Law(
    name="text",
    statement="in every position each legal action has a name of its own, one word, and "
    "string_to_action finds it",
    advice="action_to_string and string_to_action must be inverses; names hold no spaces",
    tests=(SampleTest(find=_names, in_python=True),),
)


def _renders(sample: Sample) -> Iterator[Finding]:
    game, some, ends = sample.game, sample.some, sample.ends
    for line, state in [*[(kept.line, kept.state) for kept in some[:6]], *ends]:
        try:
            text: Any = game.render(_given(game, state))
        except Exception as error:
            yield Finding(f"render fails: {brief(error)}", line)
            return
        if not isinstance(text, str) or not text.strip():
            yield Finding(f"render returns {text!r}", line)


RENDER = Law(
    name="render",
    statement="render returns text in every position",
    advice="render; it is called with one state",
    tests=(SampleTest(find=_renders, in_python=True),),
)


def _boards(sample: Sample) -> Iterator[Finding]:
    game, some, ends = sample.game, sample.some, sample.ends
    if type(game).board in (Game.board, PythonGame.board):
        return
    positions: list[tuple[MoveSequence, Any, list[int] | None]] = [
        (kept.line, kept.state, np.flatnonzero(kept.before_facts.mask).tolist()) for kept in some
    ]
    for line, state, legal in [*positions, *((line, state, None) for line, state in ends)]:
        try:
            view: Any = game.board(_given(game, state))
        except Exception as error:
            yield Finding(f"board fails: {brief(error)}", line)
            return
        if view is None:
            continue
        if not isinstance(view, BoardView):
            message = f"board returns {type(view).__name__}, but must return a BoardView or None"
            yield Finding(message, line)
            return
        for fault in board_faults(view, legal):
            yield Finding(fault, line)


BOARD = Law(
    name="board",
    statement="board shows rows * columns cells, and its clicks are the legal actions",
    advice="board: one entry of clicks for every action that legal_action_mask allows",
    tests=(SampleTest(find=_boards, in_python=True),),
)


def _solutions(sample: Sample) -> Iterator[Finding]:
    """Compares `solve` with brute force a few plies before the end of matches."""
    game, matches = sample.game, sample.matches
    if matches is None or isinstance(game, ChanceGame | PythonGame):
        return
    if type(game).solve is Game.solve:
        return
    brute_force = BruteForce(game, max_positions=_LARGEST_SOLVED)
    late = sorted(
        matches.kept,
        key=lambda one: len(matches.lines[one.match].actions) - len(one.line.actions),
    )
    for kept in late[:_MOST_SOLVED]:
        state = jax.tree.map(jnp.asarray, kept.state)
        try:
            solution = game.solve(state)
        except Exception as error:
            yield Finding(f"solve fails: {brief(error)}", kept.line)
            return
        if solution is None:
            continue
        legal = set(np.flatnonzero(kept.before_facts.mask).tolist())
        actions = set(map(int, solution.actions))
        if not actions or actions - legal:
            yield Finding(f"solve names {sorted(actions)}, but legal is {sorted(legal)}", kept.line)
            continue
        position: Position[Any] = Position(state=state, ply=jnp.int32(len(kept.line.actions)))
        try:
            values = brute_force.action_values(position)
        except SelfplayError:
            break  # Too many positions follow here, and from positions with more plies to go.
        best = max(values.values())
        good = {action for action, value in values.items() if value > best - TOLERANCE}
        if abs(best - solution.value) > TOLERANCE or actions != good:
            yield Finding(
                f"solve says {solution.value:g} by {sorted(actions)}, brute force {best:g} by "
                f"{sorted(good)}",
                kept.line,
            )


SOLVE = Law(
    name="solve",
    statement="solve agrees with brute force over the rules",
    advice="solve: its value is for the player to move, its actions all that reach it",
    tests=(SampleTest(find=_solutions),),
)

LAWS = (TEXT, RENDER, BOARD, SOLVE)
