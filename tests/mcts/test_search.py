"""The search end to end: legality, viewpoint, noise, sampling, bias, depth, determinism."""

import functools
import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from selfplay.arena.searcher import Searcher
from selfplay.check import BruteForce
from selfplay.check.solved.known_answers import replay
from selfplay.check.solved.small_games import Coins, Subtraction
from selfplay.errors import ConfigError
from selfplay.game import Game, Position, advance, is_over
from selfplay.mcts import (
    Evaluation,
    Evaluator,
    SearchResult,
    random_playout_evaluator,
    uniform_evaluator,
)
from selfplay.registry import make
from selfplay.settings.sections import SearchConfig
from tests.conftest import Compilations
from tests.mcts.helpers import (
    Search,
    compiled,
    compiled_with_tree,
    copies,
    first_positions,
    joined,
    opinion,
    opinionated_evaluator,
    random_positions,
    stacked,
)

SEARCH = importlib.import_module("selfplay.mcts.search")
ALGORITHMS = ("gumbel", "puct", "uct")
QUIET = {
    algorithm: SearchConfig(algorithm=algorithm, num_simulations=12).for_matches()
    for algorithm in ALGORITHMS
}
ROWS = 1024


@pytest.fixture(scope="module")
def board() -> Game[Any]:
    """A small Connect Four: 5 actions, columns fill up, a mirror symmetry."""
    return make("connect_four", rows=4, columns=5)


@pytest.fixture(scope="module")
def searches(board: Game[Any]) -> dict[str, Search]:
    """One compiled search for each algorithm, its evaluator set by params; used throughout."""
    evaluate = opinionated_evaluator(board)
    return {name: compiled(board, evaluate, config) for name, config in QUIET.items()}


@pytest.fixture(scope="module")
def positions(board: Game[Any]) -> Position[Any]:
    return random_positions(board, ROWS, seed=1)


# -------------------------------------------------------------- exact values, one ply deep


@pytest.fixture(scope="module")
def row_of_coins() -> dict[str, Any]:
    """Every position of a cut row of coins with exact values, and an evaluator that knows them.

    Of ended matches the evaluator says what is most harmful: a win, and huge logits.
    """
    game = Coins(coins=(3, 8, 2, 7, 5, 4, 6, 1), max_plies=6)
    brute_force = BruteForce(game)
    known: dict[tuple[int, ...], tuple[Position[Any], dict[int, float]]] = {}
    step = jax.jit(lambda position, action: advance(game, position, action))

    def visit(position: Position[Any]) -> None:
        state = position.state
        name = tuple(int(leaf) for leaf in jax.tree.leaves(state))
        if name in known:
            return
        known[name] = position, brute_force.action_values(position)
        for action in known[name][1]:
            after = step(position, jnp.int32(action))
            if not after.over:
                visit(after.position)

    visit(replay(game, ()))
    names = jnp.array(list(known), jnp.int32)
    values = jnp.array([max(exact.values()) for _, exact in known.values()], jnp.float32)

    def evaluate(params: Any, states: Any, *, key: jax.Array) -> Evaluation:
        leaves = jnp.stack([leaf.astype(jnp.int32) for leaf in jax.tree.leaves(states)], axis=-1)
        same = (leaves[:, None] == names[None]).all(axis=-1)
        found = same.any(axis=1)
        return Evaluation(
            policy_logits=jnp.where(found[:, None], 0.0, jnp.array([[1e9, -1e9]])),
            value=jnp.where(found, (same * values[None]).sum(axis=1), 1.0),
        )

    return {
        "game": game,
        "evaluate": evaluate,
        "positions": stacked([position for position, _ in known.values()]),
        "exact": [exact for _, exact in known.values()],
    }


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_action_values_are_exact_one_ply_above_exact_values(
    algorithm: str, row_of_coins: dict[str, Any]
) -> None:
    """The value signs of repeat movers, of cut matches and of ended ones, to the last digit."""
    config = SearchConfig(algorithm=algorithm, num_simulations=16, max_depth=1).for_matches()
    search = compiled(row_of_coins["game"], row_of_coins["evaluate"], config)
    found = search((), row_of_coins["positions"], 0)
    for row, exact in enumerate(row_of_coins["exact"]):
        for action, value in exact.items():
            assert found.visits[row, action] > 0
            assert found.qvalues[row, action] == pytest.approx(value, abs=1e-6)
        best = max(exact.values())
        # Visits may tie where values nearly do; what is clearly worse is never played.
        assert exact[int(found.actions[row])] > best - (1e-6 if algorithm == "gumbel" else 0.15)
        # The evaluator's value and the search's are for the player to move.
        assert found.raw_value[row] == pytest.approx(best, abs=1e-6)
        assert abs(found.value[row] - best) < 0.6 and found.value[row] < best + 1e-5
    assert len(row_of_coins["exact"]) > 30


