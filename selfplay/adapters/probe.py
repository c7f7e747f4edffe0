"""Tests before a training whether a plain-Python game keeps its two promises."""

import copy
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from selfplay.adapters.answers import shortened
from selfplay.adapters.tree import HostTree, Moves, legal_list
from selfplay.errors import GameContractError

_MATCHES = 2
_PLIES = 64
_TIMES = 8
_AGAIN = 3


def probe(tree: HostTree) -> None:
    """Plays a few random matches on the host.

    Raises:
        GameContractError: `apply` changes the state it was given, or the same arguments give
            different answers, or an answer is none that the contract allows.
    """
    require_permutations(tree)
    draw = random.Random(0)
    for seed in range(_MATCHES):
        moves: Moves = (seed if tree.random_start else 0, b"")
        require_same_start(tree, moves)
        for _ in range(min(_PLIES, tree.rules.max_plies)):
            node = tree.node(moves)
            tree.observation(moves)
            if node.terminal:
                break
            moves = played(tree, moves, draw.choice(legal_list(node, tree.rules.num_actions)))
            chance = tree.node(moves).chance
            if chance is not None:
                possible = np.flatnonzero(chance).tolist()
                moves = played(tree, moves, draw.choice(possible))


def require_same_start(tree: HostTree, moves: Moves) -> None:
    """Raises `GameContractError` unless the same seed gives the same first position."""
    first, *others = (
        tree.call(moves, "initial_state", random.Random(moves[0])) for _ in range(_TIMES)
    )
    for other in others:
        _require_alike(tree, moves, first, other, "initial_state with the same rng")


def require_same_answers(tree: HostTree, moves: Moves) -> None:
    """Raises `GameContractError` unless questions about a position have the same answers twice.

    Where they have not, it says which method changes the state, or which is not a function of it.
    """
    state = tree.node(moves).state
    first, second = views(tree, moves, state), views(tree, moves, state)
    differing = [name for name in first if not same(first[name], second.get(name))]
    if not differing:
        return
    name = differing[0]

    def asked(*methods: str) -> list[Any]:
        """Returns the results of methods called one after another on a newly created state."""
        made = replayed(tree, moves)
        return [_view(tree, moves, method, made) for method in methods]

    firsts = [asked(name)[0] for _ in range(_TIMES)]
    if not all(same(firsts[0], other) for other in firsts):
        tree.refuse(
            moves,
            f"{name}(state) answers differently when it is asked again: {shortened(first[name])}, "
            f"then {shortened(second.get(name))}",
            rule="randomness",
        )
    for method in (name, *first):
        # Repeatedly: it may take several changes of the state before they show.
        answers = asked(*[name, method] * _TIMES)[:: 1 if method == name else 2]
        if not all(same(answers[0], answer) for answer in answers):
            tree.refuse(
                moves,
                f"{method}(state) changes the state it was given: afterwards {name}(state) "
                "answers otherwise",
                rule="mutation",
            )
    tree.refuse(
        moves,
        f"a question changes the state it was given: asked again {name}(state) answers otherwise",
        rule="mutation",
    )


def require_replay(tree: HostTree, moves: Moves) -> None:
    """Raises `GameContractError` unless a match played again leads to the same position."""
    what = "the same moves played again"
    _require_alike(tree, moves, tree.node(moves).state, replayed(tree, moves), what)


def replayed(tree: HostTree, moves: Moves) -> Any:
    """Returns the user's own object after `moves`, replayed from the start."""
    state = tree.call((moves[0], b""), "initial_state", random.Random(moves[0]))
    before = (moves[0], b"")
    for entry in tree.listed(moves):
        method = "apply" if tree.node(before).chance is None else "resolve"
        state = tree.call(before, method, state, entry)
        before = tree.extend(before, entry)
    return state


def played(tree: HostTree, moves: Moves, entry: int) -> Moves:
    """Returns `moves` with `entry`, an action or an outcome, appended, if the promises hold.

    Raises:
        GameContractError: it does not.
    """
    node = tree.node(moves)
    method = "apply" if node.chance is None else "resolve"
    before = views(tree, moves, node.state)
    kept = _copied(node.state)
    after = [tree.call(moves, method, node.state, entry)]
    asked = f"{method}(state, {entry})"
    # Before the second call: in a state that the first one changed it may fail, which says less.
    require_unchanged(tree, moves, asked, before, node.state)
    after.append(tree.call(moves, method, node.state, entry))
    longer = tree.extend(moves, entry)
    tree.observation(longer)
    require_same_answers(tree, longer)
    after += [tree.call(moves, method, node.state, entry) for _ in range(_AGAIN - 1)]
    for other in after[1:]:
        try:
            _require_alike(tree, longer, after[0], other, f"{method} with the same arguments")
        except GameContractError:
            # Not random if copies of the state lead to the same: then the state has changed.
            if kept is None:
                raise
            for _ in range(2):
                again = tree.call(moves, method, _copied(kept), entry)
                _require_alike(tree, longer, after[0], again, f"{method} with the same arguments")
            tree.refuse(
                moves,
                f"{asked} changes the state it was given: afterwards the same call leads "
                "elsewhere; copy the state first",
                rule="mutation",
            )
    for view in range(1, len(tree.symmetries) + 1):
        _require_symmetric(tree, moves, entry, view)
    return longer


