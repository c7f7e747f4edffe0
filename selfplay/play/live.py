"""One match on the host, move by move, with every move checked and any number taken back."""

import functools
import re
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Float32, Int32, Key

from selfplay.errors import IllegalActionError
from selfplay.game import Game, Position, advance, is_over, is_truncated, pytree, start

_LONGEST_LIST = 40


class LiveMatch:
    """A match that begins at the first position and goes on by `play` and `undo`.

    Attributes:
        game: the rules.
        actions: the moves so far.
    """

    def __init__(self, game: Game[Any], *, seed: int = 0) -> None:
        """Sets up the first position; `seed` chooses it in games with random starts."""
        self.game = game
        self.actions: list[int] = []
        self._views = [_begin(game, jax.random.key(seed))]

    @property
    def position(self) -> Position[Any]:
        """Returns the position now, without a batch axis."""
        return self._views[-1].position

    @property
    def legal(self) -> list[int]:
        """Returns the legal actions; none once the match is over."""
        if self.over:
            return []
        mask = jax.device_get(self._views[-1].legal)
        return [action for action, legal in enumerate(mask) if legal]

    @property
    def player(self) -> int:
        """Returns who is to move, 0 or 1."""
        return int(self._views[-1].player)

    @property
    def over(self) -> bool:
        """Returns whether the match has ended."""
        return bool(self._views[-1].over)

    @property
    def truncated(self) -> bool:
        """Returns whether it was ended by `max_plies` alone."""
        return bool(self._views[-1].truncated)

    @property
    def returns(self) -> tuple[float, float]:
        """Returns the result for player 0 and player 1, in [-1, 1]; final once it is over."""
        first, second = jax.device_get(self._views[-1].returns)
        return float(first), float(second)

    def players(self) -> list[int]:
        """Returns who made each move so far, then who is to move now."""
        return [int(view.player) for view in self._views]

    def name(self, action: int) -> str:
        """Returns how a person writes `action` here."""
        return self.game.action_to_string(self.position.state, action)

    def play(self, action: int) -> None:
        """Plays `action`.

        Raises:
            IllegalActionError: it is not legal, or the match is over.
        """
        ply = len(self.actions)
        if self.over:
            raise IllegalActionError(
                f"action {action} at ply {ply} is not legal: the match is over",
                hint=f"moves of the match: {_joined(self.actions)}",
            )
        legal = self.legal
        if action not in legal:
            raise IllegalActionError(
                f"action {action} is not legal at ply {ply}",
                hint=f"legal actions: {_joined(legal)}",
            )
        self._views.append(_play(self.game, self.position, np.int32(action)))
        self.actions.append(action)

    def undo(self, plies: int = 1) -> None:
        """Takes back up to `plies` moves."""
        kept = max(0, len(self.actions) - plies)
        del self.actions[kept:], self._views[kept + 1 :]


def play_text(game: Game[Any], text: str, *, seed: int = 0) -> LiveMatch:
    """Returns the match after moves written with spaces between them; no text is the start.

    A bare integer is always an action number, anything else is read by `string_to_action`.

    Raises:
        IllegalActionError: a move is not legal; the message names its ply.
    """
    match = LiveMatch(game, seed=seed)
    for token in text.split():
        if re.fullmatch(r"[+-]?[0-9]+", token):
            match.play(int(token))
        else:
            match.play(_named_action(match, token))
    return match


def _named_action(match: LiveMatch, token: str) -> int:
    where = f"move {token!r} at ply {len(match.actions)}"
    if match.over:
        raise IllegalActionError(
            f"{where} is not legal: the match is over",
            hint=f"moves of the match: {_joined(match.actions)}",
        )
    try:
        return match.game.string_to_action(match.position.state, token)
    # A game that reads its moves with int() or a table says so in its own way.
    except (IllegalActionError, ValueError, LookupError) as error:
        names = [match.name(action) for action in match.legal]
        raise IllegalActionError(
            f"{where} is not legal", hint=f"legal moves: {_joined(names)}"
        ) from error


def _joined(items: list[Any]) -> str:
    rest = len(items) - _LONGEST_LIST
    return " ".join(map(str, items[:_LONGEST_LIST])) + (f" ... and {rest} more" if rest > 0 else "")


@pytree
class _View:
    """One position and what the host asks about it."""

    position: Position[Any]
    legal: Bool[Array, " A"]
    player: Int32[Array, ""]
    over: Bool[Array, ""]
    truncated: Bool[Array, ""]
    returns: Float32[Array, "2"]


def _view(game: Game[Any], position: Position[Any]) -> _View:
    return _View(
        position=position,
        legal=game.legal_action_mask(position.state),
        player=game.current_player(position.state).astype("int32"),
        over=is_over(game, position),
        truncated=is_truncated(game, position),
        returns=game.returns(position.state).astype("float32"),
    )


@functools.partial(jax.jit, static_argnums=0)
def _begin(game: Game[Any], key: Key[Array, ""]) -> _View:
    return _view(game, start(game, key))


@functools.partial(jax.jit, static_argnums=0)
def _play(game: Game[Any], position: Position[Any], action: Int32[Array, ""]) -> _View:
    return _view(game, advance(game, position, action).position)
