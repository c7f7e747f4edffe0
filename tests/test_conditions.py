"""The conditions that tests/conftest.py sets hold, so that a test that relies on them can fail."""

import os

import jax
import jax.numpy as jnp
import pytest

from tests.conftest import Compilations


def test_there_are_two_devices() -> None:
    assert jax.device_count() == 2


def test_no_setting_leaks_in_from_outside() -> None:
    assert [name for name in os.environ if name.startswith("SELFPLAY_")] == []


def test_compilations_are_listed_and_repetitions_are_none(compilations: Compilations) -> None:
    @jax.jit
    def doubled(x: jax.Array) -> jax.Array:
        return 2 * x

    vector = jnp.ones(3)
    for expected in (1, 0):
        with compilations() as compiled:
            doubled(vector)
        assert len([message for message in compiled if "doubled" in message]) == expected


def test_ranks_are_not_promoted_silently() -> None:
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones((2, 3)) + jnp.ones(3)


@pytest.mark.usefixtures("no_key_reuse")
def test_a_key_used_twice_is_reported() -> None:
    key = jax.random.key(0)
    jax.random.uniform(key)
    with pytest.raises(jax.errors.KeyReuseError):
        jax.random.uniform(key)
