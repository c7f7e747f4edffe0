"""The formulas of the search against numbers worked out by hand; nothing here runs a search."""

from typing import Any

import jax
import jax.numpy as jnp
import mctx
import numpy as np
import pytest

from selfplay.mcts.selection import (
    add_dirichlet_noise,
    best_with_tie_break,
    completed_value,
    improved_policy_scores,
    mask_logits,
    puct_scores,
    sampling_probabilities,
    uct_scores,
)
from selfplay.settings.sections import SearchConfig

LEGAL = jnp.array([True, True, True, False])
NODE = jnp.int32(0)


def one_node(
    *,
    visits: list[int],
    values: list[float],
    value: float = 0.0,
    prior: tuple[float, ...] = (0.5, 0.3, 0.2),
    discount: float = -1.0,
) -> mctx.Tree:
    """Returns a tree of one node with three legal actions and an illegal one.

    Args:
        visits: of the actions.
        values: of the children, for whoever moves there.
        value: of the node.
        prior: of the legal actions.
        discount: of every action.
    """
    logits = mask_logits(jnp.log(jnp.array([[*prior, 1.0]])), LEGAL[None])
    children = (1, 4)
    return mctx.Tree(
        node_visits=jnp.array([1 + sum(visits)], jnp.int32),
        raw_values=jnp.array([value], jnp.float32),
        node_values=jnp.array([value], jnp.float32),
        parents=jnp.array([-1], jnp.int32),
        action_from_parent=jnp.array([-1], jnp.int32),
        children_index=jnp.full(children, -1, jnp.int32),
        children_prior_logits=logits,
        children_visits=jnp.array([[*visits, 0]], jnp.int32),
        children_rewards=jnp.zeros(children),
        children_discounts=jnp.full(children, discount),
        children_values=jnp.array([[*values, 0.0]], jnp.float32),
        embeddings=(),
        root_invalid_actions=~LEGAL,
        extra_data=(),
    )


def test_puct_is_the_formula_of_alphazero() -> None:
    config = SearchConfig(algorithm="puct", puct_constant=1.5, puct_base=100.0, fpu_reduction=0.0)
    tree = one_node(visits=[3, 1, 0], values=[0.2, -0.4, 0.0], value=0.1)
    constant = 1.5 + np.log((4 + 100 + 1) / 100)
    expected = [
        -0.2 + constant * 0.5 * np.sqrt(5) / 4,
        0.4 + constant * 0.3 * np.sqrt(5) / 2,
        0.1 + constant * 0.2 * np.sqrt(5) / 1,
    ]
    scores = puct_scores(tree, NODE, config)
    np.testing.assert_allclose(scores[:3], expected, rtol=1e-5)
    assert scores[3] < -1e5


def test_puct_takes_the_childs_value_as_it_is_when_the_same_player_moves_again() -> None:
    config = SearchConfig(algorithm="puct")
    turned, kept = (
        puct_scores(one_node(visits=[1, 1, 1], values=[0.5] * 3, discount=d), NODE, config)[:3]
        for d in (-1.0, 1.0)
    )
    np.testing.assert_allclose(kept - turned, 1.0, rtol=1e-5)


def test_a_larger_puct_constant_explores_more() -> None:
    tree = one_node(visits=[8, 1, 0], values=[-0.5, 0.0, 0.0], value=0.4)
    choices = [
        int(jnp.argmax(puct_scores(tree, NODE, SearchConfig(algorithm="puct", puct_constant=c))))
        for c in (0.1, 10.0)
    ]
    assert choices == [0, 2]


def test_first_play_urgency_lowers_unvisited_actions_by_the_visited_mass() -> None:
    tree = one_node(visits=[2, 0, 0], values=[-0.3, 0.0, 0.0], value=0.3)
    without, with_it = (
        puct_scores(tree, NODE, SearchConfig(algorithm="puct", fpu_reduction=reduction))
        for reduction in (0.0, 0.4)
    )
    np.testing.assert_allclose(without[0], with_it[0])
    np.testing.assert_allclose((without - with_it)[1:3], 0.4 * np.sqrt(0.5), rtol=1e-5)


def test_first_play_urgency_never_falls_below_a_loss() -> None:
    tree = one_node(visits=[5, 0, 0], values=[0.9, 0.0, 0.0], value=-0.9)
    low, lower = (
        puct_scores(tree, NODE, SearchConfig(algorithm="puct", fpu_reduction=reduction))
        for reduction in (1.0, 2.0)
    )
    np.testing.assert_allclose(low[1:3], lower[1:3])


