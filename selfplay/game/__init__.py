"""The contract between a game and selfplay: what a user writes, and the little built on it.

A game is a set of pure JAX functions of one small state. There is no batch axis, no seat swap,
no canonical form, no value sign and no auto-reset in it: the framework does all of that.
"""

from selfplay.game import bitboards
from selfplay.game.board_view import BoardView, board_faults
from selfplay.game.chance import (
    ChanceGame,
    draw_outcome,
    is_possible_outcome,
    outcome_probabilities,
    pick_outcome,
)
from selfplay.game.exact import Reply, solve_exactly, solver_limit
from selfplay.game.grids import GridTurn, grid_symmetries
from selfplay.game.position import Position, is_over, is_truncated, start
from selfplay.game.pytrees import pytree
from selfplay.game.random_play import RandomPly, random_legal_action, random_ply
from selfplay.game.rules import (
    EngineSetup,
    Game,
    Solution,
    Symmetry,
    is_bundled,
    legal_actions,
    setup_from_attributes,
)
from selfplay.game.text import named_action, title_from, title_of
from selfplay.game.transition import Transition, advance

__all__ = [
    "BoardView",
    "ChanceGame",
    "EngineSetup",
    "Game",
    "GridTurn",
    "Position",
    "RandomPly",
    "Reply",
    "Solution",
    "Symmetry",
    "Transition",
    "advance",
    "bitboards",
    "board_faults",
    "draw_outcome",
    "grid_symmetries",
    "is_bundled",
    "is_over",
    "is_possible_outcome",
    "is_truncated",
    "legal_actions",
    "named_action",
    "outcome_probabilities",
    "pick_outcome",
    "pytree",
    "random_legal_action",
    "random_ply",
    "setup_from_attributes",
    "solve_exactly",
    "solver_limit",
    "start",
    "title_from",
    "title_of",
]
