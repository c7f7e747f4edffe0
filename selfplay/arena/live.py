"""One match on the host, move by move, with every move checked and any number taken back."""

import copy
import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, Key

from selfplay.arena.agents import MoveHistory
from selfplay.arena.view import View, view
from selfplay.errors import IllegalActionError
from selfplay.game import (
    ChanceGame,
    Game,
    Position,
    advance,
    draw_outcome,
    is_possible_outcome,
    start,
)

_LONGEST_LIST = 40
_ROLL = "roll:"


class LiveMatch:
    """A match that begins at the first position and goes on by `play` and `undo`.

    What chance does depends on the seed and the ply alone: a move taken back and made again is
    followed by the same roll.

    Attributes:
        game: the rules.
        actions: the moves so far.
        outcomes: the chance outcome that followed each of them, -1 for none.
        seed: of the start, and of chance.
        start_key: key data that stand in for the seed, if any do.
    """

    def __init__(
        self, game: Game[Any], *, seed: int = 0, start_key: tuple[int, int] | None = None
    ) -> None:
        """Sets up the first position.

        Args:
            game: the rules.
            seed: chooses the first position in games with random starts, and what chance does.
            start_key: data of the key that chose the start of a recorded match, instead of a seed.
        """
        self.game = game
        self.seed = seed
        self.start_key = start_key
        self.actions: list[int] = []
        self.outcomes: list[int] = []
        if start_key is None:
            key = jax.random.key(seed)
        else:
            key = jax.random.wrap_key_data(jnp.array(start_key, jnp.uint32))
        self._chance_key = jax.random.fold_in(key, 1)
        self._views = [_begin(game, key)]

    def fork(self) -> "LiveMatch":
        """Returns a match of its own that has come as far as this one."""
        other = copy.copy(self)
        other.actions, other.outcomes = list(self.actions), list(self.outcomes)
        other._views = list(self._views)
        return other

    def before(self, ply: int) -> "LiveMatch":
        """Returns a match of its own that stands where this one stood before `ply`."""
        other = self.fork()
        other.undo(len(self.actions) - ply)
        return other

    @property
    def position(self) -> Position[Any]:
        """Returns the position now, without a batch axis."""
        return self._views[-1].position

    def position_at(self, ply: int) -> Position[Any]:
        """Returns the position before move number `ply`, without a batch axis."""
        return self._views[ply].position

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
        return int(self._views[-1].mover)

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

    @property
    def history(self) -> MoveHistory:
        """Returns the moves so far as the game writes them, for agents that must be told."""
        moves = list(zip(self._views, self.actions, strict=False))
        return MoveHistory(
            first=self._views[0].position,
            moves=tuple(
                (int(seen.mover), self.game.action_to_string(seen.position.state, action))
                for seen, action in moves
            ),
            forced=frozenset(
                ply for ply, (seen, _) in enumerate(moves) if int(np.sum(seen.legal)) == 1
            ),
        )

    def players(self) -> list[int]:
        """Returns who made each move so far, then who is to move now."""
        return [int(seen.mover) for seen in self._views]

    def name(self, action: int) -> str:
        """Returns how a person writes `action` here."""
        return self.game.action_to_string(self.position.state, action)

    def parse(self, text: str) -> int:
        """Returns the action that `text` means here; it need not be legal.

        A bare integer is an action number, and so is `#NUMBER`; anything else is read by
        `string_to_action`.

        Raises:
            IllegalActionError: the game does not write any legal move like that.
        """
        if re.fullmatch(r"#[0-9]+|[+-]?[0-9]+", text):
            return int(text.removeprefix("#"))
        return _named_action(self, text)

    def outcome_name(self, ply: int) -> str | None:
        """Returns how a person writes what chance did at `ply`; None if it did nothing."""
        outcome = self.outcomes[ply]
        if not isinstance(self.game, ChanceGame) or outcome < 0:
            return None
        afterstate = self.game.step(self._views[ply].position.state, jnp.int32(self.actions[ply]))
        return self.game.outcome_to_string(afterstate, outcome)

    def play(self, action: int | str, outcome: int | None = None) -> None:
        """Plays `action`, and `outcome` after it; in a game of chance one is drawn by default.

        Args:
            action: its number, or text as `parse` reads it.
            outcome: its number.

        Raises:
            IllegalActionError: it is not legal, the match is over, or the outcome cannot follow.
        """
        if isinstance(action, str):
            action = self.parse(action)
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
        if isinstance(self.game, ChanceGame):
            key = jax.random.fold_in(self._chance_key, ply)
            drawn = _draw(self.game, self.position, np.int32(action), key)
        else:
            drawn = -1
        if outcome is None:
            outcome = int(drawn)
        elif not _is_possible(self.game, self.position, np.int32(action), np.int32(outcome)):
            raise IllegalActionError(
                f"outcome {outcome} cannot follow action {action} at ply {ply}",
                hint="no chance follows this move"
                if drawn == -1
                else "leave it out to have one drawn",
            )
        self.play_known(action, outcome)

    def play_known(self, action: int, outcome: int) -> None:
        """Plays a move that is known to be legal, and what followed it; checks nothing."""
        self._views.append(_play(self.game, self.position, np.int32(action), np.int32(outcome)))
        self.actions.append(action)
        self.outcomes.append(outcome)

    def undo(self, plies: int = 1) -> None:
        """Takes back up to `plies` moves."""
        kept = max(0, len(self.actions) - plies)
        del self.actions[kept:], self.outcomes[kept:], self._views[kept + 1 :]