def test_uct_is_ucb1_and_tries_everything_once() -> None:
    config = SearchConfig(algorithm="uct", puct_constant=1.4)
    tree = one_node(visits=[3, 1, 2], values=[0.2, -0.4, 0.0])
    expected = [-q + 1.4 * np.sqrt(np.log(6) / n) for q, n in ((0.2, 3), (-0.4, 1), (0.0, 2))]
    scores = uct_scores(tree, NODE, config)
    np.testing.assert_allclose(scores[:3], expected, rtol=1e-5)
    assert scores[3] < -1e5
    tree = one_node(visits=[3, 1, 0], values=[-1.0, -1.0, 0.0])
    assert int(jnp.argmax(uct_scores(tree, NODE, config))) == 2


def _completed(tree: mctx.Tree, node: Any) -> jax.Array:
    return mctx.qtransform_completed_by_mix_value(tree, node)


def test_gumbels_inner_choice_is_that_of_mctx_where_nothing_ties() -> None:
    tree = one_node(visits=[3, 1, 2], values=[0.2, -0.4, 0.1], value=0.2)
    scores = improved_policy_scores(tree, NODE, _completed)
    chosen = mctx.gumbel_muzero_interior_action_selection(
        jax.random.key(0), tree, NODE, jnp.int32(1)
    )
    assert int(jnp.argmax(scores)) == int(chosen)
    policy = jax.nn.softmax(tree.children_prior_logits[0] + _completed(tree, 0))
    np.testing.assert_allclose(
        scores[:3], policy[:3] - np.array([3, 1, 2]) / 7, rtol=1e-4, atol=1e-6
    )
    assert scores[3] < -1e5


@pytest.mark.parametrize("name", ["puct", "uct", "gumbel"])
def test_an_ended_match_is_spread_over_and_not_dug_into(name: str) -> None:
    """The same choice each time would make a chain as deep as there are visits (trap T6)."""
    tree = one_node(visits=[2, 1, 2], values=[0.0] * 3)
    tree = tree.replace(children_prior_logits=jnp.full((1, 4), -1e9))
    scores = {
        "puct": lambda: puct_scores(tree, NODE, SearchConfig()),
        "uct": lambda: uct_scores(tree, NODE, SearchConfig()),
        "gumbel": lambda: improved_policy_scores(tree, NODE, _completed),
    }[name]()
    assert int(jnp.argmax(scores)) == 3


def test_ties_go_to_the_tie_break_and_near_ties_too() -> None:
    scores = jnp.array([1.0, 1.0 - 1e-7, 0.9, 1.0])
    chosen = [
        int(best_with_tie_break(scores, jnp.array(tie_break, jnp.float32)))
        for tie_break in ([0.9, 0.1, 1.0, 0.2], [0.1, 0.9, 1.0, 0.2], [0.1, 0.2, 1.0, 0.9])
    ]
    assert chosen == [0, 1, 3]


def test_masked_logits_are_finite_and_the_softmax_is_zero_where_illegal() -> None:
    legal = jnp.array([[True, False, True], [False, False, False], [True, True, True]])
    logits = jnp.array([[1e9, 1e9, -1e9], [5.0, 1.0, 2.0], [-1e9, -1e9, -1e9]], jnp.float32)
    masked = mask_logits(logits, legal)
    assert np.isfinite(masked).all()
    policy = jax.nn.softmax(masked)
    np.testing.assert_allclose(policy[0], [1, 0, 0])
    np.testing.assert_allclose(policy[1:], 1 / 3, rtol=1e-6)
    # The least of the legal ones is still legal to every selection rule.
    assert masked[0, 2] > -7.5e8


def test_an_action_of_next_to_no_prior_stays_legal() -> None:
    tree = one_node(visits=[1, 1, 0], values=[0.0] * 3)
    logits = mask_logits(jnp.array([[1e9, 1e9, -1e9, 0.0]]), LEGAL[None])
    tree = tree.replace(children_prior_logits=logits)
    assert int(jnp.argmax(uct_scores(tree, NODE, SearchConfig()))) == 2
    assert puct_scores(tree, NODE, SearchConfig())[2] > -10


# ------------------------------------------------------------- Dirichlet noise (B3, trap T1)


