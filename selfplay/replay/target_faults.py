"""Does the game put numbers that are not finite into training targets?

Training looks at more than play does: at the images of positions under the game's symmetries, and
at its auxiliary targets. It asks only once a loss is not finite, so sound games pay nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from selfplay.errors import GameContractError
from selfplay.game import Game
from selfplay.records import MatchRecord
from selfplay.replay.blame import broken_contract
from selfplay.replay.rebuild import Rebuilder

_BATCH = 256


class TargetFaults:
    """Finds the position whose training targets are not finite; compiled once for all matches."""

    def __init__(self, game: Game[Any], *, symmetries: bool) -> None:
        """Compiles nothing yet.

        Args:
            game: the rules.
            symmetries: whether training turns positions by the symmetries of the game.
        """
        self._game = game
        self._rebuild = Rebuilder(game)
        used = game.symmetries() if symmetries else ()
        self._images: list[tuple[str, Callable[[Any], Any]]] = [
            ("", lambda state: state),
            *((f" of the image under the symmetry {one.name}", one.map_state) for one in used),
        ]
        self._values = jax.jit(jax.vmap(self._values_of))

    def find(self, matches: Sequence[MatchRecord]) -> GameContractError | None:
        """Returns the first fault in some matches, with the moves that lead there; None if none.

        Raises:
            RecordError: a match does not follow the rules.
            GameContractError: the game breaks another rule in one of them.
        """
        if not matches:
            return None
        positions = self._rebuild(matches)
        plies = [match.plies for match in matches]
        of_match = np.repeat(np.arange(len(matches)), plies)
        final_states = jax.tree.map(lambda leaf: leaf[of_match], positions.final_states)
        for begin in range(0, len(of_match), _BATCH):
            # Always as many rows, so that one program serves all.
            rows = np.minimum(np.arange(begin, begin + _BATCH), len(of_match) - 1)
            states, finals = jax.tree.map(
                lambda leaf, rows=rows: leaf[rows], (positions.states, final_states)
            )
            values = jax.device_get(self._values(states, finals))
            bad = {
                name: ~np.isfinite(value.reshape(_BATCH, -1)).all(axis=1)
                for name, value in values.items()
            }
            if any(rows_of.any() for rows_of in bad.values()):
                row = min(int(np.argmax(rows_of)) for rows_of in bad.values() if rows_of.any())
                name = next(name for name, rows_of in bad.items() if rows_of[row])
                number = int(of_match[rows[row]])
                ply = int(rows[row]) - sum(plies[:number])
                return self._error(matches[number], ply, name, np.atleast_1d(values[name][row]))
        return None

    def _values_of(self, state: Any, final_state: Any) -> dict[str, Array]:
        """Returns everything that the targets of one position are made from, by what it is."""
        values: dict[str, PyTree] = {}
        for name, image in self._images:
            turned = image(state)
            values[f"observe{name}"] = self._game.observe(turned)
            auxiliary = self._game.auxiliary_targets(turned, image(final_state))
            for key, value in auxiliary.items():
                values[f"auxiliary_targets[{key!r}]{name}"] = value
        return {name: jnp.asarray(value, jnp.float32) for name, value in values.items()}

    def _error(
        self, match: MatchRecord, ply: int, name: str, value: np.ndarray
    ) -> GameContractError:
        number = value[~np.isfinite(value)].ravel()[0]
        return broken_contract(
            self._game,
            "finite",
            f"{name} holds {number:g}, but must be finite",
            start_key=match.start_key,
            actions=[int(action) for action in match.actions[:ply]],
            outcomes=[int(outcome) for outcome in match.outcomes[:ply]],
        )
