"""How an engine is told where a match begins."""

from typing import Any

import jax
import numpy as np

from selfplay.errors import ConfigError
from selfplay.game import Game, Position, start

_STARTS = 64

Setup = tuple[str, ...]


class Setups:
    """Turns first positions of one game into what one engine is told, and refuses what it cannot.

    A game says it with `Game.engine_setup`. If two different first positions have the same setup,
    the engine would play from another position than the arena does.
    """

    def __init__(self, game: Game[Any], *, engine: str, protocol: str) -> None:
        """Prepares; makes no position yet.

        Args:
            game: the rules.
            engine: what error messages call the engine.
            protocol: "gtp" or "uci".
        """
        self._game = game
        self._engine = engine
        self._protocol = protocol
        self._known: dict[Setup, list[np.ndarray]] = {}

    def of(self, first: Position[Any]) -> Setup:
        """Returns the commands for GTP; for UCI one text, which stands after `position`.

        Raises:
            ConfigError: first positions of this game differ in more than the setup says.
        """
        if not self._known:
            for state in self._samples():
                self._note(state)
        return self._note(jax.device_get(first.state))

    def _samples(self) -> list[Any]:
        """Returns first states for several keys, on the host."""
        keys = jax.random.split(jax.random.key(0), _STARTS)
        begin = jax.jit(jax.vmap(lambda key: start(self._game, key).state))
        states = jax.device_get(begin(keys))
        return [jax.tree.map(lambda leaf, row=row: leaf[row], states) for row in range(_STARTS)]

    def _note(self, state: Any) -> Setup:
        # JAX arrays, as everywhere else: the method may call the rules.
        told = self._game.engine_setup(jax.device_put(state))
        setup = tuple(told.gtp) if self._protocol == "gtp" else (told.uci,)
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
        pairs = zip(self._known.setdefault(setup, leaves), leaves, strict=True)
        if not all(np.array_equal(known, leaf) for known, leaf in pairs):
            raise ConfigError(
                f"{self._game.name} begins at random, which {self._engine} cannot be told",
                hint="is there an option that fixes the start? A game says how an engine is set up "
                "in its method engine_setup",
            )
        return setup
