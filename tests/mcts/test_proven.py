"""Proven results: bounds that are never wrong, and what follows from them."""

import dataclasses
import functools
import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.check import BruteForce
from selfplay.check.solved.known_answers import connect_four_problems, replay
from selfplay.errors import ConfigError
from selfplay.game import Game, Position
from selfplay.mcts import SearchResult, uniform_evaluator
from selfplay.mcts.compact_tree import CompactTree, describe_compact_tree
from selfplay.registry import make
from selfplay.settings.sections import SearchConfig
from tests.mcts.helpers import (
    compiled,
    first_positions,
    opinion,
    opinionated_evaluator,
    random_positions,
    stacked,
)
from tests.mcts.random_trees import Place, RandomTree, exact_values

# The module: the package shows the function of the same name.
SEARCH = importlib.import_module("selfplay.mcts.search")
TREES = RandomTree()
BATCH = 256


@pytest.fixture(scope="module")
def roots() -> Position[Any]:
    return first_positions(TREES, BATCH, seed=11)


@pytest.fixture(scope="module")
def exact(roots: Position[Any]) -> np.ndarray:
    return exact_values(TREES, roots)


def grown(
    game: Game[Any], positions: Position[Any], config: SearchConfig
) -> tuple[SearchResult, CompactTree]:
    """Returns what a search with an evaluator full of wrong opinions finds, and its tree."""
    evaluate = opinionated_evaluator(game)
    run = jax.jit(functools.partial(SEARCH._search, game, evaluate, config=config))
    return jax.device_get(run(opinion(game, spread=1.0), positions, key=jax.random.key(4)))


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"algorithm": "gumbel", "proven": "visited"}, marks=pytest.mark.slow),
        {"algorithm": "gumbel", "proven": "one-ply", "max_children": 2, "max_depth": 3},
        {"algorithm": "puct", "proven": "one-ply"},
        pytest.param(
            {"algorithm": "uct", "proven": "visited", "max_children": 2}, marks=pytest.mark.slow
        ),
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_nothing_false_is_ever_proven(
    settings: dict[str, Any], roots: Position[Any], exact: np.ndarray
) -> None:
    config = SearchConfig(num_simulations=24, sampling_plies=0, **settings)
    found, tree = grown(TREES, roots, config)
    numbers = tree.positions.state.node
    used = tree.visits > 0
    values = np.take_along_axis(exact, numbers, axis=1)
    # An ended match is worth nothing: its result is the reward of the way there.
    values = np.where(tree.over, 0, values)
    assert (tree.bounds.lower <= values)[used].all()
    assert (values <= tree.bounds.upper)[used].all()
    assert (tree.values >= tree.bounds.lower)[used].all()
    assert (tree.values <= tree.bounds.upper)[used].all()
    undecided_before = tree.bounds.lower < tree.bounds.upper
    assert (used & undecided_before).any() and (used & ~undecided_before & ~tree.over).any()

    proven = found.proven
    assert proven.sum() > BATCH // 8
    np.testing.assert_array_equal(found.value[proven], exact[proven, 0])
    # No policy and no move but the best ones.
    legal = np.asarray(jax.vmap(TREES.legal_action_mask)(roots.state))
    best = legal & (of_children(roots, exact) == exact[:, :1])
    assert (found.policy[proven] * ~best[proven] == 0).all()
    np.testing.assert_allclose(found.policy.sum(axis=1), 1, atol=1e-5)
    assert best[proven, found.actions[proven]].all()
    assert legal[np.arange(BATCH), found.actions].all()


def of_children(roots: Position[Any], exact: np.ndarray) -> np.ndarray:
    """Returns the values of the roots' children [B, 3], for the player to move at the root."""

    def mover(seed: Any, node: Any) -> Any:
        return TREES.current_player(Place(seed=seed, node=node))

    nodes = jnp.arange(4, dtype=jnp.int32)
    movers = np.asarray(jax.vmap(jax.vmap(mover, (None, 0)), (0, None))(roots.state.seed, nodes))
    return np.where(movers[:, 1:] == movers[:, :1], exact[:, 1:4], -exact[:, 1:4])


def test_more_simulations_prove_everything(roots: Position[Any], exact: np.ndarray) -> None:
    """The loop ends when the last root is decided: a tree of 121 nodes needs no more."""
    config = SearchConfig(num_simulations=200, proven="visited")
    found, tree = grown(TREES, roots, config)
    assert found.proven.all()
    np.testing.assert_array_equal(found.value, exact[:, 0])
    assert (found.visits.sum(axis=1) < 121).all()
    assert (tree.visits[:, 130:] == 0).all()
    # What is shown of the trees: every node behind its parent, and what each root action got.
    shown = describe_compact_tree(jax.tree.map(jnp.asarray, tree))
    below = np.asarray(shown.visits) > 0
    below[:, 0] = False
    assert (np.asarray(shown.parents) < np.arange(201))[below].all()
    visits = np.zeros((BATCH, 3), int)
    rows, nodes = np.nonzero(below & (np.asarray(shown.parents) == 0))
    visits[rows, np.asarray(shown.actions)[rows, nodes]] += np.asarray(shown.visits)[rows, nodes]
    np.testing.assert_array_equal(visits, found.visits)