def play_text(game: Game[Any], text: str, *, seed: int = 0) -> LiveMatch:
    """Returns the match after moves written with spaces between them; no text is the start.

    A bare integer is always an action number, and so is `#NUMBER`; anything else is read by
    `string_to_action`. In a game of chance a move may be followed by `roll:OUTCOME`, an outcome as
    the game writes it, or `roll:#NUMBER`; where it is left out, the seed decides. The first roll
    belongs to the start.

    Raises:
        IllegalActionError: a move is not legal, or a roll not possible; the message names its ply.
    """
    match = LiveMatch(game, seed=seed)
    tokens = text.split()
    for index, token in enumerate(tokens):
        if token.startswith(_ROLL) and isinstance(game, ChanceGame):
            if index == 0 or tokens[index - 1].startswith(_ROLL):
                raise IllegalActionError(
                    f"{token!r} does not follow a move",
                    hint="the first roll belongs to the start, which --seed chooses",
                )
            continue
        action = match.parse(token)
        following = tokens[index + 1] if index + 1 < len(tokens) else ""
        if isinstance(game, ChanceGame) and following.startswith(_ROLL):
            match.play(action, _named_outcome(match, game, action, following))
        else:
            match.play(action)
    return match


def _named_outcome(match: LiveMatch, game: ChanceGame[Any], action: int, token: str) -> int:
    text = token.removeprefix(_ROLL)
    if re.fullmatch(r"#[0-9]+", text):
        return int(text[1:])
    if match.over or action not in match.legal:
        return -1  # `play` says what is wrong with the move itself.
    try:
        afterstate = game.step(match.position.state, jnp.int32(action))
        return game.string_to_outcome(afterstate, text)
    except (IllegalActionError, ValueError, LookupError) as error:
        raise IllegalActionError(
            f"{token!r} is not possible after the move at ply {len(match.actions)}",
            hint=getattr(error, "hint", "") or "roll:#0 names outcome number 0",
        ) from error


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


@functools.partial(jax.jit, static_argnums=0)
def _begin(game: Game[Any], key: Key[Array, ""]) -> View:
    return view(game, start(game, key))


@functools.partial(jax.jit, static_argnums=0)
def _play(
    game: Game[Any],
    position: Position[Any],
    action: Int32[Array, ""],
    outcome: Int32[Array, ""],
) -> View:
    return view(game, advance(game, position, action, outcome).position)


@functools.partial(jax.jit, static_argnums=0)
def _draw(
    game: Game[Any], position: Position[Any], action: Int32[Array, ""], key: Key[Array, ""]
) -> Int32[Array, ""]:
    return draw_outcome(game, position, action, key=key)


@functools.partial(jax.jit, static_argnums=0)
def _is_possible(
    game: Game[Any],
    position: Position[Any],
    action: Int32[Array, ""],
    outcome: Int32[Array, ""],
) -> Bool[Array, ""]:
    return is_possible_outcome(game, position, action, outcome)
