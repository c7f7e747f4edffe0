"""The two games of docs/examples that somebody new to selfplay wrote, from the template."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import selfplay
from selfplay.check.conformance import examine

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def made(name: str) -> Any:
    return selfplay.make(str(EXAMPLES / f"{name}.py"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["atari_go", "ataxx"])
def test_nothing_is_wrong_with_them(name: str) -> None:
    report = examine(made(name), matches=16, measures=False)
    assert report.ok, [fault.message for fault in report.faults]
    assert report.measures["symmetries"] == 7


def test_the_first_capture_wins() -> None:
    match = selfplay.play_text(made("atari_go"), "a2 a1 b1")
    assert match.over
    assert [float(value) for value in match.returns] == [1.0, -1.0]


def test_suicide_is_illegal() -> None:
    match = selfplay.play_text(made("atari_go"), "a2 d4 b1")
    with pytest.raises(selfplay.SelfplayError):
        match.play("a1")


def test_a_stone_grows_to_its_neighbours_and_jumps_two_cells() -> None:
    match = selfplay.play_text(made("ataxx"), "")
    # From each of two corners three cells to grow to, and five to jump to.
    assert len(match.legal) == 2 * (3 + 5)


def test_stones_beside_the_new_one_turn_over() -> None:
    game = made("ataxx")
    state = type(game.init(jax.random.key(0)))
    a3, b3, c3, e3 = 10, 11, 12, 14
    cells = jnp.full(25, -1, jnp.int8).at[a3].set(0).at[jnp.array([c3, e3])].set(1)
    after = game.step(state(cells, jnp.int32(0)), jnp.int32(b3))
    assert after.cells[jnp.array([a3, b3, c3, e3])].tolist() == [0, 0, 0, 1]
    assert int(after.player) == 1