@pytest.mark.parametrize("alpha", [0.3, 10.0])
@pytest.mark.parametrize("num_legal", [1, 2, 30])
def test_dirichlet_noise_keeps_its_share_on_legal_actions(num_legal: int, alpha: float) -> None:
    """All prior on one action, 100 actions: what is elsewhere afterwards is noise."""
    rows, actions, fraction = 4000, 100, 0.25
    legal = jnp.zeros((rows, actions), bool).at[:, 10 : 10 + num_legal].set(True)
    logits = mask_logits(jnp.zeros((rows, actions)).at[:, 10].set(50.0), legal)
    noisy = add_dirichlet_noise(
        logits, legal, alpha=alpha, fraction=fraction, key=jax.random.key(0)
    )
    policy = np.asarray(jax.nn.softmax(noisy))
    np.testing.assert_allclose(policy.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(policy[:, ~np.asarray(legal[0])], 0)
    noise = (policy - (1 - fraction) * np.asarray(jax.nn.softmax(logits))) / fraction
    np.testing.assert_allclose(noise.sum(axis=1), 1, rtol=1e-4)
    assert noise.min() > -1e-5
    # Each legal action gets the same share of the noise on average, none is lost; and the spread
    # is that of a symmetric Dirichlet distribution of this total concentration.
    noise = noise[:, 10 : 10 + num_legal]
    variance = (1 / num_legal) * (1 - 1 / num_legal) / (alpha + 1)
    np.testing.assert_allclose(
        noise.mean(axis=0), 1 / num_legal, atol=5 * np.sqrt(variance / rows) + 1e-5
    )
    np.testing.assert_allclose(noise.var(axis=0).mean(), variance, rtol=0.15, atol=1e-9)


def test_mctx_alone_would_lose_nearly_all_of_the_noise() -> None:
    """Trap T1, so that it is known to be real: `mctx.muzero_policy` masks after mixing."""
    rows, actions, fraction = 2000, 100, 0.25
    legal = jnp.zeros((rows, actions), bool).at[:, :2].set(True)
    logits = mask_logits(jnp.zeros((rows, actions)).at[:, 0].set(50.0), legal)

    def recurrent_fn(params: Any, key: Any, action: Any, embedding: Any) -> Any:
        zeros = jnp.zeros(rows)
        output = mctx.RecurrentFnOutput(
            reward=zeros, discount=zeros, prior_logits=jnp.zeros((rows, actions)), value=zeros
        )
        return output, embedding

    found = mctx.muzero_policy(
        (),
        jax.random.key(0),
        mctx.RootFnOutput(prior_logits=logits, value=jnp.zeros(rows), embedding=jnp.zeros(rows)),
        recurrent_fn,
        num_simulations=1,
        invalid_actions=~legal,
        dirichlet_fraction=fraction,
        dirichlet_alpha=0.3,
    )
    theirs = np.asarray(jax.nn.softmax(found.search_tree.children_prior_logits[:, 0]))[:, 1]
    ours = np.asarray(
        jax.nn.softmax(
            add_dirichlet_noise(logits, legal, alpha=0.3, fraction=fraction, key=jax.random.key(0))
        )
    )[:, 1]
    assert ours.mean() == pytest.approx(fraction / 2, rel=0.1)
    assert theirs.mean() < ours.mean() / 10


# ------------------------------------------------------------------ sampling (B4, B5), values


def test_sampling_probabilities_follow_the_temperature() -> None:
    policy = jnp.array([[0.5, 0.3, 0.2, 0.0]])
    for temperature in (0.5, 1.0, 2.0):
        config = SearchConfig(temperature=temperature)
        expected = np.array([0.5, 0.3, 0.2, 0.0]) ** (1 / temperature)
        np.testing.assert_allclose(
            sampling_probabilities(policy, config)[0], expected / expected.sum(), rtol=1e-5
        )
    cold = sampling_probabilities(policy, SearchConfig(temperature=1e-3))
    np.testing.assert_allclose(cold[0], [1, 0, 0, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("share", "kept"), [(1.0, [0, 1, 2, 3]), (0.85, [0, 1, 3]), (0.8, [1, 3]), (0.01, [3])]
)
def test_sampling_share_keeps_the_likeliest_actions_that_hold_it(
    share: float, kept: list[int]
) -> None:
    policy = np.array([[0.125, 0.25, 0.0625, 0.5625, 0.0]], np.float32)
    found = np.asarray(
        sampling_probabilities(jnp.array(policy), SearchConfig(sampling_share=share))[0]
    )
    expected = np.where(np.isin(np.arange(5), kept), policy[0], 0)
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-5)


def test_the_value_after_a_gumbel_search() -> None:
    """Danihelka et al., 2022, appendix D, by hand."""
    value = completed_value(
        policy=jnp.array([0.6, 0.3, 0.1]),
        prior=jnp.array([0.2, 0.5, 0.3]),
        qvalues=jnp.array([0.4, -0.2, 0.0]),
        visits=jnp.array([3, 1, 0], jnp.int32),
        raw_value=jnp.float32(0.1),
    )
    mean = (0.2 * 0.4 + 0.5 * -0.2) / 0.7
    mixed = (0.1 + 4 * mean) / 5
    assert float(value) == pytest.approx(0.6 * 0.4 + 0.3 * -0.2 + 0.1 * mixed, rel=1e-5)


def test_the_value_without_any_visit_is_the_raw_one() -> None:
    third = jnp.full(3, 1 / 3)
    value = completed_value(
        policy=third, prior=third, qvalues=jnp.zeros(3), visits=jnp.zeros(3, jnp.int32),
        raw_value=jnp.float32(-0.7),
    )  # fmt: skip
    assert float(value) == pytest.approx(-0.7, rel=1e-5)
