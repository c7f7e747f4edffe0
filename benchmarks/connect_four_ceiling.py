"""How well a perfect Connect Four player does against another one: the ceiling for any agent.

    python benchmarks/connect_four_ceiling.py [mcts:1000] [MATCHES] [SEED]
    python benchmarks/connect_four_ceiling.py RUN:100 40 --opening-plies 0

From the same paired random openings as every arena. Perfect play is that of the exact solver
bitbully (AGPL, used here only): "shortest" prefers the fastest win and the slowest loss, "any" is
random among the moves that keep the result. Where the opening is lost and the opponent makes no
mistake, nobody can win. Without openings the first player wins under perfect play: 1 less the
second number of "score_by_seat" is the opponent's score in the matches that it begins.
"""

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))


class Perfect:
    """Plays by the solver."""

    def __init__(self, kind: str) -> None:
        import bitbully

        self.name = f"perfect, {kind}"
        self._kind = kind
        self._bitbully = bitbully
        self._solver = bitbully.BitBully(opening_book="12-ply-dist")

    def select(self, positions: Any, *, key: Any) -> np.ndarray:
        """Returns a best column for each position."""
        import jax

        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        discs = np.asarray(positions.state.discs)
        players = np.asarray(positions.state.player)
        return np.array(
            [self._best(*position, rng) for position in zip(discs, players, strict=True)], np.int32
        )

    def _best(self, discs: np.ndarray, player: np.int8, rng: np.random.Generator) -> int:
        board = self._bitbully.Board()
        for column in _order(discs):
            if not board.play(column):
                raise AssertionError("the solver refuses a legal move")
        scores = {
            int(column): score
            for column, score in self._solver.score_all_moves(board).items()
            if board.is_legal_move(int(column))
        }
        if self._kind == "any":
            scores = {column: int(np.sign(score)) for column, score in scores.items()}
        best = max(scores.values())
        return int(rng.choice([column for column, score in scores.items() if score == best]))


def _order(discs: np.ndarray) -> list[int]:
    """Returns columns that lead to these discs when played in turn."""
    heights = [int(mask).bit_count() for mask in discs[0] | discs[1]]
    left = [
        [int(int(discs[1][column]) >> row & 1) for row in range(height)]
        for column, height in enumerate(heights)
    ]

    def place(moves: list[int], mover: int) -> list[int] | None:
        if not any(left):
            return moves
        for column, discs_left in enumerate(left):
            if discs_left and discs_left[0] == mover:
                discs_left.pop(0)
                found = place([*moves, column], 1 - mover)
                if found is not None:
                    return found
                discs_left.insert(0, mover)
        return None

    found = place([], 0)
    if found is None:
        raise AssertionError("no order of moves leads to this position")
    return found


def main(opponent: str, matches: int, seed: int, opening_plies: int | None) -> None:
    """Plays both kinds of perfect players; prints one JSON object each."""
    if importlib.util.find_spec("bitbully") is None:
        print("skipped: the exact solver bitbully is not installed")
        return
    from selfplay.startup import prepare

    prepare()
    from benchmarks.common.agents import agent_and_game
    from selfplay.arena import play_matches
    from selfplay.registry import make

    rival, game = agent_and_game(opponent, make("connect_four"))
    for kind in ("shortest", "any"):
        table = play_matches(
            game,
            Perfect(kind),
            rival,
            num_matches=matches,
            seed=seed,
            opening_plies=opening_plies,
        )
        print(json.dumps(table.to_dict()), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("opponent", nargs="?", default="mcts:1000")
    parser.add_argument("matches", nargs="?", type=int, default=100)
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--opening-plies", type=int, metavar="N")
    main(**vars(parser.parse_args()))
