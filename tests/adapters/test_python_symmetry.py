"""Symmetries and auxiliary targets of rules in plain Python."""

import random
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay import Symmetry
from selfplay.adapters import PythonChanceGame, failures, host
from selfplay.adapters.hosted import HostedChanceGame
from selfplay.check import check_game
from selfplay.errors import GameContractError
from tests.games.matches import play_randomly

Cells = tuple[tuple[str, ...], int]
"""Five cells, "x", "o", "#" (blocked) or "."; who is to move."""

WIDTH = 5
MIRROR = tuple(reversed(range(WIDTH)))


def mirrored(state: Cells) -> Cells:
    return state[0][::-1], state[1]


class Hail(PythonChanceGame[Cells]):
    """Two neighbours of one player win. After each move hail blocks a cell, if it is empty."""

    name = "hail"
    num_actions = WIDTH
    num_outcomes = WIDTH
    max_plies = WIDTH

    def initial_state(self, rng: random.Random) -> Cells:
        return (".",) * WIDTH, 0

    def apply(self, state: Cells, action: int) -> Cells:
        cells = list(state[0])
        cells[action] = "xo"[state[1]]
        return tuple(cells), 1 - state[1]

    def chance_probabilities(self, state: Cells) -> list[float]:
        return [share / 9 for share in (1, 2, 3, 2, 1)]

    def resolve(self, state: Cells, outcome: int) -> Cells:
        cells = list(state[0])
        # One cell is always left open.
        if cells[outcome] == "." and cells.count(".") > 1:
            cells[outcome] = "#"
        return tuple(cells), state[1]

    def winner(self, state: Cells) -> int:
        text = "".join(state[0])
        return 0 if "xx" in text else 1 if "oo" in text else -1

    def legal_actions(self, state: Cells) -> list[int]:
        return [cell for cell, name in enumerate(state[0]) if name == "."]

    def current_player(self, state: Cells) -> int:
        return state[1]

    def is_terminal(self, state: Cells) -> bool:
        return self.winner(state) >= 0 or "." not in state[0]

    def returns(self, state: Cells) -> tuple[float, float]:
        winner = self.winner(state)
        return (0.0, 0.0) if winner < 0 else (1.0, -1.0) if winner == 0 else (-1.0, 1.0)

    def observe(self, state: Cells) -> list[float]:
        mine, theirs = "xo"[state[1]], "xo"[1 - state[1]]
        return [float(name == wanted) for wanted in (mine, theirs, "#") for name in state[0]]

    def symmetries(self) -> list[Symmetry[Cells]]:
        return [
            Symmetry(
                name="mirror",
                map_state=mirrored,
                permutation=MIRROR,
                outcome_permutation=MIRROR,
            )
        ]

    def auxiliary_targets(self, state: Cells, final_state: Cells) -> dict[str, Any]:
        mine = "xo"[state[1]]
        value = {mine: 1.0, "xo".replace(mine, ""): -1.0}
        return {
            "owner": [value.get(name, 0.0) for name in final_state[0]],
            "open": final_state[0].count(".") / WIDTH,
        }


@pytest.fixture(scope="module")
def game() -> HostedChanceGame:
    made = host(Hail())
    assert isinstance(made, HostedChanceGame)
    return made


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    yield
    failures.take()


