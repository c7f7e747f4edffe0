"""A look at a plain-Python game before anything is trained: does it keep its two promises?"""

import random
from typing import Any

import numpy as np

from selfplay.adapters.tree import HostTree, Moves, legal_list
from selfplay.errors import GameContractError

_MATCHES = 2
_PLIES = 64


def probe(tree: HostTree) -> None:
    """Plays a few random matches on the host.

    Raises:
        GameContractError: `apply` changes the state it was given, or the same arguments give
            different answers, or an answer is none that the contract allows.
    """
    _require_permutations(tree)
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
            moves = _played(tree, moves, draw.choice(legal_list(node, rules.num_actions)))
            chance = tree.node(moves).chance
            if chance is not None:
                possible = np.flatnonzero(chance).tolist()
                moves = _played(tree, moves, draw.choice(possible))


def _played(tree: HostTree, moves: Moves, entry: int) -> Moves:
    """Returns `moves` and then `entry`, an action or an outcome, if that keeps the promises."""
    node = tree.node(moves)
    method = "apply" if node.chance is None else "resolve"
    before = _views(tree, moves, node.state)
    after = [tree.call(moves, method, node.state, entry)]
    asked = f"{method}(state, {entry})"
    # Before the second call: in a state that the first one changed it may fail, which says less.
    _require_unchanged(tree, moves, asked, before, node.state)
    after.append(tree.call(moves, method, node.state, entry))
    longer = tree.extend(moves, entry)
    _require_alike(tree, longer, after[0], after[1], f"{method} with the same arguments")
    for view in range(1, len(tree.symmetries) + 1):
        _require_symmetric(tree, moves, entry, view)
    return longer


def _require_permutations(tree: HostTree) -> None:
    for symmetry in tree.symmetries:
        sizes = [(symmetry.permutation, tree.rules.num_actions)]
        if symmetry.outcome_permutation is not None:
            sizes.append((symmetry.outcome_permutation, tree.outcomes))
        for permutation, size in sizes:
            if sorted(permutation) != list(range(size)):
                tree.refuse(
                    (0, b""),
                    f"the permutation of symmetry {symmetry.name!r} must hold each number from 0 "
                    f"to {size - 1} once",
                )


def _require_symmetric(tree: HostTree, moves: Moves, entry: int, view: int) -> None:
    """Raises unless playing the image of `entry` in the image leads to the image."""
    symmetry = tree.symmetries[view - 1]
    node = tree.node(moves)
    before = _views(tree, moves, node.state)
    turned = tree.image(moves, view)
    _require_unchanged(tree, moves, f"map_state of {symmetry.name!r}", before, node.state)
    rolls = node.chance is not None
    actions = symmetry.permutation
    outcomes = symmetry.outcome_permutation or range(tree.outcomes)
    image = int((outcomes if rolls else actions)[entry])
    found = _views(tree, moves, turned)
    wanted = {name: told for name, told in before.items() if name != "observe"}
    if rolls:
        likely = dict(zip(outcomes, before["chance_probabilities"], strict=True))
        wanted["chance_probabilities"] = [likely[number] for number in range(tree.outcomes)]
    else:
        wanted["legal_actions"] = sorted(int(actions[action]) for action in before["legal_actions"])
    wrong = [name for name in wanted if not _close(found.get(name), wanted[name])]
    if wrong:
        tree.refuse(
            moves,
            f"symmetry {symmetry.name!r} is none: {wrong[0]} of the image is "
            f"{found.get(wrong[0])}, but should be {wanted[wrong[0]]}",
        )
    longer = tree.extend(moves, entry)
    method = "resolve" if rolls else "apply"
    one = _views(tree, longer, tree.call(moves, method, turned, image))
    other = _views(tree, longer, tree.image(longer, view))
    wrong = [name for name in other if not _close(one.get(name), other[name])]
    if wrong:
        tree.refuse(
            moves,
            f"symmetry {symmetry.name!r} is none: {method}(map_state(state), {image}) and "
            f"map_state({method}(state, {entry})) differ in {wrong[0]}",
        )


def _close(one: Any, other: Any) -> bool:
    """Returns whether two numbers, or lists of them, are the same but for rounding."""
    known = one is not None and np.shape(one) == np.shape(other)
    return known and bool(np.allclose(one, other, atol=1e-5))


def _views(tree: HostTree, moves: Moves, state: object) -> dict[str, Any]:
    """Returns what the rules say of a state after `moves`, in a form that can be compared."""
    views: dict[str, Any] = {
        "is_terminal": bool(tree.call(moves, "is_terminal", state)),
        "returns": [float(number) for number in tree.call(moves, "returns", state)],
    }
    if tree.outcomes and tree.node(moves).chance is not None:
        told = tree.call(moves, "chance_probabilities", state)
        views["chance_probabilities"] = [float(number) for number in told]
    elif not views["is_terminal"]:
        views["current_player"] = int(tree.call(moves, "current_player", state))
        views["legal_actions"] = sorted(tree.call(moves, "legal_actions", state))
        views["observe"] = np.array(tree.call(moves, "observe", state), np.float32).tolist()
    return views


def _require_unchanged(
    tree: HostTree, moves: Moves, asked: str, before: dict[str, Any], state: object
) -> None:
    """Raises unless `state` answers as it did `before` it was given to `asked`."""
    try:
        after = _views(tree, moves, state)
    except GameContractError:  # what was answered before now fails
        after = {}
    changed = [name for name in before if before[name] != after.get(name)]
    if changed:
        tree.refuse(
            moves,
            f"{asked} changes the state it was given: afterwards "
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
