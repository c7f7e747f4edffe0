"""The contract of games of chance: what `step`, `resolve` and a match make of each other."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float32
from scipy import stats

from selfplay.contract import fingerprint, validate
from selfplay.errors import GameContractError, IllegalActionError
from selfplay.game import (
    advance,
    draw_outcome,
    is_possible_outcome,
    outcome_probabilities,
    pick_outcome,
    start,
)
from selfplay.registry import make
from tests.dice import Storm, StormState

GAME = Storm(stones=6)


def position(stones: int, die: int, *, ply: int = 0) -> Any:
    state = StormState(
        stones=jnp.int8(stones), die=jnp.int8(die), player=jnp.int8(0), last=jnp.int8(1)
    )
    return dataclasses.replace(start(GAME, jax.random.key(0)), state=state, ply=jnp.int32(ply))


def test_an_outcome_follows_only_where_chance_does() -> None:
    one, die, kept = jnp.int32(0), jnp.int32(1), jnp.int32(2)
    before = position(4, 2)
    rolled = advance(GAME, before, one, jnp.int32(2))
    assert int(rolled.position.state.die) == 3 and float(rolled.discount) == -1
    # A kept die stays as it lies, whatever is said of an outcome.
    assert int(advance(GAME, before, kept, jnp.int32(-1)).position.state.die) == 2
    assert int(advance(GAME, before, kept, jnp.int32(3)).position.state.die) == 2
    # The same player moves again.
    assert float(advance(GAME, before, die, jnp.int32(0)).discount) == 1
    # A storm ends the match for the player to move, who is not the one who moved.
    storm = advance(GAME, before, one, jnp.int32(3))
    assert bool(storm.over) and float(storm.reward) == -0.25 and float(storm.discount) == 0
    # The last stone, or the last ply, ends it before any roll.
    assert int(advance(GAME, position(1, 1), one, jnp.int32(3)).position.state.die) == 0
    cut = advance(GAME, position(4, 2, ply=5), one, jnp.int32(3))
    assert bool(cut.over) and int(cut.position.state.die) == 0
    assert float(cut.reward) == pytest.approx(0.1)
    with pytest.raises(GameContractError, match=r"^storm is a game of chance, but no outcome"):
        advance(GAME, before, one)


def test_possible_outcomes() -> None:
    one, kept = jnp.int32(0), jnp.int32(2)

    def possible(before: Any, action: Any) -> list[int]:
        return [
            outcome
            for outcome in range(-2, 7)
            if is_possible_outcome(GAME, before, action, jnp.int32(outcome))
        ]

    assert possible(position(6, 2), one) == [0, 1, 2, 3]
    assert possible(position(3, 2), one) == [0, 1, 3]
    assert possible(position(6, 2), kept) == possible(position(1, 1), one) == [-1]
    assert outcome_probabilities(GAME, position(6, 2), kept).tolist() == [0, 0, 0, 0]
    plain = make("tic_tac_toe")
    first = start(plain, jax.random.key(0))
    assert int(draw_outcome(plain, first, one, key=jax.random.key(0))) == -1
    assert bool(is_possible_outcome(plain, first, one, jnp.int32(-1)))
    assert not is_possible_outcome(plain, first, one, jnp.int32(0))


def test_outcomes_are_drawn_with_their_probabilities() -> None:
    keys = jax.random.split(jax.random.key(1), 4000)
    before = position(3, 1)
    drawn = jax.jit(jax.vmap(lambda key: draw_outcome(GAME, before, jnp.int32(0), key=key)))(keys)
    counts = np.bincount(np.asarray(drawn), minlength=4)
    assert counts[2] == 0
    assert stats.chisquare(counts[[0, 1, 3]], [2400, 1200, 400]).pvalue > 1e-4


def test_what_cannot_happen_is_never_picked() -> None:
    probabilities = jnp.array([0.0, 0.7, 0.0, 0.3, 0.0], jnp.float32)
    for share, wanted in ((0.0, 1), (0.69, 1), (0.71, 3), (1 - 2**-24, 3), (1.0, 3)):
        assert int(pick_outcome(probabilities, jnp.float32(share))) == wanted
    assert int(pick_outcome(jnp.zeros(3), jnp.float32(0.5))) == -1


def test_names_of_outcomes() -> None:
    few = GAME.step(position(3, 1).state, jnp.int32(0))
    assert GAME.string_to_outcome(few, " Storm ") == 3
    with pytest.raises(IllegalActionError, match="'three' cannot come up here") as caught:
        GAME.string_to_outcome(few, "three")
    assert caught.value.hint == "possible outcomes: one two storm"


class _Sums(Storm):
    def chance_probabilities(self, state: StormState) -> Float32[Array, "4"]:
        return jnp.array([0.5, 0.3, 0.2, 0.1], jnp.float32)


class _Negative(Storm):
    def chance_probabilities(self, state: StormState) -> Float32[Array, "4"]:
        return jnp.array([0.5, 0.7, -0.2, 0.0], jnp.float32)


class _Shape(Storm):
    def chance_probabilities(self, state: StormState) -> Any:
        return jnp.full(5, 0.2)


class _Resolves(Storm):
    def resolve(self, state: StormState, outcome: Any) -> Any:
        return (state, outcome)


@pytest.mark.parametrize(
    ("game", "message"),
    [
        (_Sums(), r"storm: chance_probabilities is \[0.5.* must be numbers of at least 0 that sum"),
        (_Negative(), r"storm: chance_probabilities is .*-0.2.* after ply 0, but"),
        (_Shape(), r"storm: chance_probabilities\(\) returns float32\[5\], but must return"),
        (_Resolves(), r"storm: resolve\(\) returns tuple, but must return a state of the same"),
    ],
    ids=["sum", "negative", "shape", "structure"],
)
def test_a_breach_is_named(game: Storm, message: str) -> None:
    with pytest.raises(GameContractError, match=message):
        validate(game, "storm")


def test_a_good_one_passes_and_its_fingerprint_covers_chance() -> None:
    class Fairer(Storm):
        def chance_probabilities(self, state: StormState) -> Float32[Array, "4"]:
            many = jnp.array([0.44, 0.31, 0.15, 0.1], jnp.float32)
            few = jnp.array([0.6, 0.3, 0.0, 0.1], jnp.float32)
            return jnp.where(state.stones > 2, many, few)

    validate(GAME, "storm")
    assert fingerprint(Storm(stones=6)) == fingerprint(GAME)
    assert fingerprint(Fairer(stones=6)) != fingerprint(GAME)