def test_the_laws_of_symmetries_hold(
    game: HostedChanceGame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selfplay.check.plain.report._READ_MATCHES", 128)
    report = check_game(game, matches=16)
    assert report.ok, [str(fault) for fault in report.faults]


def test_a_turned_position_is_its_image(game: HostedChanceGame) -> None:
    (mirror,) = game.symmetries()
    assert tuple(mirror.permutation) == MIRROR
    plies = list(play_randomly(game, 16, seed=1))
    turn = jax.jit(
        jax.vmap(
            lambda state: (
                game.observe(mirror.map_state(state)),
                game.legal_action_mask(mirror.map_state(state)),
            )
        )
    )
    for ply in plies[:3]:
        live = ~ply.over
        seen, legal = turn(ply.states)
        wanted = ply.observation.reshape(16, 3, WIDTH)[:, :, ::-1].reshape(16, -1)
        np.testing.assert_array_equal(np.asarray(seen)[live], wanted[live])
        np.testing.assert_array_equal(np.asarray(legal)[live], ply.mask[live][:, ::-1])
    state = jax.tree.map(lambda leaf: leaf[0], plies[1].states)
    turned = mirror.map_state(state)
    assert game.own_state(turned) == mirrored(game.own_state(state))
    # A turned position goes on: moves and outcomes are turned back for the rules.
    action = int(plies[1].actions[0])
    after = game.step(turned, jnp.int32(MIRROR[action]))
    assert game.own_state(after) == mirrored(game.own_state(game.step(state, jnp.int32(action))))
    after = game.resolve(after, jnp.int32(0))
    same = game.resolve(game.step(state, jnp.int32(action)), jnp.int32(WIDTH - 1))
    assert game.own_state(after) == mirrored(game.own_state(same))


def test_auxiliary_targets_are_those_of_the_rules(game: HostedChanceGame) -> None:
    plies = list(play_randomly(game, 16, seed=2))
    finals, (mirror,) = plies[-1].states, game.symmetries()
    states = plies[1].states

    def look(state: Any, final: Any) -> Any:
        plain = game.auxiliary_targets(state, final)
        return plain, game.auxiliary_targets(mirror.map_state(state), mirror.map_state(final))

    plain, turned = jax.device_get(jax.jit(jax.vmap(look))(states, finals))
    assert {name: target.shape for name, target in plain.items()} == {
        "owner": (16, WIDTH),
        "open": (16,),
    }
    np.testing.assert_array_equal(turned["owner"], plain["owner"][:, ::-1])
    np.testing.assert_array_equal(turned["open"], plain["open"])
    for row in range(16):
        own, end = (
            game.own_state(jax.tree.map(lambda leaf, row=row: leaf[row], batch))
            for batch in (states, finals)
        )
        wanted = game.rules.auxiliary_targets(own, end)
        np.testing.assert_allclose(plain["owner"][row], wanted["owner"])
        assert plain["open"][row] == pytest.approx(wanted["open"])
    assert np.abs(plain["owner"]).max() == 1


def symmetric(**changes: Any) -> Any:
    parts: dict[str, Any] = {
        "name": "mirror",
        "map_state": mirrored,
        "permutation": MIRROR,
        "outcome_permutation": MIRROR,
    }
    return lambda self: [Symmetry(**{**parts, **changes})]


BROKEN: list[tuple[dict[str, Any], str]] = [
    (
        {"symmetries": symmetric(permutation=(0, 0, 1, 2, 3))},
        "the permutation of symmetry 'mirror' must hold each number from 0 to 4 once",
    ),
    (
        {"symmetries": symmetric(permutation=range(WIDTH))},
        "symmetry 'mirror' is none: ",
    ),
    (
        {"symmetries": symmetric(outcome_permutation=None)},
        r"symmetry 'mirror' is none: resolve\(map_state\(state\), \d\) and "
        r"map_state\(resolve\(state, \d\)\) differ in legal_actions",
    ),
    (
        {"symmetries": symmetric(map_state=lambda state: (state[0][::-1], 1 - state[1]))},
        "symmetry 'mirror' is none: current_player of the image is 1, but should be 0",
    ),
    (
        {"symmetries": symmetric(map_state=lambda state: state[9])},
        "map_state of 'mirror' fails: IndexError",
    ),
    (
        {"auxiliary_targets": lambda self, state, final: {"owner": "mine"}},
        "auxiliary_targets must return numbers or nested lists of them, by name",
    ),
]


@pytest.mark.parametrize(("methods", "message"), BROKEN)
def test_a_mistake_is_named(methods: dict[str, Any], message: str) -> None:
    broken: Any = type("Broken", (Hail,), methods)
    with pytest.raises(GameContractError, match=f"hail: {message}"):
        host(broken())
