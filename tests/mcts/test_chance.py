"""Search in games of chance: exact expectations, fair dice, honest counts."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Bool, Float32, Int32
from scipy import stats

from selfplay.check.solved.small_games import Coins, CoinsState
from selfplay.game import ChanceGame, Position, is_over
from selfplay.host_call import call_host, enrol
from selfplay.mcts import (
    Evaluation,
    SearchResult,
    random_playout_evaluator,
    uniform_evaluator,
)
from selfplay.mcts.chance import _next_outcome
from selfplay.mcts.chance_tree import expectation
from selfplay.settings.sections import SearchConfig
from tests.dice import Expectimax, Storm, StormState
from tests.mcts.helpers import compiled, opinion, opinionated_evaluator, random_positions, stacked

ALGORITHMS = ("gumbel", "puct", "uct")
# Results lie near each other, and all actions look alike: see `coins_problems`.
GENTLE: dict[str, Any] = {"rescale_values": False, "value_scale": 0.02}


class Solved:
    """All positions of a game of `Storm` with the exact value of each action."""

    def __init__(self, game: Storm) -> None:
        self.game = game
        expectimax = Expectimax(game)
        positions: list[Position[Any]] = []
        self.exact: list[dict[int, float]] = []
        for stones in range(1, game.stones + 1):
            for die in (1, 2, 3):
                for player in (0, 1):
                    position = position_of(game, stones, die, player)
                    if not is_over(game, position):
                        positions.append(position)
                        self.exact.append(expectimax.action_values(position))
        self.positions = stacked(positions)

    def of(self, stones: int, die: int, player: int) -> dict[int, float]:
        """Returns the action values of one position."""
        state = self.positions.state
        same = (state.stones == stones) & (state.die == die) & (state.player == player)
        return self.exact[int(jnp.argmax(same))]


def position_of(game: Storm, stones: int, die: int, player: int) -> Position[Any]:
    """Returns a position in which one stone was taken at every ply before."""
    state = StormState(
        stones=jnp.int8(stones),
        die=jnp.int8(die),
        player=jnp.int8(player),
        last=jnp.int8(1 - player),
    )
    return Position(state=state, ply=jnp.int32(game.stones - stones))


@pytest.fixture(scope="module")
def whole() -> Solved:
    """A short game that is never cut, so that values do not depend on the ply."""
    return Solved(Storm(stones=5))


@pytest.fixture(scope="module")
def cut() -> Solved:
    """A game that is cut and scored after five plies."""
    return Solved(Storm(stones=6, max_plies=5))


def test_expectimax_on_positions_worked_out_by_hand(whole: Solved, cut: Solved) -> None:
    # The last stone wins, whatever the die.
    assert whole.of(1, 3, 0) == {0: 1.0, 2: 1.0}
    # Two stones, a two: take both and win. Take one, and the other player has the last one, or a
    # quarter in a storm; keep the die, and there is no storm.
    assert whole.of(2, 2, 1) == {
        0: pytest.approx(-0.9 - 0.1 * 0.25),
        1: pytest.approx(1.0),
        2: pytest.approx(-1.0),
    }
    # Three stones, a two: take both and move again; the last one is there unless a storm comes.
    assert whole.of(3, 2, 0)[1] == pytest.approx(0.9 + 0.1 * 0.25)
    # Two stones left at the last ply before the cut: player 0 has a tenth, player 1 loses it.
    assert cut.of(2, 1, 1) == {0: pytest.approx(-0.1), 2: pytest.approx(-0.1)}
    assert cut.of(2, 1, 0) == {0: pytest.approx(0.1), 2: pytest.approx(0.1)}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_action_values_are_exact_expectations_above_exact_values(
    algorithm: str, whole: Solved
) -> None:
    """True probabilities and the signs of repeat movers and storms, to five digits."""
    values = np.full((6, 5, 2), 99.0, np.float32)
    state = whole.positions.state
    for row, exact in enumerate(whole.exact):
        place = int(state.stones[row]), int(state.die[row]), int(state.player[row])
        values[place] = max(exact.values())
    table = jnp.asarray(values)

    def evaluate(params: Any, states: Any, *, key: jax.Array) -> Evaluation:
        del params, key
        value = table[states.stones, states.die, states.player]
        # Of ended matches it says what is most harmful: 99, and huge logits.
        logits = jnp.where(value[:, None] > 1, 1e9, jnp.zeros((1, 3)))
        return Evaluation(policy_logits=logits, value=value)

    config = SearchConfig(
        algorithm=algorithm, num_simulations=160, max_depth=1, puct_constant=4.0
    ).for_matches()
    found = compiled(whole.game, evaluate, config)((), whole.positions, 0)
    for row, exact in enumerate(whole.exact):
        for action, value in exact.items():
            # After 24 visits every outcome has come up.
            if found.visits[row, action] >= 24:
                assert found.qvalues[row, action] == pytest.approx(value, abs=1e-5)
        played = int(found.actions[row])
        assert found.visits[row, played] >= 24
        assert exact[played] > max(exact.values()) - (1e-5 if algorithm == "gumbel" else 0.1)
        assert found.visits[row].sum() == 160


def test_a_cut_match_is_scored_without_another_roll(cut: Solved) -> None:
    last = np.flatnonzero(np.asarray(cut.positions.ply) == cut.game.max_plies - 1)
    positions = jax.tree.map(lambda leaf: leaf[last], cut.positions)
    config = SearchConfig(algorithm="uct", num_simulations=9).for_matches()
    found = compiled(cut.game, uniform_evaluator(cut.game), config)((), positions, 0)
    for index, row in enumerate(last):
        for action, value in cut.exact[row].items():
            assert found.qvalues[index, action] == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("algorithm", "make_evaluator"),
    [
        ("gumbel", uniform_evaluator),
        ("puct", uniform_evaluator),
        ("uct", random_playout_evaluator),
    ],
)
def test_values_converge_to_expectimax(algorithm: str, make_evaluator: Any, cut: Solved) -> None:
    config = SearchConfig(algorithm=algorithm, num_simulations=1500, **GENTLE).for_matches()
    found = compiled(cut.game, make_evaluator(cut.game), config)((), cut.positions, 1)
    best = np.array([max(exact.values()) for exact in cut.exact])
    played = np.array([e[int(a)] for e, a in zip(cut.exact, found.actions, strict=True)])
    assert np.abs(found.value - best).mean() < 0.05
    assert np.abs(found.value - best).max() < 0.25
    # What is played is the best move, or all but as good.
    assert (best - played).max() < 0.12
    assert (best - played).mean() < 0.01
    # There was something to choose.
    assert (best - np.array([min(exact.values()) for exact in cut.exact])).mean() > 0.2


class Dull(ChanceGame[CoinsState]):
    """A game without chance, written as one with it."""

    name = "dull"
    num_outcomes = 3

    def __init__(self, inner: Coins) -> None:
        self.inner = inner
        self.num_actions, self.max_plies = inner.num_actions, inner.max_plies
        self.init, self.step = inner.init, inner.step  # type: ignore[method-assign]
        self.current_player = inner.current_player  # type: ignore[method-assign]
        self.legal_action_mask = inner.legal_action_mask  # type: ignore[method-assign]
        self.is_terminal, self.returns = inner.is_terminal, inner.returns  # type: ignore[method-assign]
        self.observe = inner.observe  # type: ignore[method-assign]

    def is_chance(self, state: CoinsState) -> Bool[Array, ""]:
        return jnp.bool_(False)

    def chance_probabilities(self, state: CoinsState) -> Float32[Array, "3"]:
        return jnp.full(3, jnp.nan)

    def resolve(self, state: CoinsState, outcome: Int32[Array, ""]) -> CoinsState:
        return jax.tree.map(lambda leaf: leaf * 0 - 7, state)


@pytest.mark.parametrize(
    "algorithm",
    [pytest.param(name, marks=() if name == "gumbel" else pytest.mark.slow) for name in ALGORITHMS],
)
def test_without_chance_it_is_the_search_of_mctx(algorithm: str) -> None:
    """The same visits, values and moves, ended and cut matches and repeat movers included."""
    inner = Coins(coins=(3, 8, 2, 7, 5, 4, 6, 1), max_plies=6)
    positions = random_positions(inner, 16, seed=2)
    config = SearchConfig(algorithm=algorithm, num_simulations=24).for_matches()
    results: list[SearchResult] = []
    dull: Any = Dull
    dull.__abstractmethods__ = frozenset()
    for game in (inner, dull(inner)):
        params = opinion(game, spread=1.0)
        search = compiled(game, opinionated_evaluator(game), config)
        results.append(search(params, positions, 3))
    plain, with_chance = results
    np.testing.assert_array_equal(plain.visits, with_chance.visits)
    np.testing.assert_array_equal(plain.actions, with_chance.actions)
    np.testing.assert_allclose(plain.qvalues, with_chance.qvalues, atol=1e-5)
    np.testing.assert_allclose(plain.value, with_chance.value, atol=1e-5)
    np.testing.assert_allclose(plain.policy, with_chance.policy, atol=1e-4)


def test_one_simulation_is_one_evaluation_and_none_is_of_an_afterstate(whole: Solved) -> None:
    seen: list[np.ndarray] = []

    def look(die: np.ndarray, ended: np.ndarray) -> list[np.ndarray]:
        seen.append(die[~ended])
        return []

    def evaluate(params: Any, states: Any, *, key: jax.Array) -> Evaluation:
        # Not a callback of JAX, whose programs are compiled anew each time.
        call_host(params, (), states.die, jax.vmap(whole.game.is_terminal)(states))
        return uniform_evaluator(whole.game)(params, states, key=key)

    config = SearchConfig(num_simulations=17).for_matches()
    found = compiled(whole.game, evaluate, config)(np.int32(enrol(look)), whole.positions, 0)
    jax.effects_barrier()
    assert len(seen) == 1 + 17
    assert set(np.concatenate(seen).tolist()) == {1, 2, 3}
    assert (found.visits.sum(axis=1) == 17).all()


def test_dice_are_fair_from_the_first_visit_and_even_after_many() -> None:
    probabilities = np.array([0.5, 0.0, 0.3, 0.15, 0.05], np.float32)
    offsets = jax.random.bits(jax.random.key(0), (4000,), jnp.uint32)
    visits = jnp.arange(100, dtype=jnp.int32)
    drawn = np.asarray(
        jax.jit(
            jax.vmap(
                lambda offset: jax.vmap(
                    lambda n: _next_outcome(jnp.asarray(probabilities), offset, n)
                )(visits)
            )
        )(offsets)
    )
    possible = [0, 2, 3, 4]
    for visit in (0, 1, 7, 99):
        counts = np.bincount(drawn[:, visit], minlength=5)
        assert counts[1] == 0
        wanted = probabilities[possible] * len(drawn)
        assert stats.chisquare(counts[possible], wanted).pvalue > 1e-4
    # In a row they are far more even than independent draws, whose deviation would be about 5.
    counts = np.stack([np.bincount(row, minlength=5) for row in drawn])
    assert np.abs(counts - 100 * probabilities).max() <= 3


def test_an_expectation_is_a_sample_at_first_and_exact_in_the_end() -> None:
    probabilities = jnp.array([0.5, 0.3, 0.2])
    values = jnp.array([1.0, -1.0, 0.5])

    def expected(*visits: int) -> float:
        return float(expectation(probabilities, jnp.array(visits, jnp.int32), values))

    assert expected(0, 1, 0) == pytest.approx(-1.0)
    assert expected(1, 1, 0) == pytest.approx(0.5 - 0.3 + 0.2 * (1 - 1) / 2)
    assert expected(9, 1, 4) == pytest.approx(0.5 - 0.3 + 0.1)


def test_the_same_key_gives_the_same_search(whole: Solved) -> None:
    config = SearchConfig(num_simulations=8)
    search = compiled(whole.game, random_playout_evaluator(whole.game), config)
    first, again, other = (search((), whole.positions, seed) for seed in (5, 5, 6))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert (first.value != other.value).any()
