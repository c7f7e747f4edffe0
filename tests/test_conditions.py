"""The conditions that tests/conftest.py sets hold, so that a test that relies on them can fail."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import pytest
from jaxtyping import Array, Float32, PyTree, TypeCheckError

from selfplay.mcts.selection import mask_logits
from selfplay.registry import make
from tests import annotations
from tests.conftest import LONGEST, Compilations, pytest_terminal_summary


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


def test_annotations_are_checked_with_arrays_and_without() -> None:
    with pytest.raises(TypeCheckError):
        mask_logits(jnp.zeros((2, 3)), jnp.ones((2, 4), bool))
    name: Any = 3
    with pytest.raises(TypeCheckError):
        make(name)


def test_a_result_is_checked_as_the_arguments_are() -> None:
    @annotations.checked(typechecker=None)
    def half(number: int) -> int:
        answer: Any = number / 2
        return answer

    with pytest.raises(TypeCheckError):
        half(4)


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (int, False),
        (dict[str, tuple[int, ...]], False),
        (Literal["text"], False),
        (Annotated[int, "text"], False),
        (jax.Array, False),
        (Float32[Array, " B"], True),
        (list[Float32[Array, " B"]] | None, True),
        (Callable[[Float32[Array, " B"]], int], True),
        (PyTree, True),
        ("Later", True),
        (list["Later"], True),  # type: ignore[name-defined]  # noqa: F821
    ],
)
def test_shapes_are_checked_where_there_may_be_arrays(hint: Any, expected: bool) -> None:
    assert annotations._needs_shapes(hint) == expected


def test_the_longest_modules_are_there() -> None:
    missing = [name for name in LONGEST if not (Path(__file__).parent / f"{name}.py").is_file()]
    assert missing == []


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