# --------------------------------------------------------------------- legality (A2, B6)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("tic_tac_toe", marks=pytest.mark.slow),
        "connect_four",
        pytest.param("othello", marks=pytest.mark.slow),
    ],
)
def test_no_masked_action_in_ten_thousand_positions(name: str) -> None:
    """Huge logits on what is illegal, moves sampled: nothing illegal comes out (A2)."""
    options = {"othello": {"size": 4}, "connect_four": {"rows": 4, "columns": 5}}
    game = make(name, **options.get(name, {}))
    evaluate = opinionated_evaluator(game)

    def tempted(params: Any, states: Any, *, key: jax.Array) -> Evaluation:
        evaluation = evaluate(params, states, key=key)
        legal = jax.vmap(game.legal_action_mask)(states)
        return Evaluation(
            policy_logits=jnp.where(legal, evaluation.policy_logits, 1e6),
            value=evaluation.value,
        )

    count = 3400
    positions = random_positions(game, count, seed=2)
    legal = np.asarray(jax.vmap(game.legal_action_mask)(positions.state))
    assert (~legal).any()
    params = opinion(game, spread=1.0)
    # PUCT and UCT share their selection of legal actions; one of them for each game.
    other = "uct" if name == "tic_tac_toe" else "puct"
    for algorithm, simulations in (("gumbel", 4), (other, 4), ("gumbel", 0)):
        config = SearchConfig(algorithm=algorithm, num_simulations=simulations, temperature=3.0)
        found = compiled(game, tempted, config)(params, positions, 0)
        assert legal[np.arange(count), found.actions].all()
        for policy in (found.policy, found.raw_policy):
            np.testing.assert_array_equal(policy[~legal], 0)
            np.testing.assert_allclose(policy.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_array_equal(found.visits[~legal], 0)
        np.testing.assert_array_equal(found.visits.sum(axis=1), simulations)
        assert np.abs(found.value).max() <= 1 and np.abs(found.qvalues).max() <= 1


def test_sixteen_simulations_improve_a_random_policy() -> None:
    """B6: what is expected of the improved policy, by exact values, is above the prior's."""
    game = make("tic_tac_toe")
    everywhere = random_positions(game, 600, seed=3)
    late = np.flatnonzero((everywhere.ply >= 4) & (everywhere.ply <= 7))[:200]
    positions = jax.tree.map(lambda leaf: leaf[late], everywhere)
    brute_force = BruteForce(game)
    exact = np.zeros((len(late), 9))
    for row in range(len(late)):
        position = jax.tree.map(lambda leaf, row=row: leaf[row], positions)
        for action, value in brute_force.action_values(position).items():
            exact[row, action] = value
    config = SearchConfig(num_simulations=16, sampling_plies=0)

    def prior_only(params: Any, states: Any, *, key: jax.Array) -> Evaluation:
        evaluation = opinionated_evaluator(game)(params, states, key=key)
        return Evaluation(
            policy_logits=evaluation.policy_logits, value=jnp.zeros_like(evaluation.value)
        )

    found = compiled(game, prior_only, config)(opinion(game, spread=1.0), positions, 0)
    before, after = ((policy * exact).sum(1) for policy in (found.raw_policy, found.policy))
    matters = [len(set(brute)) > 1 for brute in exact.tolist()]
    gain = (after - before)[matters]
    assert len(gain) > 100
    assert gain.mean() > 0.2
    assert (gain < -0.05).mean() < 0.1
    played = exact[np.arange(len(late)), found.actions]
    assert played[matters].mean() > before[matters].mean() + 0.2


# --------------------------------------------------------------------- noise (B3, T1)


def test_root_noise_is_off_in_matches_and_never_in_the_raw_policy(board: Game[Any]) -> None:
    evaluate = opinionated_evaluator(board)
    noisy = SearchConfig(
        algorithm="puct", num_simulations=12, dirichlet_fraction=0.9, dirichlet_alpha=0.5,
        sampling_plies=0,
    )  # fmt: skip
    many = copies(replay(board, (2, 2)), 256)
    params = opinion(board, spread=1.0)
    found = compiled(board, evaluate, noisy)(params, many, 0)
    # The same noise is not drawn for two matches, and the opinion itself stays as it is.
    assert len(np.unique(found.visits, axis=0)) > 20
    logits = evaluate(params, many.state, key=jax.random.key(0)).policy_logits
    np.testing.assert_allclose(found.raw_policy, jax.nn.softmax(logits), rtol=1e-4)
    assert noisy.for_matches().dirichlet_fraction == 0
    assert noisy.for_matches().gumbel_scale == 0
    assert noisy.for_matches().sampling_plies == 0


def test_noise_is_added_to_legal_actions_only_inside_the_search(
    board: Game[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    most_visited = importlib.import_module("selfplay.mcts.most_visited")
    add = most_visited.add_dirichlet_noise

    def spy(logits: Any, legal: Any, **options: Any) -> Any:
        seen.append((legal, options["alpha"], options["fraction"]))
        return add(logits, legal, **options)

    monkeypatch.setattr(most_visited, "add_dirichlet_noise", spy)
    full = replay(board, (0, 0, 0, 0))
    for algorithm in ALGORITHMS:
        config = SearchConfig(
            algorithm=algorithm, num_simulations=2, dirichlet_fraction=1.0, dirichlet_alpha=7.0
        )
        jax.eval_shape(
            lambda key, config=config: SEARCH.search(
                board, uniform_evaluator(board), (), copies(full, 4), config, key=key
            ),
            jax.random.key(0),
        )
    # PUCT alone has it, once per search.
    assert [(alpha, fraction) for _, alpha, fraction in seen] == [(7.0, 1.0)]


# ----------------------------------------------------------------- sampling (B4, B5, B10)


@pytest.fixture(scope="module")
def raw_policy(board: Game[Any]) -> np.ndarray:
    """The policy behind the next three tests; the raw network is searched with 0 simulations."""
    return np.array([0.05, 0.4, 0.3, 0.05, 0.2])


def _chosen(board: Game[Any], policy: np.ndarray, ply: int, **settings: Any) -> np.ndarray:
    config = SearchConfig(num_simulations=0, **settings)
    many = copies(replay(board, tuple(range(ply))), 20_000)
    params = opinion(board, logits=np.log(policy))
    found = compiled(board, opinionated_evaluator(board), config)(params, many, 0)
    np.testing.assert_allclose(found.policy[0], policy, rtol=1e-5)
    return np.bincount(found.actions, minlength=5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_opening_moves_are_sampled_by_the_temperature(
    board: Game[Any], raw_policy: np.ndarray, temperature: float
) -> None:
    counts = _chosen(board, raw_policy, ply=1, sampling_plies=2, temperature=temperature)
    expected = raw_policy ** (1 / temperature)
    assert stats.chisquare(counts, 20_000 * expected / expected.sum()).pvalue > 1e-3


def test_after_the_opening_the_best_move_is_played(
    board: Game[Any], raw_policy: np.ndarray
) -> None:
    counts = _chosen(board, raw_policy, ply=2, sampling_plies=2, temperature=2.0)
    np.testing.assert_array_equal(counts, [0, 20_000, 0, 0, 0])


def test_only_the_actions_that_hold_the_share_are_sampled(
    board: Game[Any], raw_policy: np.ndarray
) -> None:
    counts = _chosen(board, raw_policy, ply=0, sampling_plies=1, sampling_share=0.6)
    np.testing.assert_array_equal(counts[[0, 3, 4]], 0)
    assert stats.chisquare(counts[1:3], 20_000 * np.array([4, 3]) / 7).pvalue > 1e-3


def _searched(board: Game[Any], **settings: Any) -> Any:
    config = SearchConfig(
        algorithm="puct", num_simulations=30, dirichlet_fraction=0.0, sampling_plies=3, **settings
    )
    params = opinion(board, logits=[1.5, 1.0, 0.7, 0.3, 0.0], value=0.3)
    return compiled(board, opinionated_evaluator(board), config)(
        params, copies(replay(board, (2, 2)), 2_000), 0
    )


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_what_a_search_visited_is_sampled_by_the_temperature(
    board: Game[Any], temperature: float
) -> None:
    found = _searched(board, temperature=temperature)
    visits = np.asarray(found.visits, np.float64)
    assert (np.count_nonzero(visits, axis=1) > 2).all()
    shares = visits ** (1 / temperature)
    # Searches that break ties otherwise have other visits.
    expected = (shares / shares.sum(axis=1, keepdims=True)).sum(axis=0)
    tried = expected > 0
    counts = np.bincount(found.actions, minlength=5)
    assert counts[~tried].sum() == 0
    assert stats.chisquare(counts[tried], expected[tried]).pvalue > 1e-3


def test_of_what_a_search_visited_only_the_share_is_sampled(board: Game[Any]) -> None:
    found = _searched(board, sampling_share=0.6)
    visits = np.asarray(found.visits)
    chosen = np.take_along_axis(visits, np.asarray(found.actions)[:, None], axis=1)
    # What was visited more often than the chosen action does not hold the share without it.
    above = np.where(visits > chosen, visits, 0).sum(axis=1)
    assert (above < 0.6 * visits.sum(axis=1)).all()
    assert len(np.unique(found.actions)) > 1


# ------------------------------------------------------------- options have effect (B2)


def _visits(board: Game[Any], **settings: Any) -> np.ndarray:
    config = SearchConfig(algorithm="puct", **settings).for_matches()
    params = opinion(board, logits=[3.0, 2.0, 1.0, 0.0, -1.0], value=0.3)
    search = compiled(board, opinionated_evaluator(board), config)
    return np.asarray(search(params, copies(replay(board, (2, 2)), 2), 0).visits[0])


def test_puct_options_change_the_search_as_theory_says(board: Game[Any]) -> None:
    settings = {"num_simulations": 40, "puct_constant": 1.25, "fpu_reduction": 0.0}
    usual = _visits(board, **settings)
    assert usual.sum() == 40
    assert _visits(board, **{**settings, "num_simulations": 24}).sum() == 24
    # A larger constant follows the prior more closely; the prior alone would be 63 % of visits.
    prior = np.exp([3.0, 2.0, 1.0, 0.0, -1.0]) / np.exp([3.0, 2.0, 1.0, 0.0, -1.0]).sum()
    explored = _visits(board, **{**settings, "puct_constant": 20.0})
    assert np.abs(explored / 40 - prior).sum() <= np.abs(usual / 40 - prior).sum()
    assert np.abs(explored / 40 - prior).sum() < 0.1
    # A reduction for what was never tried keeps to what was.
    assert (_visits(board, **{**settings, "fpu_reduction": 2.0}) > 0).sum() < (usual > 0).sum()


# ------------------------------------------------------------------ no index bias (B16)


@pytest.mark.parametrize("value", [0.0, 0.3])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_first_choices_are_uniform_when_all_is_equal(
    algorithm: str, value: float, board: Game[Any], searches: dict[str, Search]
) -> None:
    many = copies(replay(board, ()), ROWS)
    found = searches[algorithm](opinion(board, value=value), many, 0)
    assert stats.chisquare(np.bincount(found.actions, minlength=5)).pvalue > 1e-3
    np.testing.assert_allclose(found.visits.mean(axis=0), 12 / 5, rtol=0.05)


@pytest.mark.parametrize("settings", [{"num_simulations": 0}, {"num_simulations": 4}])
def test_first_choices_are_uniform_with_noise_and_without_a_tree(
    settings: dict[str, Any], board: Game[Any]
) -> None:
    config = SearchConfig(sampling_plies=0, gumbel_scale=1.0, **settings)
    many = copies(replay(board, ()), 4 * ROWS)
    found = compiled(board, uniform_evaluator(board), config)((), many, 0)
    assert stats.chisquare(np.bincount(found.actions, minlength=5)).pvalue > 1e-3


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_mirrored_positions_have_mirrored_statistics(
    algorithm: str, board: Game[Any], searches: dict[str, Search]
) -> None:
    """Not only the root: an inner node that prefers low indices sees threats there earlier."""
    (mirror,) = board.symmetries()
    position = replay(board, (4, 0, 4, 0, 3, 0))  # the opponent threatens to win in column 0
    image: Position[Any] = Position(state=mirror.map_state(position.state), ply=position.ply)
    half = ROWS // 2
    # Each image is searched beside the same noise rows, so a bias cannot hide in chance.
    both = joined(copies(position, half), copies(image, half))
    results = [searches[algorithm](opinion(board), both, seed) for seed in range(8)]
    visits = np.concatenate([result.visits[:half] for result in results])
    mirrored = np.concatenate([result.visits[half:] for result in results])[
        :, np.array(mirror.permutation)
    ]
    error = np.sqrt((visits.var(axis=0) + mirrored.var(axis=0)) / len(visits))
    assert (np.abs(visits.mean(axis=0) - mirrored.mean(axis=0)) < 4.5 * error + 1e-3).all()


# ------------------------------------------------------- depth, determinism, robustness


def _depths(parents: np.ndarray) -> np.ndarray:
    """Returns the depth of the deepest node of each tree, from the parents [B, N]."""
    depths = np.zeros_like(parents)
    for node in range(1, parents.shape[1]):
        parent = parents[:, node]
        rows = np.arange(len(parents))
        depths[:, node] = np.where(parent >= 0, depths[rows, np.maximum(parent, 0)] + 1, 0)
    return depths.max(axis=1)


@pytest.mark.parametrize("algorithm", ["gumbel", "puct"])
def test_no_node_lies_below_the_cap(algorithm: str) -> None:
    """A peaked prior digs a chain (trap T6); the cap stops it."""
    game = Subtraction(stones=60)
    params = opinion(game, logits=[40.0, 0.0, 0.0])
    deepest = []
    for max_depth in (0, 3):
        config = SearchConfig(algorithm=algorithm, num_simulations=24, max_depth=max_depth)
        found, trees = compiled_with_tree(game, opinionated_evaluator(game), config.for_matches())(
            params, first_positions(game, 2), 0
        )
        assert found.visits.sum() == 48
        deepest.append(_depths(np.asarray(trees.parents)).max())
    uncapped, capped = deepest
    assert capped <= 3 < uncapped


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_ended_matches_are_not_dug_into(algorithm: str) -> None:
    """One stone left: every simulation goes through the only move into the same ended match."""
    game = Subtraction(stones=1)
    config = SearchConfig(algorithm=algorithm, num_simulations=64).for_matches()
    search = compiled_with_tree(game, uniform_evaluator(game), config)
    found, trees = search((), first_positions(game, 1), 0)
    assert found.visits.tolist() == [[64, 0, 0]]
    np.testing.assert_allclose([found.value[0], found.qvalues[0, 0]], 1, atol=0.02)
    assert _depths(np.asarray(trees.parents)).max() <= 8


def test_cut_matches_are_not_dug_into_either() -> None:
    """The rules would still allow moves there, and the evaluator is sure which one."""
    game = Subtraction(stones=12)
    game.max_plies = 1
    config = SearchConfig(algorithm="puct", num_simulations=64).for_matches()
    params = opinion(game, logits=[40.0, 0.0, 0.0], value=1.0)
    search = compiled_with_tree(game, opinionated_evaluator(game), config)
    found, trees = search(params, first_positions(game, 1), 0)
    assert found.qvalues.tolist() == [[0, 0, 0]]
    assert _depths(np.asarray(trees.parents)).max() <= 8


def _without_ties(algorithm: str, found: SearchResult) -> np.ndarray:
    """Returns in which rows one action alone is best: PUCT plays the most visited one."""
    if algorithm == "gumbel":
        return np.ones(len(found.actions), bool)
    clear = (found.visits == found.visits.max(axis=1, keepdims=True)).sum(axis=1) == 1
    assert clear.mean() > 0.9
    return np.asarray(clear)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_key_decides_ties_and_nothing_else_in_matches(
    algorithm: str, board: Game[Any], positions: Position[Any], searches: dict[str, Search]
) -> None:
    params = opinion(board, spread=1.0)
    first, again, other = (searches[algorithm](params, positions, seed) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    if algorithm == "uct":
        # UCB1 knows no prior, so the order in which it first tries actions is a tie.
        return
    np.testing.assert_allclose(first.policy, other.policy, atol=1e-4)
    clear = _without_ties(algorithm, first)
    np.testing.assert_array_equal(first.actions[clear], other.actions[clear])


@pytest.mark.parametrize("algorithm", ["gumbel", "puct"])
def test_a_row_does_not_depend_on_the_others(
    algorithm: str, board: Game[Any], positions: Position[Any], searches: dict[str, Search]
) -> None:
    params = opinion(board, spread=1.0)
    order = np.random.default_rng(0).permutation(ROWS)
    moved = jax.tree.map(lambda leaf: leaf[order], positions)
    here = searches[algorithm](params, positions, 0)
    there = searches[algorithm](params, moved, 0)
    np.testing.assert_allclose(here.policy[order], there.policy, atol=1e-4)
    np.testing.assert_allclose(here.value[order], there.value, atol=1e-5)
    clear = _without_ties(algorithm, there)
    np.testing.assert_array_equal(here.actions[order][clear], there.actions[clear])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_extreme_logits_give_finite_results(
    algorithm: str, board: Game[Any], positions: Position[Any], searches: dict[str, Search]
) -> None:
    legal = np.asarray(jax.vmap(board.legal_action_mask)(positions.state))
    for logits in (1e9, -1e9, [1e9, -1e9, 0, 1e9, -1e9], [3e38, -3e38, 0, 0, 0]):
        found = searches[algorithm](opinion(board, logits=logits), positions, 0)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
        np.testing.assert_allclose(found.policy.sum(axis=1), 1, rtol=1e-5)
        assert legal[np.arange(ROWS), found.actions].all()


@pytest.mark.parametrize("algorithm", ["gumbel", "puct"])
def test_no_nan_arises_on_the_way(algorithm: str) -> None:
    """A NaN that a later `where` hides is still a hazard; JAX is asked to look for one."""
    game = Coins(coins=(3, 2, 1))
    config = SearchConfig(algorithm=algorithm, num_simulations=6, dirichlet_alpha=0.01)
    search = compiled(game, opinionated_evaluator(game), config)
    with jax.debug_nans(True):
        for logits in (0.0, 1e9, -1e9, [1e9, -1e9]):
            search(opinion(game, logits=logits), first_positions(game, 4), 0)


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four", "othello"])
def test_what_a_node_stores_is_smaller_than_an_observation(name: str) -> None:
    """Trap T5: every node of every tree holds a position; nothing seen belongs into it."""
    game = make(name)
    position = replay(game, ())
    stored = sum(leaf.nbytes for leaf in jax.tree.leaves(position))
    assert stored * 2 < game.observe(position.state).nbytes


# ------------------------------------------------------------------------- Searcher


def test_a_searcher_takes_any_number_of_positions_and_compiles_once(
    compilations: Compilations,
) -> None:
    game = Coins(coins=(3, 8, 2, 7))
    searcher = Searcher(
        game,
        opinionated_evaluator(game),
        SearchConfig(num_simulations=6).for_matches(),
        batch_size=3,
    )
    assert searcher.batch_size == 4  # a multiple of the two devices
    params = jax.device_get(opinion(game, spread=1.0))
    everywhere = jax.device_get(random_positions(game, 11, seed=4))
    whole = searcher(params, everywhere, key=jax.random.key(0))
    assert whole.actions.shape == (11,) and whole.policy.shape == (11, 2)
    with compilations() as names:
        for count in (1, 3, 4, 7, 9):
            part = jax.tree.map(lambda leaf, n=count: leaf[:n], everywhere)
            found = searcher(params, part, key=jax.random.key(1))
            np.testing.assert_array_equal(found.actions, whole.actions[:count])
            np.testing.assert_allclose(found.policy, whole.policy[:count], atol=1e-4)
    assert names == []


# ------------------------------------------------------------------- evaluators, config


def test_random_playouts_are_worth_the_mean_result(board: Game[Any]) -> None:
    """Two stones left, one or both are taken: the mover wins half of the random matches."""
    game = Subtraction(stones=3)
    evaluate = jax.jit(random_playout_evaluator(game))

    def mean(moves: tuple[int, ...], count: int = 4000) -> float:
        states = copies(replay(game, moves), count).state
        evaluation = evaluate((), states, key=jax.random.key(0))
        assert set(np.unique(evaluation.value)) <= {-1.0, 1.0}
        return float(evaluation.value.mean())

    assert mean((1,)) == 1.0  # one stone left: whoever moves takes it
    assert mean((0,)) == pytest.approx(0.0, abs=0.06)
    # Three: take 1 (then as above, for the other), 2 (lost) or 3 (won).
    assert mean(()) == pytest.approx((0 - 1 + 1) / 3, abs=0.06)


def test_evaluators_are_recognised_by_their_signature(board: Game[Any]) -> None:
    assert isinstance(uniform_evaluator(board), Evaluator)


def test_positions_that_are_over_are_none_of_the_helpers(board: Game[Any]) -> None:
    over = jax.vmap(functools.partial(is_over, board))(random_positions(board, 64))
    assert not over.any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_simulations": 1}, "search.num_simulations is 1, but must be at least 2"),
        ({"algorithm": "alpha_beta"}, "search.algorithm is 'alpha_beta', but must be one of: "),
        ({"temperature": 0.0}, "search.temperature is 0, but must be above 0"),
        ({"sampling_share": 1.5}, "search.sampling_share is 1.5, but must be "),
        ({"dirichlet_fraction": -0.1}, "search.dirichlet_fraction is -0.1, but must be between"),
        ({"max_depth": -1}, "search.max_depth is -1, but must be at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        SearchConfig(**settings)
    assert str(error.value).startswith(message)
