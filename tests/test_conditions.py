"""The conditions that tests/conftest.py sets hold, so that a test that relies on them can fail."""

import os
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from tests.conftest import Compilations, pytest_terminal_summary


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


class Terminal:
    """The part of pytest's reporter that the summary of skipped tests uses."""

    def __init__(self, *skipped: object) -> None:
        self.lines: list[str] = []
        self._reports = [SimpleNamespace(longrepr=longrepr) for longrepr in skipped]

    def getreports(self, name: str) -> list[SimpleNamespace]:
        return self._reports if name == "skipped" else []

    def section(self, title: str) -> None:
        self.lines.append(title)

    def line(self, text: str) -> None:
        self.lines.append(text)


def test_skipped_tests_are_counted_by_reason() -> None:
    reason = "Skipped: redis-server is not installed"
    terminal = Terminal(("a.py", 3, "Skipped: no GPU"), ("b.py", 1, reason), ("c.py", 2, reason))
    pytest_terminal_summary(terminal)
    assert terminal.lines == [
        "3 tests were skipped",
        "   2  redis-server is not installed",
        "   1  no GPU",
    ]
    quiet = Terminal()
    pytest_terminal_summary(quiet)
    assert quiet.lines == []


@pytest.mark.usefixtures("no_key_reuse")
def test_a_key_used_twice_is_reported() -> None:
    key = jax.random.key(0)
    jax.random.uniform(key)
    with pytest.raises(jax.errors.KeyReuseError):
        jax.random.uniform(key)
