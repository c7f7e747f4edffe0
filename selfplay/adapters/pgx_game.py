"""Games of pgx by name: "pgx:go_9x9". Needs the extra `pgx`."""

import dataclasses
import difflib
import inspect
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, Key, PyTree, UInt8

from selfplay.adapters.pgx_texts import Write, writer
from selfplay.contract import brief
from selfplay.errors import ConfigError, MissingExtraError, UnknownGameError
from selfplay.game import Game, pytree

_GO = "pgx.go:Go"
_PLIES = {
    "animal_shogi": 256,
    "chess": 512,
    "connect_four": 42,
    "gardner_chess": 256,
    # Both may pass at most once in a row, and 60 cells are left to fill.
    "othello": 120,
    "shogi": 512,
    "tic_tac_toe": 9,
}
"""The longest match of each, as pgx ends it; go and hex depend on the size."""

_CLASSES = {
    "animal_shogi": "pgx.animal_shogi:AnimalShogi",
    "chess": "pgx.chess:Chess",
    "connect_four": "pgx.connect_four:ConnectFour",
    "gardner_chess": "pgx.gardner_chess:GardnerChess",
    "go": _GO,
    "go_19x19": _GO,
    "go_9x9": _GO,
    "hex": "pgx.hex:Hex",
    "othello": "pgx.othello:Othello",
    "shogi": "pgx.shogi:Shogi",
    "tic_tac_toe": "pgx.tic_tac_toe:TicTacToe",
}
_HIDDEN = "its players do not see everything, which selfplay's search needs"
_ONE_PLAYER = "it is for one player"
_REFUSED = {
    "2048": _ONE_PLAYER,
    "backgammon": "it has dice inside; selfplay's own `backgammon` knows their probabilities",
    "bridge_bidding": _HIDDEN,
    "kuhn_poker": _HIDDEN,
    "leduc_holdem": _HIDDEN,
    "mahjong": _HIDDEN,
    "sparrow_mahjong": _HIDDEN,
}


@pytree
class PgxState:
    """A position of a pgx game: what its rules need, and nothing that they can compute.

    Attributes:
        fields: of the pgx state by name, without observation, rewards and legal actions.
        legal: one bit for each action, the first one highest.
        result: of player 0, in [-1, 1].
    """

    fields: dict[str, PyTree]
    legal: UInt8[Array, " K"]
    result: Float32[Array, ""]


class PgxGame(Game[PgxState]):
    """A two-player game of perfect information from pgx.

    pgx draws at random which of its players begins; here player 0 does.
    """

    def __init__(self, name: str, env: Any, max_plies: int, *, write: Write | None = None) -> None:
        """Wraps a pgx environment.

        Args:
            name: of the game here.
            env: the environment.
            max_plies: its longest match.
            write: how its moves are written; by default as numbers.
        """
        self.name = name
        self._write = write
        self.max_plies = max_plies
        self._env = env
        # The key decides nothing but who begins.
        with jax.numpy_rank_promotion("allow"):
            self._first = jax.device_get(env.init(jax.random.key(0)))
        self._beginner = int(self._first.current_player)
        self.num_actions = int(self._first.legal_action_mask.shape[0])
        left_out = {"observation", "rewards", "legal_action_mask", "truncated"}
        self._kept = [
            field.name for field in dataclasses.fields(self._first) if field.name not in left_out
        ]

    def init(self, key: Key[Array, ""]) -> PgxState:
        """Returns the first position."""
        return self._packed(jax.tree.map(jnp.asarray, self._first))

    def step(self, state: PgxState, action: Int32[Array, ""]) -> PgxState:
        """Returns the position after `action`."""
        # pgx relies on it, whatever the process allows elsewhere.
        with jax.numpy_rank_promotion("allow"):
            return self._packed(self._env.step(self._unpacked(state), action))

    def current_player(self, state: PgxState) -> Int32[Array, ""]:
        """Returns who is to move."""
        return (state.fields["current_player"] ^ self._beginner).astype(jnp.int32)

    def legal_action_mask(self, state: PgxState) -> Bool[Array, " A"]:
        """Returns the legal actions; all of them once the match is over, as pgx has it."""
        return jnp.unpackbits(state.legal, count=self.num_actions).astype(jnp.bool_)

    def is_terminal(self, state: PgxState) -> Bool[Array, ""]:
        """Returns whether the match is over."""
        return state.fields["terminated"]

    def returns(self, state: PgxState) -> Float32[Array, "2"]:
        """Returns the result for player 0 and player 1."""
        return jnp.stack([state.result, -state.result])

    def observe(self, state: PgxState) -> Float32[Array, "..."]:
        """Returns pgx's observation for the player to move."""
        with jax.numpy_rank_promotion("allow"):
            return self._env.observe(self._unpacked(state)).astype(jnp.float32)

    def action_to_string(self, state: PgxState, action: int) -> str:
        """Returns UCI's "e2e4" in chess, "D4" or "pass" in Go, elsewhere the number."""
        return str(action) if self._write is None else self._write(state.fields, action)

    def _packed(self, full: Any) -> PgxState:
        result = full.rewards[self._beginner].astype(jnp.float32)
        return PgxState(
            fields={name: getattr(full, name) for name in self._kept},
            legal=jnp.packbits(full.legal_action_mask),
            result=jnp.where(full.terminated, result, 0.0),
        )

    def _unpacked(self, state: PgxState) -> Any:
        return self._first.replace(
            **state.fields,
            observation=jnp.zeros_like(self._first.observation),
            rewards=jnp.zeros_like(self._first.rewards),
            legal_action_mask=self.legal_action_mask(state),
            truncated=jnp.bool_(False),
        )


