"""Laws about methods that must be functions of their arguments, however they are called."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.check.laws.law import (
    Finding,
    InPython,
    Law,
    MeasuresTest,
    RulesTest,
    Sample,
    SampleTest,
)
from selfplay.check.laws.traces import METHODS, constants, trace
from selfplay.check.laws.values import equal, shortened
from selfplay.check.play.sequence import RandomMatches
from selfplay.contract import brief, fingerprint
from selfplay.game import ChanceGame, Game

_FIELDS = {
    "legal_action_mask": "mask",
    "current_player": "player",
    "is_terminal": "terminal",
    "returns": "returns",
    "observe": "observation",
}


def _random_keys(game: Game[Any]) -> Iterator[str]:
    state = jax.eval_shape(game.init, jax.random.key(0))
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            yield (
                f"state{jax.tree_util.keystr(path)} is a random key: what step draws from it is "
                "decided before the move, and the search would see it coming"
            )


def _traces(game: Game[Any]) -> Iterator[str]:
    state = jax.eval_shape(game.init, jax.random.key(0))
    for method in ("init", *METHODS):
        first, second, third = (trace(game, method, state) for _ in range(3))
        difference = _difference(first, second) or _difference(second, third)
        if difference:
            yield (
                f"{method} is another function each time it is traced ({difference}): something "
                "outside its arguments decides"
            )


def _difference(first: Any, second: Any) -> str:
    texts = [re.sub(r"0x[0-9a-f]+", "", str(one)) for one in (first, second)]
    if texts[0] != texts[1]:
        lines = [[" ".join(line.split()) for line in text.splitlines()] for text in texts]
        for one, other in zip(*lines, strict=False):
            if one != other:
                return f"{one[:60]!r}, then {other[:60]!r}"
        return "one has more steps"
    for one, other in zip(constants(first), constants(second), strict=True):
        if not np.array_equal(np.asarray(one), np.asarray(other)):
            return "an array in it has other numbers"
    return ""


RANDOMNESS = Law(
    name="randomness",
    statement="a game is a function of its arguments: all that is random comes from the key of "
    "init, or is an outcome of a ChanceGame",
    advice="no random, numpy.random, time, counters or globals that change; dice after the first "
    "position need ChanceGame",
    tests=(RulesTest(find=_random_keys, stops=True), RulesTest(find=_traces, stops=True)),
    in_python=InPython(
        statement="a game is a function of its arguments: all that is random comes from rng, or "
        "is an outcome of a PythonChanceGame",
        advice="no random, time or counters, no order of a set, and no attribute of the game that "
        "changes; dice after the first position need PythonChanceGame",
    ),
)


def _same_answers(sample: Sample) -> Iterator[Finding]:
    """Compares every method by itself, compiled and not, with what the batch of matches gave."""
    some = sample.some
    # Uncompiled calls cost a second each in a large game: three positions will do.
    uncompiled = {0, len(some) // 2, len(some) - 1}
    for index, kept in enumerate(some):
        state = jax.tree.map(jnp.asarray, kept.state)
        calls: dict[str, tuple[tuple[Any, ...], Any]] = {
            method: ((state,), getattr(kept.before_facts, field))
            for method, field in _FIELDS.items()
        }
        if not isinstance(sample.game, ChanceGame):
            calls["step"] = ((state, jnp.int32(kept.action)), kept.after)
        for method, (arguments, wanted) in calls.items():
            ways = {"compiled for one state": sample.singles[method]}
            if index in uncompiled:
                ways["not compiled"] = getattr(sample.game, method)
            for how, function in ways.items():
                try:
                    found = function(*arguments)
                except Exception as error:
                    message = f"{method}, {how}, fails though a batch works: {brief(error)}"
                    yield Finding(message, kept.line)
                    continue
                if not equal(found, wanted):
                    yield Finding(
                        f"{method} of one state, {how}, is {shortened(found)}, but in a batch "
                        f"{shortened(wanted)}",
                        kept.line,
                    )


JIT = Law(
    name="jit",
    statement="every method returns the same compiled, batched and called by itself",
    advice="no effects, no Python state, no callbacks that depend on how they are called",
    tests=(SampleTest(find=_same_answers),),
)


def _fingerprints(game: Game[Any], measures: Mapping[str, Any], played: RandomMatches) -> str:
    if "fingerprint" in measures and measures["fingerprint"] != fingerprint(game):
        return "two fingerprints in a row differ"
    return ""


FINGERPRINT = Law(
    name="fingerprint",
    statement="the same rules have the same fingerprint every time",
    advice="look for randomness that does not come from the key",
    tests=(MeasuresTest(find=_fingerprints),),
)

LAWS = (RANDOMNESS, JIT, FINGERPRINT)
