"""A look at a plain-Python game before anything is trained: does it keep its two promises?"""

import random
from typing import Any

import numpy as np

from selfplay.adapters.tree import HostTree, Moves, legal_list

_MATCHES = 2
_PLIES = 64


def probe(tree: HostTree) -> None:
    """Plays a few random matches on the host.

    Raises:
        GameContractError: `apply` changes the state it was given, or the same arguments give
            different answers, or an answer is none that the contract allows.
    """
    draw = random.Random(0)
    for seed in range(_MATCHES):
        moves: Moves = (seed if tree.random_start else 0, b"")
        rules = tree.rules
        states = [tree.call(moves, "initial_state", random.Random(moves[0])) for _ in range(2)]
        _require_alike(tree, moves, states[0], states[1], "initial_state with the same rng")
        for _ in range(min(_PLIES, rules.max_plies)):
            node = tree.node(moves)
            tree.observation(moves)
            if node.terminal:
                break
            action = draw.choice(legal_list(node, rules.num_actions))
            before = _views(tree, moves, node.state)
            after = [tree.call(moves, "apply", node.state, action) for _ in range(2)]
            _require_unchanged(tree, moves, action, before, _views(tree, moves, node.state))
            moves = tree.extend(moves, action)
            _require_alike(tree, moves, after[0], after[1], "apply with the same arguments")


def _views(tree: HostTree, moves: Moves, state: object) -> dict[str, Any]:
    """Returns what the rules say of a state, in a form that can be compared."""
    views: dict[str, Any] = {
        "is_terminal": bool(tree.call(moves, "is_terminal", state)),
        "returns": [float(number) for number in tree.call(moves, "returns", state)],
    }
    if not views["is_terminal"]:
        views["current_player"] = int(tree.call(moves, "current_player", state))
        views["legal_actions"] = sorted(tree.call(moves, "legal_actions", state))
        views["observe"] = np.array(tree.call(moves, "observe", state), np.float32).tolist()
    return views


def _require_unchanged(
    tree: HostTree, moves: Moves, action: int, before: dict[str, Any], after: dict[str, Any]
) -> None:
    changed = [name for name in before if before[name] != after.get(name)]
    if changed:
        tree.refuse(
            moves,
            f"apply(state, {action}) changes the state it was given: afterwards "
            f"{changed[0]}(state) answers otherwise; copy the state first",
        )


def _require_alike(tree: HostTree, moves: Moves, one: object, other: object, what: str) -> None:
    first, second = (_views(tree, moves, state) for state in (one, other))
    differing = [name for name in first if first[name] != second.get(name)]
    if differing:
        tree.refuse(
            moves,
            f"{what} leads to states of which {differing[0]} answers differently; all that is "
            "random must come from rng",
        )
