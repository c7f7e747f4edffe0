"""Every part of the loss against its formula, written out in NumPy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.learner import losses
from selfplay.learner.targets import Targets
from selfplay.networks import NEXT_POLICY, SHORT_TERM_VALUES, SOFT_POLICY, Prediction
from selfplay.settings.sections import LearnerConfig
from tests.learner.examples import targets

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(4, 5))
NEXT_LOGITS = RANDOM.normal(size=(4, 5))
WDL = RANDOM.normal(size=(4, 3))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def prediction(*, scalar: bool = False, **changes: Any) -> Prediction:
    """Returns a prediction with fixed random numbers."""
    chances = softmax(WDL)
    value = np.tanh(WDL[:, 0]) if scalar else chances[:, 0] - chances[:, 2]
    values: dict[str, Any] = {
        "policy_logits": LOGITS,
        "value": value,
        "value_logits": WDL[:, :1] if scalar else WDL,
    } | changes
    auxiliary = values.pop("auxiliary", {})
    return Prediction(
        **{name: jnp.asarray(array, jnp.float32) for name, array in values.items()},
        auxiliary={name: jnp.asarray(a, jnp.float32) for name, a in auxiliary.items()},
    )


def part(name: str, config: LearnerConfig, given: Prediction, wanted: Targets) -> float:
    return float(losses(config, given, wanted)[name])


def test_policy_loss_is_over_legal_actions_and_counts_targets_alone() -> None:
    wanted = targets()
    policy = np.asarray(wanted.policy)
    legal_logs = np.log(softmax(LOGITS[:, :4]))
    each = -(policy[:, :4] * legal_logs).sum(axis=1)
    found = part("policy", LearnerConfig(), prediction(), wanted)
    assert found == pytest.approx((each[0] + each[1]) / 4, rel=1e-5)
    entropy = -(0.7 * np.log(0.7) + 0.3 * np.log(0.3)) / 4
    assert part("policy_entropy", LearnerConfig(), prediction(), wanted) == pytest.approx(entropy)


def test_an_illegal_action_gets_no_gradient() -> None:
    def policy_loss(logits: jax.Array) -> jax.Array:
        given = prediction()
        given = Prediction(
            policy_logits=logits,
            value=given.value,
            value_logits=given.value_logits,
            auxiliary={},
        )
        return losses(LearnerConfig(), given, targets())["policy"]

    gradient = np.asarray(jax.grad(policy_loss)(jnp.asarray(LOGITS, jnp.float32)))
    assert np.isfinite(gradient).all()
    assert (gradient[:, 4] == 0).all()
    assert (gradient[:2, :4] != 0).all()
    assert (gradient[2:] == 0).all()


def value_target(config: LearnerConfig, wanted: Targets) -> np.ndarray:
    share = config.outcome_share * np.asarray(wanted.outcome_weights)
    return share * np.asarray(wanted.outcomes) + (1 - share) * np.asarray(wanted.search_values)


@pytest.mark.parametrize("scalar", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_value_as_mean_squared_error_and_huber(share: float, scalar: bool) -> None:
    wanted = targets()
    given = prediction(scalar=scalar)
    config = LearnerConfig(outcome_share=share, value_loss="mse")
    error = np.asarray(given.value) - value_target(config, wanted)
    assert part("value", config, given, wanted) == pytest.approx((error**2).mean(), rel=1e-5)
    huber = np.where(np.abs(error) <= 0.5, 0.5 * error**2, 0.5 * (np.abs(error) - 0.25))
    config = LearnerConfig(outcome_share=share, value_loss="huber")
    assert part("value", config, given, wanted) == pytest.approx(huber.mean(), rel=1e-5)


@pytest.mark.parametrize("scalar", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_value_as_cross_entropy(share: float, scalar: bool) -> None:
    wanted = targets()
    given = prediction(scalar=scalar)
    config = LearnerConfig(outcome_share=share)
    score = (1 + np.asarray(given.value)) / 2

    def binary(value: np.ndarray) -> np.ndarray:
        goal = (1 + value) / 2
        return -goal * np.log(score) - (1 - goal) * np.log(1 - score)

    outcomes = np.asarray(wanted.outcomes)
    if scalar:
        from_outcome = binary(outcomes)
    else:
        # Win, draw, loss: the entry of the result.
        entry = {1.0: 0, 0.0: 1, -1.0: 2}
        chances = softmax(WDL)
        from_outcome = np.array(
            [-np.log(chances[i, entry[float(o)]]) for i, o in enumerate(outcomes)]
        )
    weight = share * np.asarray(wanted.outcome_weights)
    each = weight * from_outcome + (1 - weight) * binary(np.asarray(wanted.search_values))
    assert part("value", config, given, wanted) == pytest.approx(each.mean(), rel=1e-5)


def test_a_result_between_draw_and_win_is_shared() -> None:
    wanted = targets(outcomes=[0.25] * 4, outcome_weights=[1.0] * 4, search_values=[0.0] * 4)
    chances = np.log(softmax(WDL))
    each = -0.25 * chances[:, 0] - 0.75 * chances[:, 1]
    found = part("value", LearnerConfig(outcome_share=1.0), prediction(), wanted)
    assert found == pytest.approx(each.mean(), rel=1e-5)


def test_an_unknown_outcome_leaves_the_search_value() -> None:
    config = LearnerConfig(outcome_share=1.0, value_loss="mse")
    only_last = [0.0, 0.0, 0.0, 0.0]
    wanted = targets(outcome_weights=only_last)
    error = np.asarray(prediction().value) - np.asarray(wanted.search_values)
    assert part("value", config, prediction(), wanted) == pytest.approx((error**2).mean(), rel=1e-5)
    other = targets(outcome_weights=only_last, outcomes=[-1.0, 1.0, 1.0, -1.0])
    assert part("value", config, prediction(), other) == part("value", config, prediction(), wanted)


@pytest.mark.parametrize("value_loss", ["cross_entropy", "mse", "huber"])
@pytest.mark.parametrize("scalar", [False, True])
def test_the_value_loss_is_least_at_its_target_and_finite_at_the_edge(
    value_loss: str, scalar: bool
) -> None:
    config = LearnerConfig(outcome_share=1.0, value_loss=value_loss)
    wanted = targets(outcome_weights=[1.0] * 4, search_values=[1.0, -1.0, 0.0, 1.0])

    def at(logits: np.ndarray) -> float:
        chances = softmax(logits)
        value = np.tanh(logits[:, 0]) if scalar else chances[:, 0] - chances[:, 2]
        given = prediction(value=value, value_logits=logits[:, :1] if scalar else logits)
        return part("value", config, given, wanted)

    # Win, loss, draw, win, as certain as can be, and the opposite.
    right = np.array([[30.0, 0, -30], [-30, 0, 30], [-30, 30, -30], [30, 0, -30]])
    if scalar:
        right = np.array([[9.0], [-9.0], [0.0], [9.0]])
    # The floor is 0, but for the draw under a scalar cross-entropy: ln 2.
    floor = np.log(2) / 4 if scalar and value_loss == "cross_entropy" else 0.0
    assert at(right) == pytest.approx(floor, abs=1e-3)
    assert np.isfinite(at(-right))
    assert at(-right) > floor + 0.5


def test_next_policy_and_auxiliary_parts() -> None:
    ownership = RANDOM.uniform(-1, 1, (4, 2, 2))
    goal = RANDOM.uniform(-1, 1, (4, 2, 2))
    wanted = targets(auxiliary={"ownership": jnp.asarray(goal, jnp.float32)})
    given = prediction(auxiliary={"ownership": ownership, NEXT_POLICY: NEXT_LOGITS})
    found = losses(LearnerConfig(), given, wanted)
    assert float(found["ownership"]) == pytest.approx(((ownership - goal) ** 2).mean(), rel=1e-5)
    each = -(np.asarray(wanted.next_policy) * np.log(softmax(NEXT_LOGITS))).sum(axis=1)
    assert float(found[NEXT_POLICY]) == pytest.approx((each * [0, 1, 1, 1]).mean(), rel=1e-5)


def test_a_soft_policy_is_the_fourth_root_of_the_policy() -> None:
    wanted = targets()
    given = prediction(auxiliary={SOFT_POLICY: NEXT_LOGITS})
    roots = np.asarray(wanted.policy)[:2] ** 0.25
    soft = roots / roots.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(soft[0, :2], [0.5528, 0.4472], atol=1e-4)
    logs = np.log(softmax(NEXT_LOGITS[:2, :4]))
    each = -(soft[:, :4] * logs).sum(axis=1)
    config = LearnerConfig(soft_policy_weight=2.0)
    assert part(SOFT_POLICY, config, given, wanted) == pytest.approx(each.sum() / 4, rel=1e-5)
    more = part("total", config, given, wanted) - part("total", config, prediction(), wanted)
    assert more == pytest.approx(2 * each.sum() / 4, rel=1e-4)


def test_short_term_values_are_targets_of_their_head() -> None:
    goal = RANDOM.uniform(-1, 1, (4, 3))
    given = prediction(auxiliary={SHORT_TERM_VALUES: np.full((4, 3), 0.5)})
    config = LearnerConfig(short_term_value_weight=3.0)
    wanted = targets(short_term_values=goal)
    found = part(SHORT_TERM_VALUES, config, given, wanted)
    assert found == pytest.approx(((0.5 - goal) ** 2).mean(), rel=1e-5)
    more = part("total", config, given, wanted) - part("total", config, prediction(), wanted)
    assert more == pytest.approx(3 * found, rel=1e-4)


def test_the_share_of_the_outcome_changes_in_the_course_of_a_match() -> None:
    wanted = targets(outcome_weights=[1.0] * 4, progress=[0.0, 0.25, 0.5, 1.0])
    share = np.array([0.2, 0.35, 0.5, 0.8])
    mixed = share * np.asarray(wanted.outcomes) + (1 - share) * np.asarray(wanted.search_values)
    error = np.asarray(prediction().value) - mixed
    config = LearnerConfig(value_loss="mse", outcome_share=0.2, late_outcome_share=0.8)
    assert part("value", config, prediction(), wanted) == pytest.approx((error**2).mean(), rel=1e-5)
    fixed = LearnerConfig(value_loss="mse", outcome_share=0.2)
    moved = targets(outcome_weights=[1.0] * 4, progress=[1.0, 0.0, 0.3, 0.1])
    assert part("value", fixed, prediction(), wanted) == part("value", fixed, prediction(), moved)


def test_a_mean_of_a_win_and_a_loss_is_no_draw() -> None:
    config = LearnerConfig(outcome_share=1.0)
    both = targets(outcomes=[0.0] * 4, draws=[0.0] * 4, outcome_weights=[1.0] * 4)
    chances = np.log(softmax(WDL))
    each = -(chances[:, 0] + chances[:, 2]) / 2
    assert part("value", config, prediction(), both) == pytest.approx(each.mean(), rel=1e-5)


def test_the_total_is_the_weighted_sum() -> None:
    wanted = targets(auxiliary={"score": jnp.ones(4), "margin": jnp.zeros(4)})
    given = prediction(
        auxiliary={"score": np.zeros(4), "margin": np.full(4, 0.5), NEXT_POLICY: NEXT_LOGITS}
    )
    config = LearnerConfig(
        policy_weight=2.0, value_weight=3.0, next_policy_weight=0.5, auxiliary_weight=0.25
    )
    found = {name: float(value) for name, value in losses(config, given, wanted).items()}
    assert (found["score"], found["margin"]) == (1.0, 0.25)
    assert found["total"] == pytest.approx(
        2 * found["policy"]
        + 3 * found["value"]
        + 0.5 * found[NEXT_POLICY]
        + 0.25 * (found["score"] + found["margin"]),
        rel=1e-6,
    )
