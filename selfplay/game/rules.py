"""What a user writes of a game: its rules, and what may be said of them besides."""

import abc
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import jax
from jaxtyping import Array, Bool, Float32, Int32, Key

from selfplay.game.board_view import BoardView
from selfplay.game.text import named_action

S = TypeVar("S")

_BUNDLED = f"{__name__.partition('.')[0]}.games."


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

    >>> from selfplay import make
    >>> (mirror,) = make("connect_four").symmetries()
    >>> mirror.name, mirror.permutation
    ('mirror', (6, 5, 4, 3, 2, 1, 0))
    """

    name: str
    map_state: Callable[[S], S]
    permutation: Sequence[int]
    outcome_permutation: Sequence[int] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Solution:
    """The exact value of a position and the actions that keep it.

    Attributes:
        value: the result under perfect play, in [-1, 1], for the player to move.
        actions: every action that reaches it.

    >>> import jax
    >>> from selfplay import make
    >>> game = make("tic_tac_toe")
    >>> solution = game.solve(game.init(jax.random.key(0)))
    >>> solution.value, len(solution.actions)  # a draw, whatever is played first
    (0.0, 9)
    """

    value: float
    actions: Sequence[int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EngineSetup:
    """How a program that plays by GTP or UCI is told the first position of a match.

    Attributes:
        gtp: the commands in order, such as "boardsize 9" and "komi 7.5"; `clear_board` is sent
            after them unless it is among them.
        uci: what stands after the word `position`: "startpos", or "fen " and the position.

    >>> EngineSetup(gtp=("boardsize 9", "komi 6.5"))
    EngineSetup(gtp=('boardsize 9', 'komi 6.5'), uci='startpos')
    """

    gtp: Sequence[str] = ()
    uci: str = "startpos"


class Game(abc.ABC, Generic[S]):
    """The rules of a two-player zero-sum game of perfect information.

    Subclass it, set the class attributes (or set them in `__init__` from constructor options)
    and write the seven methods below. A state is any pytree of arrays, best declared with
    `selfplay.pytree`. Keep it small: one is stored in every node of every search tree. It needs
    no observation, no legal mask, and no history beyond what the rules ask for.

    Every method must be traceable by JAX: no Python `if` on array values, fixed shapes.

    Do not change the attributes of a game once it is made: compiled programs hold what they were.
    Two bundled games are equal if they are of one class with equal options, and share programs. A
    game of yours is equal to itself alone.

    Attributes:
        name: a short lower-case identifier.
        title: what people call the game; by default made from `name`.
        version: raise it when the rules or the observation change.
        num_actions: size `A` of the action space; actions are 0 ... A - 1.
        max_plies: at this ply a match ends, scored by `returns`, and is marked truncated.
        history_planes: last-axis indices of `observe` that only repeat the past; the learner may
            zero them in a share of its samples (`learner.history_dropout`).
        hidden_information: whether the rules hide something from a player that `observe` leaves
            out on purpose. Searches see it all the same; `train` and `arena` say so.
        suite_file: a file beside the game's own with positions and the moves that are right there,
            see docs/suites.md; every evaluation of a run asks the checkpoint for its moves.
    """

    name: str
    title: str = ""
    version: int = 1
    num_actions: int
    max_plies: int
    history_planes: tuple[int, ...] = ()
    hidden_information: bool = False
    suite_file: str = ""

    def __eq__(self, other: object) -> bool:
        """Returns whether compiled programs of `other` are those of this game."""
        return self is other or (
            type(self) is type(other) and is_bundled(self) and vars(self) == vars(other)
        )

    def __hash__(self) -> int:
        """Returns the same number for equal games."""
        return hash(type(self)) if is_bundled(self) else object.__hash__(self)

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
        return named_action(names, text)

    def board(self, state: S) -> BoardView | None:
        """Returns the position for a graphical board, or None if the game has no cells."""
        return None

    def engine_setup(self, first: S) -> EngineSetup:
        """Returns how an engine is told the first position of a match, on the host.

        By default `boardsize` and `komi` for GTP, where the game has a whole number as its
        attribute `size` and a number as its attribute `komi`. Override it where these names mean
        something else, or where matches begin differently. Two different first positions must have
        different setups: otherwise the game is refused, because it begins at random and the engine
        could not know where.

        Args:
            first: the first position, not batched.
        """
        return setup_from_attributes(self)

    def solve(self, state: S) -> Solution | None:
        """Returns the exact solution of a position, on the host, or None if not known.

        It is the agent `solver`, `selfplay check` compares it with brute force, and every
        evaluation of a run counts by it how often a checkpoint makes its result worse, by ply.
        """
        return None


def is_bundled(game: object) -> bool:
    """Returns whether a game comes with selfplay, so that class and attributes say all of it.

    What else decides the rules of a user's game, such as a module's globals, nobody knows.
    """
    return type(game).__module__.startswith(_BUNDLED)


def setup_from_attributes(game: object) -> EngineSetup:
    """Returns what the attributes `size` and `komi` of a game, if any, say to an engine."""
    size, komi = getattr(game, "size", None), getattr(game, "komi", None)
    commands = []
    if isinstance(size, int):
        commands.append(f"boardsize {size}")
    if isinstance(komi, int | float):
        commands.append(f"komi {komi:g}")
    return EngineSetup(gtp=tuple(commands))


def search_sees_more(game: Game[S]) -> str:
    """Returns what there is to say of a game that hides something, for people; else nothing."""
    if not game.hidden_information:
        return ""
    return (
        f"{game.name} hides information from the players, but every search sees the whole state: "
        "agents know what a player could not know, and their strength is not that of fair play"
    )


def legal_actions(game: Game[S], state: S) -> list[int]:
    """Returns the legal actions of one position as a list, on the host."""
    # A list and not `jnp.flatnonzero`, which compiles anew for every number of legal actions.
    mask = _legal_action_mask(game, state).tolist()
    return [action for action, legal in enumerate(mask) if legal]


# In one program: op by op the rules of some games take seconds the first time.
@functools.partial(jax.jit, static_argnums=0)
def _legal_action_mask(game: Game[S], state: S) -> Bool[Array, " A"]:
    return game.legal_action_mask(state)