def _copied(state: object) -> object:
    """Returns a copy of a user's state, None if it cannot be copied."""
    try:
        return copy.deepcopy(state)
    except Exception:
        return None


def require_permutations(tree: HostTree) -> None:
    """Raises `GameContractError` unless the permutations of the symmetries are some."""
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
                    rule="symmetry",
                )


def _require_symmetric(tree: HostTree, moves: Moves, entry: int, view: int) -> None:
    """Raises unless playing the image of `entry` in the image leads to the image."""
    symmetry = tree.symmetries[view - 1]
    node = tree.node(moves)
    before = views(tree, moves, node.state)
    turned = tree.image(moves, view)
    require_unchanged(tree, moves, f"map_state of {symmetry.name!r}", before, node.state)
    rolls = node.chance is not None
    actions = symmetry.permutation
    outcomes = symmetry.outcome_permutation or range(tree.outcomes)
    image = int((outcomes if rolls else actions)[entry])
    found = views(tree, moves, turned)
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
            f"{shortened(found.get(wrong[0]))}, but should be {shortened(wanted[wrong[0]])}",
            rule="symmetry",
        )
    longer = tree.extend(moves, entry)
    method = "resolve" if rolls else "apply"
    one = views(tree, longer, tree.call(moves, method, turned, image))
    other = views(tree, longer, tree.image(longer, view))
    wrong = [name for name in other if not _close(one.get(name), other[name])]
    if wrong:
        tree.refuse(
            moves,
            f"symmetry {symmetry.name!r} is none: {method}(map_state(state), {image}) and "
            f"map_state({method}(state, {entry})) differ in {wrong[0]}",
            rule="symmetry",
        )


def _close(one: Any, other: Any) -> bool:
    """Returns whether two numbers, or lists of them, are equal except for rounding."""
    known = one is not None and np.shape(one) == np.shape(other)
    return known and bool(np.allclose(one, other, atol=1e-5))


def views(tree: HostTree, moves: Moves, state: object) -> dict[str, Any]:
    """Returns the rules' data about a state after `moves`, in a form that can be compared."""
    views: dict[str, Any] = {
        method: _view(tree, moves, method, state) for method in ("is_terminal", "returns")
    }
    if tree.outcomes and tree.node(moves).chance is not None:
        for method in ("is_chance", "chance_probabilities"):
            views[method] = _view(tree, moves, method, state)
    elif not views["is_terminal"]:
        for method in ("current_player", "legal_actions", "observe"):
            views[method] = _view(tree, moves, method, state)
    return views


def _view(tree: HostTree, moves: Moves, method: str, state: object) -> Any:
    return tree.call(moves, method, state, read=_READ[method])


_READ: dict[str, Callable[[Any], Any]] = {
    "is_terminal": bool,
    "is_chance": bool,
    "returns": lambda told: [float(number) for number in told],
    "chance_probabilities": lambda told: [float(number) for number in told],
    "current_player": int,
    "legal_actions": sorted,
    "observe": lambda told: np.array(told, np.float64).tolist(),
}
"""What a method says, in a form that can be compared; `HostTree` looks whether it is allowed."""


def same(one: object, other: object) -> bool:
    """Returns whether two answers are equal; NaN equals NaN."""
    return one == other or repr(one) == repr(other)


def require_unchanged(
    tree: HostTree, moves: Moves, asked: str, before: dict[str, Any], state: object
) -> None:
    """Raises unless `state` answers as it did `before` it was given to `asked`."""
    try:
        after = views(tree, moves, state)
    except GameContractError:  # what was answered before now fails
        after = {}
    changed = [name for name in before if not same(before[name], after.get(name))]
    if changed:
        tree.refuse(
            moves,
            f"{asked} changes the state it was given: afterwards "
            f"{changed[0]}(state) answers otherwise; copy the state first",
            rule="mutation",
        )


def _require_alike(tree: HostTree, moves: Moves, one: object, other: object, what: str) -> None:
    first, second = (views(tree, moves, state) for state in (one, other))
    differing = [name for name in first if not same(first[name], second.get(name))]
    if differing:
        tree.refuse(
            moves,
            f"{what} leads to states of which {differing[0]} answers differently; all that is "
            "random must come from rng, and all that changes must be in the state",
            rule="randomness",
        )