# ------------------------------------------------------------------- whole and bundled games


def plain_and_proven(
    game: Game[Any], positions: Position[Any], simulations: int
) -> tuple[SearchResult, SearchResult]:
    """Returns what two searches find that know nothing but the rules."""
    plain = SearchConfig(num_simulations=simulations).for_matches()
    kinds = (plain, dataclasses.replace(plain, proven="one-ply"))
    found = [compiled(game, uniform_evaluator(game), one)((), positions, 0) for one in kinds]
    return found[0], found[1]


def check_answers(
    plain: SearchResult,
    proven: SearchResult,
    values: np.ndarray,
    best: np.ndarray,
    *,
    least: float,
) -> None:
    """Fails unless the proven search is exact where it says so, and that is often enough.

    Args:
        plain: what the plain search found.
        proven: what the proven search found.
        values: the exact ones of the positions.
        best: which actions keep them, [B, A].
        least: share of positions that must be proven.
    """
    rows = np.arange(len(values))
    assert not plain.proven.any()
    assert proven.proven.mean() >= least
    np.testing.assert_array_equal(proven.value[proven.proven], values[proven.proven])
    assert best[rows, proven.actions][proven.proven].all()
    assert (proven.policy * ~best)[proven.proven].max() == 0
    # Without the bounds the values are estimates.
    assert (np.abs(plain.value - values)[proven.proven] > 0.01).any()
    right = [best[rows, found.actions].mean() for found in (plain, proven)]
    assert right[1] >= right[0]


@pytest.mark.slow
def test_all_positions_of_tic_tac_toe() -> None:
    game = make("tic_tac_toe")
    values: dict[tuple[int, ...], int] = {}
    best: dict[tuple[int, ...], list[int]] = {}

    def lines(cells: tuple[int, ...]) -> bool:
        rows = [cells[i : i + 3] for i in (0, 3, 6)] + [cells[i::3] for i in range(3)]
        return any(one[0] >= 0 and len(set(one)) == 1 for one in [*rows, cells[::4], cells[2:7:2]])

    def solve(cells: tuple[int, ...], player: int) -> int:
        """Returns the result for the player to move."""
        if lines(cells):
            return -1
        if -1 not in cells:
            return 0
        if cells not in values:
            results = {
                action: -solve((*cells[:action], player, *cells[action + 1 :]), 1 - player)
                for action in range(9)
                if cells[action] < 0
            }
            values[cells] = max(results.values())
            best[cells] = [action for action, result in results.items() if result == values[cells]]
        return values[cells]

    solve((-1,) * 9, 0)
    assert len(values) == 4520
    cells = np.array(list(values), np.int8)
    plies = (cells >= 0).sum(axis=1)
    first = jax.tree.map(lambda leaf: leaf[0], first_positions(game, 1).state)

    def position(cells: jax.Array, ply: jax.Array) -> Position[Any]:
        player = (ply % 2).astype(jnp.int8)
        return Position(state=dataclasses.replace(first, cells=cells, player=player), ply=ply)

    positions: Position[Any] = jax.vmap(position)(
        jnp.int8(cells.reshape(-1, 3, 3)), jnp.int32(plies)
    )
    good = np.zeros((len(cells), 9), bool)
    for row, actions in enumerate(best.values()):
        good[row, actions] = True
    plain, proven = plain_and_proven(game, positions, 24)
    check_answers(plain, proven, np.array(list(values.values())), good, least=0.6)
    # Up to four cells are empty, and all that follows fits into the tree.
    assert proven.proven[plies >= 6].all()


@pytest.mark.slow
def test_connect_four() -> None:
    problems = connect_four_problems()
    positions = stacked([replay(problems.game, one.moves) for one in problems.problems])
    good = np.zeros((len(problems.problems), problems.game.num_actions), bool)
    for row, problem in enumerate(problems.problems):
        good[row, list(problem.good)] = True
    values = np.array([problem.value for problem in problems.problems])
    plain, proven = plain_and_proven(problems.game, positions, 128)
    check_answers(plain, proven, values, good, least=0.2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "latest", "least"),
    [
        # With forced passes.
        ("othello", {"size": 4}, 8, 0.5),
        ("breakthrough", {"rows": 5, "columns": 2}, 8, 0.5),
    ],
)
def test_endings(name: str, options: dict[str, int], latest: int, least: float) -> None:
    game = make(name, **options)
    some = random_positions(game, 400, seed=3)
    late = np.flatnonzero(np.asarray(some.ply) >= latest)[:24]
    assert len(late) == 24
    positions = jax.tree.map(lambda leaf: leaf[late], some)
    brute_force = BruteForce(game)
    values = np.zeros(24)
    good = np.zeros((24, game.num_actions), bool)
    for row in range(24):
        results = brute_force.action_values(jax.tree.map(lambda leaf, at=row: leaf[at], positions))
        values[row] = max(results.values())
        good[row, [action for action, one in results.items() if one == values[row]]] = True
    plain, proven = plain_and_proven(game, positions, 48)
    check_answers(plain, proven, values, good, least=least)


