"""Checks of what runs on the host: text, boards, solvers, and the same answer however called."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.adapters import PythonGame
from selfplay.check.brute_force import BruteForce
from selfplay.check.lines import Kept, Line, RandomMatches
from selfplay.contract import brief
from selfplay.errors import SelfplayError
from selfplay.game import BoardView, ChanceGame, Game, Position, board_faults

_MOST_NAMES = 64
_MOST_INVERSES = 12
_MOST_SOLVED = 24
_LARGEST_SOLVED = 3000
_TOLERANCE = 1e-4
_FIELDS = {
    "legal_action_mask": "mask",
    "current_player": "player",
    "is_terminal": "terminal",
    "returns": "returns",
    "observe": "observation",
}

Singles = Mapping[str, Callable[..., Any]]
"""Every method by name, compiled for one state."""


class Finding(NamedTuple):
    """Something wrong in one position.

    Attributes:
        rule: that is broken.
        message: what was seen.
        line: the moves to the position.
    """

    rule: str
    message: str
    line: Line


def host_findings(game: Game[Any], singles: Singles, matches: RandomMatches) -> list[Finding]:
    """Returns what the host side of a game gets wrong, at most one finding per kind."""
    some = _spread(matches.kept, 12)
    ends = [
        (line, final) for line, final in zip(matches.lines[:2], matches.finals[:2], strict=True)
    ]
    looks: list[Iterator[Finding]] = [
        _same_answers(game, singles, some),
        _names(game, some),
        _renders(game, some, ends),
        _boards(game, some, ends),
        _auxiliary(game, matches),
        _carried(game, matches),
        _solutions(game, singles, matches),
    ]
    return [finding for look in looks for finding in itertools.islice(look, 1)]


def text_findings(
    game: Game[Any] | PythonGame[Any], some: Sequence[Kept], ends: Sequence[tuple[Line, Any]]
) -> list[Finding]:
    """Returns what names of moves, texts and boards get wrong, at most one finding of each.

    Args:
        game: the rules; of a plain-Python game the states are the user's own.
        some: positions that are not over.
        ends: positions at the end of matches.
    """
    looks = [_names(game, some), _renders(game, some, ends), _boards(game, some, ends)]
    return [finding for look in looks for finding in itertools.islice(look, 1)]


def _spread(kept: Sequence[Kept], count: int) -> list[Kept]:
    """Returns entries from the beginning to the end of matches."""
    ordered = sorted(kept, key=lambda one: len(one.line.actions))
    step = max(1, len(ordered) // count)
    return ordered[::step][:count]


def _same_answers(game: Game[Any], singles: Singles, some: Sequence[Kept]) -> Iterator[Finding]:
    """Compares every method by itself, compiled and not, with what the batch of matches gave."""
    # Uncompiled calls cost a second each in a large game: three positions will do.
    uncompiled = {0, len(some) // 2, len(some) - 1}
    for index, kept in enumerate(some):
        state = jax.tree.map(jnp.asarray, kept.state)
        calls: dict[str, tuple[tuple[Any, ...], Any]] = {
            method: ((state,), getattr(kept.before_seen, field))
            for method, field in _FIELDS.items()
        }
        if not isinstance(game, ChanceGame):
            calls["step"] = ((state, jnp.int32(kept.action)), kept.after)
        for method, (arguments, wanted) in calls.items():
            ways = {"compiled for one state": singles[method]}
            if index in uncompiled:
                ways["not compiled"] = getattr(game, method)
            for how, function in ways.items():
                try:
                    found = function(*arguments)
                except Exception as error:
                    message = f"{method}, {how}, fails though a batch works: {brief(error)}"
                    yield Finding("jit", message, kept.line)
                    continue
                if not _equal(found, wanted):
                    yield Finding(
                        "jit",
                        f"{method} of one state, {how}, is {_short(found)}, but in a batch "
                        f"{_short(wanted)}",
                        kept.line,
                    )


def _names(game: Game[Any] | PythonGame[Any], some: Sequence[Kept]) -> Iterator[Finding]:
    for kept in some[:: max(1, len(some) // 3)]:
        state = _given(game, kept.state)
        legal = np.flatnonzero(kept.before_seen.mask).tolist()[:_MOST_NAMES]
        names: dict[str, int] = {}
        for action in legal:
            try:
                name: Any = game.action_to_string(state, action)
            except Exception as error:
                message = f"action_to_string fails for action {action}: {brief(error)}"
                yield Finding("text", message, kept.line)
                return
            if not isinstance(name, str) or not name.strip() or name.split() != [name]:
                message = f"action_to_string({action}) is {name!r}, but must be one word"
                yield Finding("text", message, kept.line)
                continue
            if name.casefold() in names:
                other = names[name.casefold()]
                yield Finding("text", f"actions {other} and {action} are both {name!r}", kept.line)
            names[name.casefold()] = action
        for name, action in list(names.items())[:_MOST_INVERSES]:
            try:
                found: Any = game.string_to_action(state, game.action_to_string(state, action))
            except Exception as error:
                message = f"string_to_action({name!r}) fails: {brief(error)}"
                yield Finding("text", message, kept.line)
                return
            if found != action:
                message = f"string_to_action({name!r}) is {found}, but action {action} is called so"
                yield Finding("text", message, kept.line)


def _renders(
    game: Game[Any] | PythonGame[Any], some: Sequence[Kept], ends: Sequence[tuple[Line, Any]]
) -> Iterator[Finding]:
    for line, state in [*[(kept.line, kept.state) for kept in some[:6]], *ends]:
        try:
            text: Any = game.render(_given(game, state))
        except Exception as error:
            yield Finding("render", f"render fails: {brief(error)}", line)
            return
        if not isinstance(text, str) or not text.strip():
            yield Finding("render", f"render returns {text!r}", line)


def _boards(
    game: Game[Any] | PythonGame[Any], some: Sequence[Kept], ends: Sequence[tuple[Line, Any]]
) -> Iterator[Finding]:
    if type(game).board in (Game.board, PythonGame.board):
        return
    positions: list[tuple[Line, Any, list[int] | None]] = [
        (kept.line, kept.state, np.flatnonzero(kept.before_seen.mask).tolist()) for kept in some
    ]
    for line, state, legal in [*positions, *((line, state, None) for line, state in ends)]:
        try:
            view: Any = game.board(_given(game, state))
        except Exception as error:
            yield Finding("board", f"board fails: {brief(error)}", line)
            return
        if view is None:
            continue
        if not isinstance(view, BoardView):
            message = f"board returns {type(view).__name__}, but must return a BoardView or None"
            yield Finding("board", message, line)
            return
        for fault in board_faults(view, legal):
            yield Finding("board", fault, line)


def _given(game: Game[Any] | PythonGame[Any], state: Any) -> Any:
    """Returns a state as the methods of a game take it."""
    return state if isinstance(game, PythonGame) else jax.tree.map(jnp.asarray, state)


def _auxiliary(game: Game[Any], matches: RandomMatches) -> Iterator[Finding]:
    if type(game).auxiliary_targets is Game.auxiliary_targets or not matches.kept:
        return
    states = jax.tree.map(lambda *leaves: np.stack(leaves), *[k.state for k in matches.kept])
    finals = jax.tree.map(
        lambda *leaves: np.stack(leaves), *[matches.finals[k.match] for k in matches.kept]
    )
    targets = jax.device_get(jax.jit(jax.vmap(game.auxiliary_targets))(states, finals))
    for name, values in targets.items():
        flat = np.asarray(values).reshape(len(matches.kept), -1)
        wrong = ~np.isfinite(flat).all(axis=1) | (np.abs(flat) > 1 + _TOLERANCE).any(axis=1)
        if wrong.any():
            row = int(np.argmax(wrong))
            message = f"{name!r} is {_short(values[row])} at the end of a match"
            # All of the match: the end belongs to it.
            yield Finding("auxiliary", message, matches.lines[matches.kept[row].match])


def _carried(game: Game[Any], matches: RandomMatches) -> Iterator[Finding]:
    """Looks for fields of the state that only repeat the observation or the mask."""
    kept = matches.kept
    if not kept:
        return
    paths = jax.tree_util.tree_leaves_with_path(kept[0].state)
    for what, field in (("the observation", "observation"), ("the legal action mask", "mask")):
        for index, (path, leaf) in enumerate(paths):
            first = getattr(kept[0].before_seen, field)
            if leaf.shape != first.shape or leaf.size < 4 or len(paths) < 2:
                continue
            pairs = [(jax.tree.leaves(k.state)[index], getattr(k.before_seen, field)) for k in kept]
            if all(np.array_equal(one, other) for one, other in pairs):
                name = f"state{jax.tree_util.keystr(path)}"
                message = f"{name} is {what} ({leaf.nbytes} bytes in every node of the tree)"
                yield Finding("state", message, kept[0].line)


def _solutions(game: Game[Any], singles: Singles, matches: RandomMatches) -> Iterator[Finding]:
    """Compares `solve` with brute force a few plies before the end of matches."""
    if type(game).solve is Game.solve or isinstance(game, ChanceGame):
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
            yield Finding("solve", f"solve fails: {brief(error)}", kept.line)
            return
        if solution is None:
            continue
        legal = set(np.flatnonzero(kept.before_seen.mask).tolist())
        actions = set(map(int, solution.actions))
        if not actions or actions - legal:
            yield Finding(
                "solve", f"solve names {sorted(actions)}, but legal is {sorted(legal)}", kept.line
            )
            continue
        position: Position[Any] = Position(state=state, ply=jnp.int32(len(kept.line.actions)))
        try:
            values = brute_force.action_values(position)
        except SelfplayError:
            continue  # too many positions follow: nothing to compare with
        best = max(values.values())
        good = {action for action, value in values.items() if value > best - _TOLERANCE}
        if abs(best - solution.value) > _TOLERANCE or actions != good:
            yield Finding(
                "solve",
                f"solve says {solution.value:g} by {sorted(actions)}, brute force {best:g} by "
                f"{sorted(good)}",
                kept.line,
            )


def _equal(found: Any, wanted: Any) -> bool:
    structure: Any = jax.tree.structure(found)
    if structure != jax.tree.structure(wanted):
        return False
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        left, right = np.asarray(one), np.asarray(other)
        if left.shape != right.shape:
            return False
        if not np.allclose(
            left.astype(np.float64), right.astype(np.float64), atol=_TOLERANCE, equal_nan=True
        ):
            return False
    return True


def _short(value: Any) -> str:
    text = " ".join(str(jax.tree.map(lambda leaf: np.asarray(leaf).tolist(), value)).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
