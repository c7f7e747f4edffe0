"""Makes the labelled Connect Four positions that `connect_four_mistakes.py` measures with.

    python benchmarks/label_connect_four.py [--matches 150 --output FILE]
    python benchmarks/label_connect_four.py --sets benchmarks/data/solved --positions 600

Two kinds of positions, both spread evenly over the plies:

* "random": reached by uniformly random play;
* "careful": reached by play in which nine moves of ten keep the game-theoretic value, so that
  the position is mostly undecided and the right move hard to find, early ones included.

Without arguments five matches of each kind are labelled and nothing is written. Labels come from
the exact solver bitbully (AGPL, used here only). Something is at stake in a position if one of its
legal moves is worse than another; `connect_four_mistakes.py` counts those apart.

With `--sets` it writes instead the two sets that `methods.py` compares settings with.
"""

import argparse
import collections
import importlib.util
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PER_PLY = 20
LAST_PLY = 36
SEED = 20_240_501


def main(matches: int, output: Path | None) -> None:
    """Labels, and writes the file if one is named."""
    if importlib.util.find_spec("bitbully") is None:
        print("skipped: the exact solver bitbully is not installed")
        return
    import bitbully

    solver = bitbully.BitBully(opening_book="12-ply-dist")
    rng = random.Random(SEED)
    seen: set[tuple[int, ...]] = set()
    found: dict[tuple[str, int], list[dict[str, object]]] = collections.defaultdict(list)
    for kind in ("random", "careful"):
        for match in range(matches):
            for row in _positions(bitbully, solver, rng, kind):
                rows = found[kind, row["ply"]]
                cells = row.pop("cells")
                if cells not in seen and len(rows) < PER_PLY:
                    seen.add(cells)
                    rows.append({"kind": kind, **row})
            print(kind, match, sum(map(len, found.values())), flush=True)
    rows = [row for key in sorted(found) for row in found[key]]
    lines = ",\n".join(json.dumps(row) for row in rows)
    if output is not None:
        output.write_text(f"[\n{lines}\n]\n")
    print(f"{len(rows)} positions")


def write_sets(directory: Path, count: int) -> None:
    """Labels the sets of `methods.py` for the full board, from the first ply on."""
    from benchmarks.paired_training.labelling import label
    from benchmarks.paired_training.positions import set_name, write
    from selfplay.registry import make

    if importlib.util.find_spec("bitbully") is None:
        print("skipped: the exact solver bitbully is not installed")
        return
    import bitbully

    solver = bitbully.BitBully(opening_book="12-ply-dist")

    def best(position: Any) -> tuple[int, ...]:
        own, other = position.state.discs.tolist()
        columns = [
            [1 if first >> row & 1 else 2 if second >> row & 1 else 0 for row in range(6)]
            for first, second in zip(own, other, strict=True)
        ]
        values = _values(solver, bitbully.Board(columns))
        return tuple(c for c, value in sorted(values.items()) if value == max(values.values()))

    game = make("connect_four")
    for name, rows in label(game, best, count=count, say=print).items():
        write(directory / set_name(game, name), game, rows, text="connect_four")


def _positions(
    bitbully: Any, solver: Any, rng: random.Random, kind: str
) -> Iterator[dict[str, Any]]:
    """Yields some labelled positions of one match."""
    board = bitbully.Board()
    moves: list[int] = []
    while len(moves) < LAST_PLY and not board.is_game_over():
        wanted = rng.random() < 0.4
        if kind == "careful" or wanted:
            values = _values(solver, board)
            best = max(values.values())
            good = sorted(column for column, value in values.items() if value == best)
        if wanted:
            cells = tuple(cell for line in board.to_array() for cell in line)
            yield {
                "ply": len(moves),
                "moves": list(moves),
                "value": best,
                "good": good,
                "legal": sorted(values),
                "cells": cells,
            }
        careful = kind == "careful" and rng.random() < 0.9
        column = rng.choice(good if careful else sorted(board.legal_moves()))
        board.play(column)
        moves.append(column)


def _values(solver: Any, board: Any) -> dict[int, int]:
    """Returns 1, 0 or -1 for each legal column: win, draw or loss for the player to move."""
    scores = solver.score_all_moves(board)
    return {
        int(column): (score > 0) - (score < 0)
        for column, score in scores.items()
        if board.is_legal_move(int(column))
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--matches", type=int, default=5, help="of each kind")
    parser.add_argument("--output", type=Path, help="such as data/connect_four_positions.json")
    parser.add_argument("--sets", type=Path, metavar="DIR", help="write the sets of methods.py")
    parser.add_argument("--positions", type=int, default=600, help="of each of these sets")
    given = parser.parse_args()
    if given.sets is not None:
        sys.path.insert(0, str(Path(__file__).parents[1]))
        write_sets(given.sets, given.positions)
    else:
        main(given.matches, given.output)
