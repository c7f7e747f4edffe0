"""Laws of what the methods of a game return, and of what a state holds."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.check.laws.law import Finding, InPython, Law, RulesTest, Sample, SampleTest
from selfplay.contract import validate
from selfplay.errors import GameContractError
from selfplay.game import ChanceGame, Game


def _contract(game: Game[Any]) -> Iterator[str]:
    try:
        validate(game, type(game).__name__)
    except GameContractError as error:
        # Wrong probabilities are found again in play, with the moves that lead to them.
        if not (isinstance(game, ChanceGame) and "chance_probabilities is " in str(error)):
            yield f"{error} ({error.hint})" if error.hint else str(error)


CONTRACT = Law(
    name="contract",
    statement="sizes, shapes and types are those of the contract, and JAX can trace every method",
    advice="what the message names; help(selfplay.Game) says what each method takes and returns",
    tests=(RulesTest(find=_contract, stops=True),),
    in_python=InPython(
        statement="every method returns what its docstring says",
        advice="what the message names; help(selfplay.PythonGame) says what each method takes and "
        "returns",
    ),
)


def _dtypes(game: Game[Any]) -> Iterator[str]:
    state = jax.eval_shape(game.init, jax.random.key(0))
    after = jax.eval_shape(game.step, state, jax.ShapeDtypeStruct((), jnp.int32))
    for (path, old), new in zip(
        jax.tree_util.tree_leaves_with_path(state), jax.tree.leaves(after), strict=True
    ):
        if jnp.issubdtype(old.dtype, jax.dtypes.prng_key):
            continue  # reported as randomness
        if bool(old.weak_type) != bool(new.weak_type):
            weak, strong = ("init", "step") if old.weak_type else ("step", "init")
            yield (
                f"state{jax.tree_util.keystr(path)} is a plain Python number in {weak} (weakly "
                f"typed), but {old.dtype} in {strong}: everything would be compiled twice"
            )


DTYPES = Law(
    name="dtypes",
    statement="a state has the same types from init to the end",
    advice="write jnp.int8(0) instead of 0 in init and step, and cast results with .astype",
    tests=(RulesTest(find=_dtypes),),
)


def _state(sample: Sample) -> Iterator[Finding]:
    """Yields fields of the state that only repeat the observation or the mask."""
    kept = sample.matches.kept if sample.matches is not None else []
    if not kept:
        return
    paths = jax.tree_util.tree_leaves_with_path(kept[0].state)
    for what, field in (("the observation", "observation"), ("the legal action mask", "mask")):
        for index, (path, leaf) in enumerate(paths):
            first = getattr(kept[0].before_facts, field)
            if leaf.shape != first.shape or leaf.size < 4 or len(paths) < 2:
                continue
            pairs = [
                (jax.tree.leaves(one.state)[index], getattr(one.before_facts, field))
                for one in kept
            ]
            if all(np.array_equal(one, other) for one, other in pairs):
                name = f"state{jax.tree_util.keystr(path)}"
                yield Finding(
                    f"{name} is {what} ({leaf.nbytes} bytes in every node of the tree)",
                    kept[0].line,
                )


STATE = Law(
    name="state",
    statement="a state holds what the rules need and nothing that follows from it",
    advice="compute the observation in observe and the mask in legal_action_mask: one state is "
    "stored in every node of every search tree",
    tests=(SampleTest(find=_state),),
)

LAWS = (CONTRACT, DTYPES, STATE)