@pytest.mark.slow
def test_an_open_four_is_lost_whatever_is_played() -> None:
    game = make("gomoku", size=7)
    row = 7 * 3
    # The first player has four in a row with both ends free, the other one nothing.
    moves = (row + 1, 0, row + 2, 6, row + 3, 42, row + 4)
    after = stacked([replay(game, moves)] * 2)
    plain, proven = plain_and_proven(game, after, 56)
    assert proven.proven.all()
    np.testing.assert_array_equal(proven.value, -1)
    assert (plain.value > -0.9).all()
    # All lose, so the policy says nothing, but it is one.
    legal = np.asarray(jax.vmap(game.legal_action_mask)(after.state))
    np.testing.assert_array_equal(proven.policy > 0, legal)


def test_rules_in_plain_python_are_looked_ahead_in_too() -> None:
    game = make("clobber", rows=3, columns=2)
    config = SearchConfig(num_simulations=48, proven="one-ply").for_matches()
    positions = first_positions(game, 2)
    found = compiled(game, uniform_evaluator(game), config)((), positions, 0)
    values = BruteForce(game).action_values(jax.tree.map(lambda leaf: leaf[0], positions))
    assert found.proven.all()
    assert set(found.value) == {max(values.values())}
    assert {values[action] for action in found.actions.tolist()} == {max(values.values())}


# ----------------------------------------------------------- where nothing can be proven yet


@pytest.mark.parametrize("algorithm", ["gumbel", pytest.param("puct", marks=pytest.mark.slow)])
def test_far_from_any_end_it_is_the_search_of_mctx(algorithm: str) -> None:
    game = make("connect_four")
    positions = first_positions(game, 32)
    plain = SearchConfig(algorithm=algorithm, num_simulations=12)
    kinds = (dataclasses.replace(plain, tree="mctx"), dataclasses.replace(plain, proven="one-ply"))
    evaluate, params = opinionated_evaluator(game), opinion(game, spread=1.0)
    one, other = (compiled(game, evaluate, kind)(params, positions, 5) for kind in kinds)
    np.testing.assert_array_equal(one.visits, other.visits)
    np.testing.assert_array_equal(one.actions, other.actions)
    np.testing.assert_allclose(one.policy, other.policy, atol=1e-5)
    np.testing.assert_allclose(one.value, other.value, atol=1e-5)
    assert not other.proven.any()


def test_a_row_does_not_depend_on_the_others() -> None:
    """Rows that are decided early wait for the others and change no more."""
    board = make("connect_four", rows=4, columns=5)
    config = SearchConfig(num_simulations=24, proven="visited").for_matches()
    search = compiled(board, opinionated_evaluator(board), config)
    positions, params = random_positions(board, 256, seed=1), opinion(board, spread=1.0)
    order = np.random.default_rng(0).permutation(256)
    here = search(params, positions, 0)
    there = search(params, jax.tree.map(lambda leaf: leaf[order], positions), 0)
    np.testing.assert_array_equal(here.proven[order], there.proven)
    np.testing.assert_allclose(here.value[order], there.value, atol=1e-4)
    np.testing.assert_allclose(here.policy[order], there.policy, atol=1e-3)
    assert 0 < there.proven.sum() < 256
    assert (there.visits.sum(axis=1)[~there.proven] == 24).all()


def test_games_of_chance_are_searched_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **keywords: object) -> None:
        raise AssertionError("a compact tree")

    monkeypatch.setattr(SEARCH, "compact_search", refuse)
    config = SearchConfig(num_simulations=2, proven="one-ply", max_children=2)

    def trace(name: str) -> SearchResult:
        game = make(name)
        search = functools.partial(SEARCH.search, game, uniform_evaluator(game), config=config)
        return jax.eval_shape(search, (), first_positions(game, 2), key=jax.random.key(0))

    assert trace("einstein_wuerfelt_nicht").proven.shape == (2,)
    with pytest.raises(AssertionError, match="a compact tree"):
        trace("tic_tac_toe")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"proven": "yes"}, r"^search\.proven is 'yes'"),
        ({"max_children": 1}, r"^search\.max_children is 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SearchConfig(**settings)
