"""Dice in plain Python: exact expectations, the same search as the twin in JAX, records, play."""

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Key

from selfplay.adapters import HostedGame, failures, host
from selfplay.adapters.hosted import HostedChanceGame
from selfplay.adapters.tree import HostTree
from selfplay.arena import RandomAgent, play_matches
from selfplay.check import check_game
from selfplay.contract import fingerprint
from selfplay.errors import GameContractError, RecordError
from selfplay.game import ChanceGame, Position, Solution, outcome_probabilities, start
from selfplay.mcts import Evaluation, uniform_evaluator
from selfplay.play import play_text
from selfplay.records import MatchCollector, Provenance
from selfplay.registry import make
from selfplay.replay.rebuild import Rebuilder
from selfplay.rollout import SelfPlayer
from selfplay.settings.sections import RolloutConfig, SearchConfig
from tests.adapters.python_storm import Heap, PythonStorm, expected
from tests.dice import Storm, StormState
from tests.games.matches import play_randomly
from tests.mcts.helpers import compiled, stacked

STONES = 5


class Twin(Storm):
    """The rules in JAX, from the same first position."""

    def init(self, key: Key[Array, ""]) -> StormState:
        return StormState(
            stones=jnp.int8(self.stones), die=jnp.int8(2), player=jnp.int8(0), last=jnp.int8(1)
        )


@pytest.fixture(scope="module")
def game() -> HostedChanceGame:
    made = host(PythonStorm(stones=STONES))
    assert isinstance(made, ChanceGame)
    assert isinstance(made, HostedChanceGame)
    return made


@pytest.fixture(scope="module")
def twin() -> Twin:
    return Twin(stones=STONES)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    yield
    failures.take()


def test_random_matches_are_those_of_the_twin_in_jax(game: HostedGame, twin: Twin) -> None:
    number = 0
    for one, other in zip(play_randomly(game, 64), play_randomly(twin, 64), strict=True):
        number += 1
        live = ~one.over
        np.testing.assert_array_equal(one.over, other.over)
        np.testing.assert_array_equal(one.returns, other.returns)
        np.testing.assert_array_equal(one.player[live], other.player[live])
        np.testing.assert_array_equal(one.mask[live], other.mask[live])
        np.testing.assert_array_equal(one.observation[live], other.observation[live])
        np.testing.assert_array_equal(one.actions[live], other.actions[live])
    assert number > 3


def lines(game: ChanceGame[Any]) -> list[Position[Any]]:
    """Returns the first position and all after one ply of it."""
    begin = start(game, jax.random.key(0))
    found = [begin]
    for action in (0, 1, 2):
        after = game.step(begin.state, jnp.int32(action))
        if not bool(game.is_chance(after)):
            found.append(Position(state=after, ply=jnp.int32(1)))
            continue
        for outcome in range(3):
            state = game.resolve(after, jnp.int32(outcome))
            found.append(Position(state=state, ply=jnp.int32(1)))
    return found


def test_action_values_are_exact_expectations_above_exact_values(game: HostedChanceGame) -> None:
    """True probabilities, and the signs of repeat movers and storms, to five digits."""
    rules: Any = game.rules
    values = np.zeros((STONES + 1, 2, 4), np.float32)
    for stones, player, die in itertools.product(range(1, STONES + 1), (0, 1), (1, 2, 3)):
        values[stones, player, die] = max(expected(rules, (stones, die, player, 1)).values())
    table = jnp.asarray(values)

    def evaluate(params: Any, states: Any, *, key: jax.Array) -> Evaluation:
        del params, key
        seen = jax.vmap(game.observe)(states)
        stones, player = seen[:, 0].astype(jnp.int32), seen[:, 1].astype(jnp.int32)
        die = jnp.argmax(seen[:, 2:], axis=1) + 1
        value = table[stones, player, jnp.minimum(die, 3)]
        return Evaluation(policy_logits=jnp.zeros((len(value), 3)), value=value)

    positions = lines(game)
    config = SearchConfig(num_simulations=80, max_depth=1).for_matches()
    found = compiled(game, evaluate, config)((), stacked(positions), 0)
    compared = 0
    for row, position in enumerate(positions):
        exact = expected(rules, game.own_state(position.state))
        for action, value in exact.items():
            # After 24 visits every outcome has come up.
            if found.visits[row, action] >= 24:
                compared += 1
                assert found.qvalues[row, action] == pytest.approx(value, abs=1e-5)
        assert exact[int(found.actions[row])] > max(exact.values()) - 1e-5
    assert compared > 12


def test_the_search_is_that_of_the_twin(game: HostedChanceGame, twin: Twin) -> None:
    config = SearchConfig(num_simulations=24).for_matches()
    results = []
    for one in (game, twin):
        search = compiled(one, uniform_evaluator(one), config)
        results.append(search((), stacked(lines(one)), 4))
    found, other = results
    np.testing.assert_array_equal(found.visits, other.visits)
    np.testing.assert_array_equal(found.actions, other.actions)
    np.testing.assert_allclose(found.qvalues, other.qvalues, atol=1e-6)
    assert np.abs(found.qvalues).max() > 0.1


