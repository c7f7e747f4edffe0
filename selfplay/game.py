"""The contract between a game and selfplay: what a user writes, and the little built on it.

A game is a set of pure JAX functions of one small state. There is no batch axis, no seat swap,
no canonical form, no value sign and no auto-reset in it: the framework does all of that.
"""

import abc
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, Key, PyTree

from selfplay.errors import GameContractError, IllegalActionError

T = TypeVar("T")
S = TypeVar("S")


@dataclass_transform(frozen_default=True)
def pytree(cls: type[T]) -> type[T]:
    """Registers `cls` as a frozen dataclass pytree, every field a child.

    Unflattening skips `__init__`, so a field may be annotated with its unbatched shape: the
    annotation is checked where a state is built, never when JAX rebuilds one around tracers,
    `ShapeDtypeStruct`s or an extra batch axis. Use `dataclasses.replace` only where the fields
    have their annotated shapes, that is inside `jax.vmap`.
    """
    cls = dataclasses.dataclass(frozen=True)(cls)
    names = tuple(field.name for field in dataclasses.fields(cls))  # type: ignore[arg-type]

    def flatten_with_keys(node: Any) -> tuple[tuple[Any, ...], None]:
        return tuple((jax.tree_util.GetAttrKey(name), getattr(node, name)) for name in names), None

    def unflatten(_: None, leaves: Iterable[Any]) -> Any:
        node = object.__new__(cls)
        for name, leaf in zip(names, leaves, strict=True):
            object.__setattr__(node, name, leaf)
        return node

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten)
    return cls


