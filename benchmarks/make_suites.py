"""Makes the position suites of bundled games from positions that their solvers know.

    python benchmarks/make_suites.py --write games/suites [GAME ...]

Takes positions of random matches, one a match, in which some legal move is a mistake, the hardest
first: those in which the fewest moves are right. A quarter as many positions ask for the value
alone. Without --write it only says how many positions it finds in a small sample.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

# Game, and the first ply that positions are taken from.
GAMES = {
    "clobber": 12,
    "connect_four": 14,
    "dots_and_boxes": 12,
    "hex": 95,
    "kalah": 18,
    "othello": 48,
    "tic_tac_toe": 0,
}
MOVES, VALUES = 20, 5
QUICK_SECONDS = 0.2


def main(games: list[str], write: Path | None) -> None:
    """Makes the suites."""
    from selfplay.startup import prepare

    prepare()
    from selfplay.registry import make

    for name in games or (GAMES if write else ["tic_tac_toe"]):
        game = make(name)
        lines = suite_lines(game, GAMES.get(name, 0), sample=2_000 if write else 100)
        print(f"{name}: {len(lines)} positions")
        if write is not None:
            head = [
                "# Positions of random matches with the answers of the game's own solver.",
                "# Made by: python benchmarks/make_suites.py; the format: docs/suites.md",
                "; ".join([f"game: {name}", *options(game)]),
                "",
            ]
            (write / f"{name}.txt").write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


def options(game: Any) -> list[str]:
    """Returns the options of the game that decide which moves there are."""
    rules = getattr(game, "rules", game)
    names = ("size", "rows", "columns", "swap", "pits", "seeds", "empty_capture", "margin")
    return [
        f"{name}: {str(getattr(rules, name)).lower()}"
        for name in names
        if isinstance(getattr(rules, name, None), int | bool)
    ]


def suite_lines(game: Any, first_ply: int, *, sample: int) -> list[str]:
    """Returns the lines of the positions."""
    import jax

    from selfplay.arena.live import LiveMatch

    rng = np.random.default_rng(1)
    last_ply = game.max_plies
    found: list[tuple[int, int, LiveMatch, Any]] = []
    begun = LiveMatch(game)
    for _ in range(sample):
        match = begun.fork()
        length = int(rng.integers(first_ply, max(first_ply + 1, last_ply)))
        for _ in range(length):
            action = int(rng.choice(match.legal))
            match.play(action)
            if match.over:
                match.undo(1 + int(rng.integers(0, 4)))
                break
        if len(match.actions) < first_ply or match.over:
            continue
        begin = time.perf_counter()
        solution = game.solve(jax.device_put(match.position.state))
        if solution is None or time.perf_counter() - begin > QUICK_SECONDS:
            continue
        found.append((len(solution.actions), len(match.actions), match, solution))
        if sum(1 for one in found if _at_stake(one)) >= 2 * MOVES:
            break
    seen: set[tuple[int, ...]] = set()
    lines: list[str] = []
    hard = sorted(filter(_at_stake, found), key=lambda one: (one[0], one[1]))
    for _, ply, match, solution in hard:
        if len(lines) < MOVES and tuple(match.actions) not in seen:
            seen.add(tuple(match.actions))
            best = " ".join(str(action) for action in sorted(solution.actions))
            kind = {1: "win", 0: "hold the draw"}.get(round(solution.value), "best")
            lines.append(
                f"name: {kind} {len(lines) + 1}, ply {ply}; "
                f"moves: {' '.join(map(str, match.actions))}; best: {best}"
            )
    count = 0
    wanted = -1.0
    for _, ply, match, solution in sorted(found, key=lambda one: one[1]):
        if count < VALUES and tuple(match.actions) not in seen and solution.value == wanted:
            seen.add(tuple(match.actions))
            count += 1
            wanted = -wanted
            what = {1: "won", 0: "drawn", -1: "lost"}[round(solution.value)]
            lines.append(
                f"name: {what} {count}, ply {ply}; moves: {' '.join(map(str, match.actions))}; "
                f"value: {solution.value:g}; tolerance: 0.7"
            )
    return lines


def _at_stake(one: tuple[int, int, Any, Any]) -> bool:
    """Returns whether some legal move is a mistake."""
    count, _, match, _ = one
    return count < len(match.legal)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("games", nargs="*")
    parser.add_argument("--write", type=Path, metavar="FOLDER")
    main(**vars(parser.parse_args()))