class PgxGo(PgxGame):
    """Go from pgx.

    Attributes:
        size: side of the board.
        komi: points for white.
    """

    def __init__(self, name: str, env: Any, max_plies: int, *, write: Write | None = None) -> None:
        """Wraps pgx's Go; arguments as in `PgxGame`."""
        super().__init__(name, env, max_plies, write=write)
        self.size = int(env._game.size)
        self.komi = float(env._game.komi)


def make_pgx(identity: str, options: Mapping[str, object]) -> PgxGame:
    """Returns the pgx game `identity`, such as "go_9x9"; `options` are its constructor's.

    Raises:
        MissingExtraError: pgx is not installed.
        UnknownGameError: pgx has no such game.
        ConfigError: it is not for two players who see everything, or does not take the options.
    """
    identity = identity.strip()
    if identity in _REFUSED or identity.startswith("minatar-"):
        reason = _REFUSED.get(identity, _ONE_PLAYER)
        raise ConfigError(f"pgx:{identity} cannot be played here: {reason}", hint=_known())
    if identity not in _CLASSES:
        close = difflib.get_close_matches(identity, _CLASSES, n=1)
        suggestion = f"did you mean pgx:{close[0]}? " if close else ""
        raise UnknownGameError(f"pgx has no game {identity!r}", hint=suggestion + _known())
    try:
        import pgx
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "pgx is not installed", hint='pip install "selfplay-jax[pgx]"'
        ) from error
    del pgx
    arguments = dict(options)
    if identity.startswith("go_"):
        # As pgx.make has them.
        arguments = {"size": int(identity.partition("x")[2]), "komi": 7.5, **arguments}
    env = _environment(identity, arguments)
    limit = _PLIES.get(identity)
    if limit is None:
        # Go ends after twice as many moves as there are cells; hex fills them and may swap once.
        limit = env.size**2 + 1 if identity == "hex" else int(env._game.max_termination_steps)
    try:
        kind = PgxGo if identity.startswith("go") else PgxGame
        return kind(f"pgx_{identity}", env, limit, write=writer(identity, env))
    except Exception as error:
        # Some games of pgx take options that they do not work with.
        given = ", ".join(f"{name}={value!r}" for name, value in options.items())
        raise ConfigError(
            f"pgx:{identity} cannot be made with {given or 'no options'}: {brief(error)}"
        ) from error


def _environment(identity: str, arguments: Mapping[str, object]) -> Any:
    import importlib

    module, _, name = _CLASSES[identity].partition(":")
    make = getattr(importlib.import_module(module), name)
    parameters = [name for name in inspect.signature(make).parameters if name != "self"]
    unknown = sorted(set(arguments) - set(parameters))
    if unknown:
        hint = f"its options: {', '.join(parameters)}" if parameters else "it has no options"
        raise ConfigError(f"pgx:{identity} has no option {unknown[0]!r}", hint=hint)
    return make(**arguments)


def _known() -> str:
    return f"games of pgx: {', '.join(sorted(_CLASSES))}"