@dataclasses.dataclass(frozen=True, kw_only=True)
class Symmetry(Generic[S]):
    """A relabelling of a game that changes nothing: a mirror, a rotation, a swap of colours.

    The whole law is `step(map_state(s), permutation[a]) == map_state(step(s, a))` for every
    legal action `a`. Observations, policies and auxiliary targets follow from it.

    Attributes:
        name: for messages, such as "mirror".
        map_state: maps one (unbatched) state to its image.
        permutation: `num_actions` integers; entry `a` is the image of action `a`.
        outcome_permutation: in a `ChanceGame`, likewise for outcomes; None where each outcome is
            its own image. `resolve(map_state(s), outcome_permutation[o])` must be
            `map_state(resolve(s, o))`, and both outcomes must be equally likely.
    """

    name: str
    map_state: Callable[[S], S]
    permutation: Sequence[int]
    outcome_permutation: Sequence[int] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoardView:
    """What a generic board shows of one position; built on the host, never under `jit`.

    Attributes:
        kind: how the cells are laid out; of hexagons every second row, from the second on, lies
            half a cell to the right.
        rows: number of rows.
        columns: number of columns.
        cells: `rows * columns` piece names, row by row from the top; "" is empty, "void" is no
            cell at all. A name that is no known piece, such as a number, is shown as text.
        clicks: which clicks mean which action: a tuple of cell indices, in the order they are
            clicked, to an action number. The empty tuple is a move without a cell, such as a
            pass: a button.
    """

    kind: Literal["square", "hex"]
    rows: int
    columns: int
    cells: Sequence[str]
    clicks: Mapping[tuple[int, ...], int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Solution:
    """The exact value of a position and the actions that keep it.

    Attributes:
        value: the result under perfect play, in [-1, 1], for the player to move.
        actions: every action that reaches it.
    """

    value: float
    actions: Sequence[int]


class Game(abc.ABC, Generic[S]):
    """The rules of a two-player zero-sum game of perfect information.

    Subclass it, set the class attributes (or set them in `__init__` from constructor options)
    and write the seven methods below. A state is any pytree of arrays, best declared with
    `selfplay.pytree`. Keep it small: one is stored in every node of every search tree. It needs
    no observation, no legal mask, and no history beyond what the rules ask for.

    Every method must be traceable by JAX: no Python `if` on array values, fixed shapes.

    Attributes:
        name: a short lower-case identifier.
        version: raise it when the rules or the observation change.
        num_actions: size `A` of the action space; actions are 0 ... A - 1.
        max_plies: at this ply a match ends, scored by `returns`, and is marked truncated.
        history_planes: last-axis indices of `observe` that only repeat the past; the learner may
            zero them in a share of its samples (`learner.history_dropout`).
    """

    name: str
    version: int = 1
    num_actions: int
    max_plies: int
    history_planes: tuple[int, ...] = ()

    @abc.abstractmethod
    def init(self, key: Key[Array, ""]) -> S:
        """Returns the first position; `key` is for random starts, ignore it otherwise."""

    @abc.abstractmethod
    def step(self, state: S, action: Int32[Array, ""]) -> S:
        """Returns the position after `action`, which is legal in `state`, which is not terminal."""

    @abc.abstractmethod
    def current_player(self, state: S) -> Int32[Array, ""]:
        """Returns who is to move, 0 or 1. The same player may move twice in a row."""

    @abc.abstractmethod
    def legal_action_mask(self, state: S) -> Bool[Array, " A"]:
        """Returns which actions are legal (True) for the player to move."""

    @abc.abstractmethod
    def is_terminal(self, state: S) -> Bool[Array, ""]:
        """Returns whether the match is over."""

    @abc.abstractmethod
    def returns(self, state: S) -> Float32[Array, "2"]:
        """Returns the result for player 0 and player 1, in [-1, 1], summing to 0.

        Must be defined for any state, because a match that reaches `max_plies` is scored by it.
        """

    @abc.abstractmethod
    def observe(self, state: S) -> Array:
        """Returns what the player to move sees, from that player's side.

        Shape [height, width, planes] for a board, or [features].
        """

    def symmetries(self) -> Sequence[Symmetry[S]]:
        """Returns the symmetries of the game, the identity left out."""
        return ()

    def auxiliary_targets(self, state: S, final_state: S) -> dict[str, Array]:
        """Returns what else a network should predict at `state`, from the end of the match.

        Named float arrays in [-1, 1] seen by the player to move at `state`: ownership of cells,
        a score. An extra head is built and trained for each.
        """
        return {}

    def render(self, state: S) -> str:
        """Returns the position as text for a terminal."""
        return "\n".join(
            f"{jax.tree_util.keystr(path)} = {leaf}"
            for path, leaf in jax.tree_util.tree_leaves_with_path(state)
        )

    def action_to_string(self, state: S, action: int) -> str:
        """Returns how a person writes `action` in this position."""
        return str(action)

    def string_to_action(self, state: S, text: str) -> int:
        """Returns the legal action a person means by `text`; the inverse of `action_to_string`.

        Raises:
            IllegalActionError: no legal action is written like that.
        """
        names = {
            self.action_to_string(state, action): action for action in legal_actions(self, state)
        }
        wanted = text.strip().casefold()
        for name, action in names.items():
            if name.casefold() == wanted:
                return action
        raise IllegalActionError(
            f"{text.strip()!r} is not a legal move here", hint=f"legal moves: {' '.join(names)}"
        )

    def board(self, state: S) -> BoardView | None:
        """Returns the position for a graphical board, or None if the game has no cells."""
        return None

    def solve(self, state: S) -> Solution | None:
        """Returns the exact solution of a position, on the host, or None if not known."""
        return None


class ChanceGame(Game[S]):
    """The rules of a game with dice, cards drawn from a bag, or any other chance seen by both.

    A ply has two halves: `step` plays an action and leads to an afterstate, then, if `is_chance`
    says so, one outcome is drawn and `resolve` leads to the next position. Players only ever move
    in positions, never in afterstates: what they roll before a move is drawn at the end of the
    ply before, and the first roll in `init`, from its key. So `current_player`, `observe` and
    `legal_action_mask` are never asked about an afterstate. A match that is over in an afterstate,
    by the rules or at `max_plies`, ends there without an outcome.

    The search knows the probabilities and takes expectations; nobody learns them.

    Attributes:
        num_outcomes: number `C` of outcomes; they are 0 ... C - 1.
    """

    num_outcomes: int

    @abc.abstractmethod
    def chance_probabilities(self, state: S) -> Float32[Array, " C"]:
        """Returns how likely each outcome is in an afterstate in which `is_chance`; sums to 1."""

    @abc.abstractmethod
    def resolve(self, state: S, outcome: Int32[Array, ""]) -> S:
        """Returns the position after `outcome`, which is possible in the afterstate `state`."""

    def is_chance(self, state: S) -> Bool[Array, ""]:
        """Returns whether chance comes before the next move; by default unless the match is over.

        Only asked about what `step` returned.
        """
        return ~self.is_terminal(state)

    def outcome_to_string(self, state: S, outcome: int) -> str:
        """Returns how a person writes `outcome` of the afterstate `state`, without spaces."""
        return str(outcome)

    def string_to_outcome(self, state: S, text: str) -> int:
        """Returns the outcome a person means by `text`; the inverse of `outcome_to_string`.

        Raises:
            IllegalActionError: no possible outcome is written like that.
        """
        probabilities = self.chance_probabilities(state)
        names = {
            self.outcome_to_string(state, int(outcome)): int(outcome)
            for outcome in jnp.flatnonzero(probabilities > 0)
        }
        wanted = text.strip().casefold()
        for name, outcome in names.items():
            if name.casefold() == wanted:
                return outcome
        raise IllegalActionError(
            f"{text.strip()!r} cannot come up here",
            hint=f"possible outcomes: {' '.join(names)}",
        )


def legal_actions(game: Game[S], state: S) -> list[int]:
    """Returns the legal actions of one position as a list, on the host."""
    # A list and not `jnp.flatnonzero`, which compiles anew for every number of legal actions.
    mask = game.legal_action_mask(state).tolist()
    return [action for action, legal in enumerate(mask) if legal]


@pytree
class Position(Generic[S]):
    """A state and the number of plies played to reach it: what searches and matches step over.

    Attributes:
        state: the game's own state.
        ply: how many actions have been played.
    """

    state: PyTree
    ply: Int32[Array, ""]


@pytree
class Transition:
    """One played action.

    Attributes:
        position: where it leads.
        reward: the result for the player who moved if the match ended here, else 0; in [-1, 1].
        discount: 0 if the match ended, +1 if the same player moves again, else -1. It turns a
            value for the player to move at `position` into one for the player who moved.
        over: whether the match ended, by the rules or at `max_plies`.
    """

    position: Position[Any]
    reward: Float32[Array, ""]
    discount: Float32[Array, ""]
    over: Bool[Array, ""]


def start(game: Game[Any], key: Key[Array, ""]) -> Position[Any]:
    """Returns the first position of a match; `key` is consumed."""
    return Position(state=game.init(key), ply=jnp.int32(0))


def is_over(game: Game[Any], position: Position[Any]) -> Bool[Array, ""]:
    """Returns whether the match has ended, by the rules or by its length."""
    return game.is_terminal(position.state) | (position.ply >= game.max_plies)


def is_truncated(game: Game[Any], position: Position[Any]) -> Bool[Array, ""]:
    """Returns whether the match was ended by `max_plies` alone."""
    return ~game.is_terminal(position.state) & (position.ply >= game.max_plies)


def advance(
    game: Game[Any],
    position: Position[Any],
    action: Int32[Array, ""],
    outcome: Int32[Array, ""] | None = None,
) -> Transition:
    """Plays `action`; an ended match absorbs it: same position, reward 0, discount 0.

    Values are always for the player to move, so a player who moves twice in a row needs no care
    anywhere else.

    Args:
        game: the rules.
        position: where the match stands.
        action: legal there.
        outcome: in a `ChanceGame` the chance outcome that follows; without meaning where none
            does.
    """
    was_over = is_over(game, position)
    mover = game.current_player(position.state)
    stepped = _stepped(game, position, action)
    if isinstance(game, ChanceGame):
        if outcome is None:
            raise GameContractError(
                f"{game.name} is a game of chance, but no outcome was given with the action",
                hint="draw one with selfplay.game.draw_outcome",
            )
        stepped = _resolved(game, stepped, outcome)
    after = jax.tree.map(lambda before, new: jnp.where(was_over, before, new), position, stepped)
    over = is_over(game, after)
    result = game.returns(after.state)[mover].astype(jnp.float32)
    same_player = game.current_player(after.state) == mover
    return Transition(
        position=after,
        reward=jnp.where(over & ~was_over, result, 0.0).astype(jnp.float32),
        # -1: what is good for the next player is bad for this one. 0: nothing comes after.
        discount=jnp.where(over, 0.0, jnp.where(same_player, 1.0, -1.0)).astype(jnp.float32),
        over=over,
    )


def outcome_probabilities(
    game: ChanceGame[Any], position: Position[Any], action: Int32[Array, ""]
) -> Float32[Array, " C"]:
    """Returns how likely each outcome is once `action` is played; all 0 if no chance follows."""
    stepped = _stepped(game, position, action)
    follows = _chance_follows(game, stepped) & ~is_over(game, position)
    probabilities = game.chance_probabilities(stepped.state).astype(jnp.float32)
    return jnp.where(follows, probabilities, 0.0)


def draw_outcome(
    game: Game[Any], position: Position[Any], action: Int32[Array, ""], *, key: Key[Array, ""]
) -> Int32[Array, ""]:
    """Returns the chance outcome that follows `action`, -1 if none does; `key` is consumed.

    Equal keys draw equal outcomes wherever the probabilities are equal: common dice.
    """
    if not isinstance(game, ChanceGame):
        return jnp.int32(-1)
    probabilities = outcome_probabilities(game, position, action)
    return pick_outcome(probabilities, jax.random.uniform(key))


def pick_outcome(
    probabilities: Float32[Array, " C"], share: Float32[Array, ""]
) -> Int32[Array, ""]:
    """Returns the outcome at `share`, in [0, 1), of all probability; -1 if there is none.

    An outcome of probability 0 is never picked, whatever the rounding.
    """
    cumulated = jnp.cumsum(probabilities)
    picked = jnp.sum(cumulated <= share * cumulated[-1]).astype(jnp.int32)
    outcomes = jnp.arange(probabilities.shape[0], dtype=jnp.int32)
    last = jnp.max(jnp.where(probabilities > 0, outcomes, -1))
    return jnp.minimum(picked, last)


def is_possible_outcome(
    game: Game[Any],
    position: Position[Any],
    action: Int32[Array, ""],
    outcome: Int32[Array, ""],
) -> Bool[Array, ""]:
    """Returns whether `outcome` may follow `action`: -1 if and only if no chance follows."""
    if not isinstance(game, ChanceGame):
        return outcome == -1
    probabilities = outcome_probabilities(game, position, action)
    in_range = (outcome >= 0) & (outcome < game.num_outcomes)
    return jnp.where(
        (probabilities > 0).any(),
        in_range & (probabilities[jnp.where(in_range, outcome, 0)] > 0),
        outcome == -1,
    )


def _stepped(game: Game[Any], position: Position[Any], action: Int32[Array, ""]) -> Position[Any]:
    return Position(state=game.step(position.state, action), ply=position.ply + 1)


def _chance_follows(game: ChanceGame[Any], stepped: Position[Any]) -> Bool[Array, ""]:
    return game.is_chance(stepped.state) & ~is_over(game, stepped)


def _resolved(
    game: ChanceGame[Any], stepped: Position[Any], outcome: Int32[Array, ""]
) -> Position[Any]:
    """Returns the position after the chance that follows, if any does."""
    # Where none does the outcome may be -1, which JAX would take for the last one.
    state = game.resolve(stepped.state, jnp.maximum(outcome, 0))
    follows = _chance_follows(game, stepped)
    return jax.tree.map(
        lambda new, old: jnp.where(follows, new, old),
        Position(state=state, ply=stepped.ply),
        stepped,
    )
