"""What can be said of a game without playing: types, traces, permutations, constants."""

import re
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.check.faults import Fault
from selfplay.contract import brief, validate
from selfplay.errors import GameContractError
from selfplay.game import ChanceGame, Game, Symmetry

METHODS = (
    "step",
    "current_player",
    "legal_action_mask",
    "is_terminal",
    "returns",
    "observe",
)
"""Methods of one state that every game has."""


def static_faults(game: Game[Any]) -> list[Fault]:
    """Returns what is wrong at first sight; nothing else can be tried if it is the contract."""
    try:
        validate(game, type(game).__name__)
    except GameContractError as error:
        # Wrong probabilities are found again in play, with the moves that lead to them.
        if not (isinstance(game, ChanceGame) and "chance_probabilities is " in str(error)):
            hint = f" ({error.hint})" if error.hint else ""
            return [Fault(rule="contract", message=f"{error}{hint}")]
    return [*_dtype_faults(game), *_trace_faults(game), *_auxiliary_faults(game)]


def usable_symmetries(game: Game[Any]) -> tuple[list[tuple[int, Symmetry[Any]]], list[Fault]]:
    """Returns the symmetries that can be tried, with their numbers, and what is wrong already."""
    try:
        symmetries = list(game.symmetries())
    except Exception as error:
        return [], [Fault(rule="symmetry", message=f"symmetries() fails: {brief(error)}")]
    usable: list[tuple[int, Symmetry[Any]]] = []
    faults = []
    identity = list(range(game.num_actions))
    state = jax.eval_shape(game.init, jax.random.key(0))
    for index, symmetry in enumerate(symmetries):
        permutation = [int(action) for action in symmetry.permutation]
        name = repr(symmetry.name)
        if sorted(permutation) != identity:
            wrong = sorted(set(identity) - set(permutation))[:5]
            faults.append(
                Fault(
                    rule="symmetry",
                    message=f"{name} is no permutation of the {game.num_actions} actions: "
                    + (
                        f"{len(permutation)} entries"
                        if len(permutation) != len(identity)
                        else f"{', '.join(map(str, wrong))} are nobody's image"
                    ),
                )
            )
            continue
        try:
            image = jax.eval_shape(symmetry.map_state, state)
        except Exception as error:
            faults.append(
                Fault(rule="symmetry", message=f"map_state of {name} fails: {brief(error)}")
            )
            continue
        if not _same_shapes(state, image):
            faults.append(
                Fault(
                    rule="symmetry",
                    message=f"map_state of {name} changes the structure, a shape or a type of the "
                    "state",
                )
            )
            continue
        usable.append((index, symmetry))
    return usable, faults


def constant_bytes(game: Game[Any]) -> int:
    """Returns the bytes of arrays that the methods carry as constants."""
    state = jax.eval_shape(game.init, jax.random.key(0))
    return sum(
        constant.nbytes
        for method in METHODS
        for constant in _constants(_trace(game, method, state))
        if hasattr(constant, "nbytes")
    )


def _dtype_faults(game: Game[Any]) -> list[Fault]:
    state = jax.eval_shape(game.init, jax.random.key(0))
    after = jax.eval_shape(game.step, state, jax.ShapeDtypeStruct((), jnp.int32))
    faults = []
    for (path, old), new in zip(
        jax.tree_util.tree_leaves_with_path(state), jax.tree.leaves(after), strict=True
    ):
        name = f"state{jax.tree_util.keystr(path)}"
        if jnp.issubdtype(old.dtype, jax.dtypes.prng_key):
            faults.append(
                Fault(
                    rule="randomness",
                    message=f"{name} is a random key: what step draws from it is decided before "
                    "the move, and the search would see it coming",
                )
            )
        elif bool(old.weak_type) != bool(new.weak_type):
            weak, strong = ("init", "step") if old.weak_type else ("step", "init")
            faults.append(
                Fault(
                    rule="dtypes",
                    message=f"{name} is a plain Python number in {weak} (weakly typed), but "
                    f"{old.dtype} in {strong}: everything would be compiled twice",
                )
            )
    return faults


def _trace_faults(game: Game[Any]) -> list[Fault]:
    """Returns a fault for each method that is not the same function twice."""
    state = jax.eval_shape(game.init, jax.random.key(0))
    faults = []
    for method in ("init", *METHODS):
        first, second, third = (_trace(game, method, state) for _ in range(3))
        difference = _difference(first, second) or _difference(second, third)
        if difference:
            faults.append(
                Fault(
                    rule="randomness",
                    message=f"{method} is another function each time it is traced ({difference}): "
                    "something outside its arguments decides",
                )
            )
    return faults


def _auxiliary_faults(game: Game[Any]) -> list[Fault]:
    state = jax.eval_shape(game.init, jax.random.key(0))
    try:
        targets = jax.eval_shape(game.auxiliary_targets, state, state)
    except Exception as error:
        return [
            Fault(rule="auxiliary", message=f"auxiliary_targets cannot be traced: {brief(error)}")
        ]
    return [
        Fault(rule="auxiliary", message=f"{name!r} is {target.dtype}, but must be float32")
        for name, target in targets.items()
        if not jnp.issubdtype(target.dtype, jnp.floating)
    ]


def _trace(game: Game[Any], method: str, state: Any) -> Any:
    function = getattr(game, method)
    # A new function each time: JAX would remember the trace of the old one.
    if method == "init":
        return jax.make_jaxpr(lambda key: function(key))(jax.random.key(0))
    if method == "step":
        action = jax.ShapeDtypeStruct((), jnp.int32)
        return jax.make_jaxpr(lambda state, action: function(state, action))(state, action)
    return jax.make_jaxpr(lambda state: function(state))(state)


def _difference(first: Any, second: Any) -> str:
    texts = [re.sub(r"0x[0-9a-f]+", "", str(one)) for one in (first, second)]
    if texts[0] != texts[1]:
        lines = [[" ".join(line.split()) for line in text.splitlines()] for text in texts]
        for one, other in zip(*lines, strict=False):
            if one != other:
                return f"{one[:60]!r}, then {other[:60]!r}"
        return "one has more steps"
    for one, other in zip(_constants(first), _constants(second), strict=True):
        if not np.array_equal(np.asarray(one), np.asarray(other)):
            return "an array in it has other numbers"
    return ""


def _constants(traced: Any) -> Iterator[Any]:
    """Yields the arrays that a trace holds, inner functions included."""
    if hasattr(traced, "consts"):
        yield from traced.consts
    inner = getattr(traced, "jaxpr", traced)
    for equation in getattr(inner, "eqns", ()):
        for value in equation.params.values():
            for part in value if isinstance(value, tuple | list) else (value,):
                if hasattr(part, "eqns") or hasattr(part, "jaxpr"):
                    yield from _constants(part)


def _same_shapes(left: Any, right: Any) -> bool:
    structure: Any = jax.tree.structure(left)
    if structure != jax.tree.structure(right):
        return False
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return all((one.shape, one.dtype) == (other.shape, other.dtype) for one, other in pairs)