def test_probabilities_are_the_true_ones(game: HostedChanceGame) -> None:
    begin = start(game, jax.random.key(0))
    likely = jax.vmap(lambda action: outcome_probabilities(game, begin, action))(jnp.arange(3))
    # Take one, take two: the die is rolled, loaded in its two ways... and kept: nothing is drawn.
    np.testing.assert_allclose(likely[0], (0.45, 0.3, 0.15, 0.1), atol=1e-7)
    np.testing.assert_allclose(likely[1], (0.45, 0.3, 0.15, 0.1), atol=1e-7)
    assert not np.asarray(likely[2]).any()


def test_what_cannot_come_up_changes_nothing(game: HostedChanceGame) -> None:
    begin = game.init(jax.random.key(0))
    few = game.step(game.step(begin, jnp.int32(2)), jnp.int32(1))
    for state, outcomes in ((begin, (0, 3)), (game.step(few, jnp.int32(0)), (-1, 4))):
        for outcome in outcomes:
            same = game.resolve(state, jnp.int32(outcome))
            jax.tree.map(np.testing.assert_array_equal, state, same)
    # With two stones left a three does not come up.
    two = begin
    plies: tuple[tuple[int, int | None], ...] = ((0, 1), (1, None))
    for action, drawn in plies:
        two = game.step(two, jnp.int32(action))
        if drawn is not None:
            two = game.resolve(two, jnp.int32(drawn))
    assert game.own_state(two)[:2] == (2, 0)
    jax.tree.map(np.testing.assert_array_equal, two, game.resolve(two, jnp.int32(2)))
    assert game.own_state(game.resolve(two, jnp.int32(0)))[:2] == (2, 1)
    # An afterstate is nobody's move.
    jax.tree.map(np.testing.assert_array_equal, two, game.step(two, jnp.int32(0)))


def test_forgetting_changes_nothing() -> None:
    rules = PythonStorm(stones=9)
    small, large = HostTree(rules, capacity=4), HostTree(rules, capacity=1000)
    draw = random.Random(1)
    for _ in range(200):
        moves = (0, b"")
        while not large.node(moves).terminal and draw.random() < 0.9:
            node = large.node(moves)
            if node.chance is None:
                entry = draw.choice(rules.legal_actions(node.state))  # type: ignore[arg-type]
            else:
                entry = draw.choice(np.flatnonzero(node.chance).tolist())
            moves = large.extend(moves, entry)
        assert small.node(moves).state == large.node(moves).state
        np.testing.assert_array_equal(small.observation(moves), large.observation(moves))


def test_self_play_records_the_outcomes_and_they_lead_back(game: HostedChanceGame) -> None:
    player = SelfPlayer(
        game,
        uniform_evaluator(game),
        SearchConfig(num_simulations=4, sampling_plies=3),
        RolloutConfig(matches_per_device=32, plies_per_chunk=8),
    )
    provenance = Provenance(
        game=game.name,
        version=1,
        fingerprint=fingerprint(game),
        worker="w",
        settings_hash="s",
        simulations=4,
    )
    collector = MatchCollector(provenance, player.num_matches)
    matches = player.start(key=jax.random.key(0))
    records = []
    for number in range(4):
        matches, plies = player.play((), matches, key=jax.random.key(1 + number))
        records += collector.add(jax.device_get(plies), checkpoint=0, sequence=number)
    outcomes = np.concatenate([match.outcomes for match in records])
    assert len(records) > 100 and set(outcomes.tolist()) == {-1, 0, 1, 2, 3}
    rebuild = Rebuilder(game)
    positions = rebuild(records)
    assert len(jax.tree.leaves(positions.states)[0]) == len(outcomes)
    # The first action that rolls does so with the die for many stones.
    first = np.array([match.outcomes[0] for match in records])
    shares = np.bincount(first[first >= 0], minlength=4) / (first >= 0).sum()
    assert np.abs(shares - (0.45, 0.3, 0.15, 0.1)).max() < 0.15
    wrong = records[0].outcomes.copy()
    wrong[0] = -1 if wrong[0] >= 0 else 0
    changed = dataclasses.replace(records[0], outcomes=wrong)
    with pytest.raises(RecordError, match=r"chance outcome -?\d+ at ply 0 is not possible"):
        rebuild([changed])


def test_matches_of_a_pair_have_common_dice(game: HostedGame) -> None:
    agents = RandomAgent(game, name="a"), RandomAgent(game, name="b")
    table = play_matches(game, *agents, num_matches=20, opening_plies=1, seed=3)
    compared = 0
    for first, second in zip(table.matches[::2], table.matches[1::2], strict=True):
        assert (first.actions[0], first.outcomes[0]) == (second.actions[0], second.outcomes[0])
        compared += first.outcomes[0] >= 0
    assert compared > 3


