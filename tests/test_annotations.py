"""Annotations of the package are checked at run time, of nested functions too."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import pytest
from beartype.roar import BeartypeCallHintParamViolation
from jaxtyping import Array, Float32, Int32, TypeCheckError, jaxtyped

from selfplay.mcts.selection import mask_logits
from tests import annotations
from tests.annotations import checked


def nested(hint: Any) -> Callable[[Any, Any], Any]:
    """Returns a function that is defined anew with each call."""

    @jaxtyped(typechecker=checked)
    def function(one: hint, other: hint) -> hint:
        return one + other

    return function


def test_the_package_is_checked() -> None:
    with pytest.raises(TypeCheckError):
        mask_logits(jnp.zeros((2, 3)), jnp.ones((2, 4), bool))


def test_a_function_that_is_defined_again_is_checked_by_the_same_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []
    check = annotations._check

    def counted(function: Any) -> Any:
        made.append(function.__name__)
        return check(function)

    monkeypatch.setattr(annotations, "_check", counted)
    for _ in range(3):
        function = nested(Float32[Array, "rows columns"])
        assert function(jnp.ones((2, 3)), jnp.ones((2, 3))).shape == (2, 3)
        for wrong in (jnp.ones((3, 3)), jnp.ones(3), jnp.ones((2, 3), jnp.int32), None):
            with pytest.raises(TypeCheckError):
                function(jnp.ones((2, 3)), wrong)
    # One for the parameters and one for the result; errors ask for more, by another name.
    assert made.count("function") == 2


@pytest.mark.parametrize(
    ("hint", "right", "wrong"),
    [
        (Float32[Array, "3"], jnp.ones(3), jnp.ones(4)),
        (Float32[Array, "4"], jnp.ones(4), jnp.ones(3)),
        (Int32[Array, "3"], jnp.ones(3, jnp.int32), jnp.ones(3)),
        (tuple[Float32[Array, "3"], ...], (jnp.ones(3),), (jnp.ones(4),)),
        (tuple[Float32[Array, "4"], ...], (jnp.ones(4),), (jnp.ones(3),)),
        (Float32[Array, "3"] | None, jnp.ones(3), jnp.ones(4)),
        (Callable[[int], int], abs, 1),
        (float, 1, "1"),
    ],
)
def test_equal_functions_with_other_annotations_are_checked_by_theirs(
    hint: Any, right: Any, wrong: Any
) -> None:
    for _ in range(2):

        @checked
        def function(value: hint) -> None:
            pass

        function(right)
        with pytest.raises(BeartypeCallHintParamViolation):
            function(wrong)
