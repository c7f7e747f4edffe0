"""Where side positions may be kept; `selfplay.mcts.side_positions` says what they are."""

from typing import Any

import jax

from selfplay.errors import ConfigError
from selfplay.game import ChanceGame, Game
from selfplay.settings.sections.rollout import RolloutConfig


def check_side_positions(game: Game[Any], config: RolloutConfig) -> None:
    """Raises `ConfigError` if side positions are to be kept of a game that cannot have them."""
    if not config.side_positions:
        return
    if isinstance(game, ChanceGame):
        raise ConfigError(
            f"rollout.side_positions is on, but {game.name} is a game of chance",
            hint="there a move leads to several positions; switch it off",
        )
    state = jax.eval_shape(game.init, jax.random.key(0))
    if jax.eval_shape(game.auxiliary_targets, state, state):
        raise ConfigError(
            f"rollout.side_positions is on, but {game.name} has auxiliary targets",
            hint="they are made from the final position, which a side position does not have; "
            "switch it off",
        )