def test_a_person_can_play_and_write_down_the_rolls(game: HostedGame) -> None:
    match = play_text(game, "0 roll:two 1 roll:#0 2")
    assert match.actions == [0, 1, 2] and match.outcomes == [1, 0, -1]
    assert match.outcome_name(0) == "two"
    assert game.own_state(match.position.state) == (1, 1, 0, 1)


def test_no_false_alarm(game: HostedGame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfplay.check.plain.report._READ_MATCHES", 128)
    report = check_game(game, matches=16)
    assert report.ok, [str(fault) for fault in report.faults]


def test_random_starts_and_solvers_are_kept() -> None:
    class Rolled(PythonStorm):
        def initial_state(self, rng: random.Random) -> Heap:
            return self.stones, rng.choice((1, 2, 3)), 0, 1

        def solve(self, state: Heap) -> Solution:
            values = expected(self, state)
            best = max(values.values())
            return Solution(value=best, actions=[a for a, v in values.items() if v == best])

    rolled = host(Rolled(stones=3))
    assert isinstance(rolled, ChanceGame)
    starts = jax.vmap(rolled.init)(jax.random.split(jax.random.key(0), 32))
    seen = np.asarray(jax.vmap(rolled.observe)(starts))[:, 2:].argmax(axis=1)
    assert set(seen.tolist()) == {0, 1, 2}
    solution = rolled.solve(rolled.init(jax.random.key(0)))
    assert solution is not None and 0.9 < solution.value <= 1


def test_it_is_found_in_a_file() -> None:
    path = Path(__file__).with_name("python_storm.py")
    found = make(f"{path}:PythonStorm", stones=4)
    assert isinstance(found, ChanceGame) and found.max_plies == 4
    assert fingerprint(found) != fingerprint(make(str(path), stones=5))


def changing(self: Any, state: list[int], outcome: int) -> list[int]:
    state[1] = outcome + 1
    return state


class Lists(PythonStorm):
    """The same with lists, which can be changed by mistake."""

    def initial_state(self, rng: random.Random) -> Any:
        return list(super().initial_state(rng))

    def apply(self, state: Any, action: int) -> Any:
        return list(super().apply(state, action))

    def resolve(self, state: Any, outcome: int) -> Any:
        return list(super().resolve(state, outcome))


NUMBERS = itertools.count()
BROKEN: list[tuple[dict[str, Any], str, str]] = [
    (
        {"chance_probabilities": lambda self, state: (0.5, 0.5, 0.5, 0.0)},
        r"chance_probabilities is \[0.5, 0.5, 0.5, 0.0\], but must be numbers of at least 0 that "
        "sum to 1",
        "after the moves",
    ),
    (
        {"chance_probabilities": lambda self, state: (1.5, -0.5, 0.0, 0.0)},
        "chance_probabilities is .* but must be numbers of at least 0 that sum to 1",
        "after the moves",
    ),
    (
        {"chance_probabilities": lambda self, state: [1.0]},
        r"chance_probabilities is \[1.0\], but must be 4 numbers, one for each outcome",
        "after the moves",
    ),
    (
        {"chance_probabilities": lambda self, state: "fair"},
        "chance_probabilities is 'fair', but must be 4 numbers, one for each outcome",
        "after the moves",
    ),
    ({"num_outcomes": 0}, "num_outcomes is 0, but must be an integer of at least 1", ""),
    (
        {"resolve": changing},
        r"resolve\(state, \d\) changes the state it was given: afterwards ",
        "after the moves",
    ),
    (
        {"resolve": lambda self, state, outcome: [next(NUMBERS) % 3 + 1, 1, 0, 0]},
        "resolve with the same arguments leads to states of which .* answers differently",
        "after the moves",
    ),
    (
        {"resolve": lambda self, state, outcome: state[9]},
        r"resolve\(state, \d\) fails: IndexError: list index out of range "
        r"\(test_python_chance.py, line \d+\)",
        "after the moves",
    ),
    (
        {"legal_actions": lambda self, state: [0] if state[0] == 5 else []},
        "legal_actions is empty, but the match is not over",
        "after the moves 0 roll:#",
    ),
]


@pytest.mark.parametrize(("methods", "message", "hint"), BROKEN)
def test_a_mistake_is_named_with_the_moves_that_show_it(
    methods: dict[str, Any], message: str, hint: str
) -> None:
    broken: Callable[..., Lists] = type("Broken", (Lists,), methods)
    with pytest.raises(GameContractError, match=f"python_storm: {message}") as caught:
        host(broken(stones=5))
    assert caught.value.hint.startswith(hint)
