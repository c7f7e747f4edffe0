"""What `make` refuses before anything is compiled, and the fingerprint of the rules."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from selfplay.contract import fingerprint, validate
from selfplay.errors import GameContractError
from selfplay.game import Game
from selfplay.games.connect_four import ConnectFour
from selfplay.games.tic_tac_toe import TicTacToe
from tests.conftest import Compilations


class Nim(Game[Any]):
    """Take one or two stones; who takes the last one wins. Without annotations, as users may."""

    name = "nim"
    num_actions = 2
    max_plies = 9

    def init(self, key: Any) -> Any:
        return {"stones": jnp.int32(9), "player": jnp.int32(0)}

    def step(self, state: Any, action: Any) -> Any:
        return {"stones": state["stones"] - action - 1, "player": 1 - state["player"]}

    def current_player(self, state: Any) -> Any:
        return state["player"]

    def legal_action_mask(self, state: Any) -> Any:
        return jnp.arange(1, 3) <= state["stones"]

    def is_terminal(self, state: Any) -> Any:
        return state["stones"] <= 0

    def returns(self, state: Any) -> Any:
        return jnp.where(jnp.arange(2) == state["player"], -1.0, 1.0)

    def observe(self, state: Any) -> Any:
        return state["stones"].astype(jnp.float32)[None]


def changed(**attributes: Any) -> Game[Any]:
    """Returns Nim with attributes replaced; functions become methods."""
    return type("Changed", (Nim,), attributes)()


def test_a_good_game_passes() -> None:
    validate(Nim(), "nim.py")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"name": "My Game"}, "nim.py: name is 'My Game', but must be a short lower-case identi"),
        ({"name": None}, "nim.py: name is None, but"),
        ({"num_actions": 1}, "nim: num_actions is 1, but must be an integer of at least 2"),
        ({"num_actions": 2.0}, "nim: num_actions is 2.0, but"),
        ({"max_plies": 0}, "nim: max_plies is 0, but must be an integer of at least 1"),
        ({"title": 4}, "nim: title is 4, but must be a text"),
        ({"version": "1"}, "nim: version is '1', but must be an integer of at least 1"),
        ({"history_planes": (1,)}, r"nim: history_planes is \(1,\), but observe has planes 0 to 0"),
        (
            {"legal_action_mask": lambda self, state: jnp.ones(3, bool)},
            r"nim: legal_action_mask\(\) returns bool\[3\], but must return bool\[2\]",
        ),
        (
            {"legal_action_mask": lambda self, state: jnp.ones(2)},
            r"nim: legal_action_mask\(\) returns float32\[2\], but must return bool\[2\]",
        ),
        (
            {"current_player": lambda self, state: state["player"] * 1.0},
            r"nim: current_player\(\) returns float32\[\], but must return int32\[\]",
        ),
        (
            {"is_terminal": lambda self, state: jnp.zeros(1, bool)},
            r"nim: is_terminal\(\) returns bool\[1\], but must return bool\[\]",
        ),
        (
            {"returns": lambda self, state: jnp.float32(1)},
            r"nim: returns\(\) returns float32\[\], but must return float32\[2\]",
        ),
        (
            {"observe": lambda self, state: jnp.zeros((3, 3))},
            r"nim: observe\(\) returns float32\[3, 3\], but must return an array \[features\] or",
        ),
        (
            {"observe": lambda self, state: {"board": jnp.zeros(3)}},
            r"nim: observe\(\) returns dict, but must return an array",
        ),
        (
            {"init": lambda self, key: ()},
            r"nim: init\(\) returns tuple, but a state must hold arrays",
        ),
        (
            {"step": lambda self, state, action: state["stones"]},
            r"nim: step\(\) returns ShapeDtypeStruct, but must return a state of the same struct",
        ),
        (
            {"step": lambda self, state, action: state | {"stones": state["stones"] * 0.5}},
            r"nim: step\(\) returns float32\[\] for state\['stones'\], but init gave int32\[\]",
        ),
        (
            {"is_terminal": lambda self, state: bool(state["stones"] > 0)},
            r"nim: is_terminal cannot be traced by JAX: TracerBoolConversionError: .* "
            r"\(test_contract.py, line \d+\)",
        ),
        (
            {"step": lambda self, state, action: 1 // 0},
            r"nim: step cannot be traced by JAX: ZeroDivisionError: .* \(test_contract.py, line",
        ),
    ],
)
def test_a_breach_is_named(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(GameContractError, match=message):
        validate(changed(**attributes), "nim.py")


def test_a_fingerprint_is_the_same_every_time() -> None:
    first = fingerprint(Nim())
    assert len(first) == 16 and int(first, 16) >= 0
    assert fingerprint(Nim()) == first


@pytest.mark.parametrize(
    "attributes",
    [
        {"name": "other"},
        {"version": 2},
        {"max_plies": 8},
        {"init": lambda self, key: {"stones": jnp.int32(8), "player": jnp.int32(0)}},
        {"legal_action_mask": lambda self, state: jnp.arange(1, 3) <= jnp.int32(2)},
        {"current_player": lambda self, state: 1 - state["player"]},
        {"returns": lambda self, state: jnp.array([1.0, -1.0])},
        {"observe": lambda self, state: state["stones"].astype(jnp.float32)[None] * 1.01},
    ],
    ids=lambda attributes: next(iter(attributes)),
)
def test_a_fingerprint_shows_a_change(attributes: dict[str, Any]) -> None:
    assert fingerprint(changed(**attributes)) != fingerprint(Nim())


def test_a_fingerprint_shows_random_starts() -> None:
    def init(self: Any, key: Any) -> Any:
        return {"stones": jax.random.randint(key, (), 3, 10), "player": jnp.int32(0)}

    assert fingerprint(changed(init=init)) == fingerprint(changed(init=init))
    assert fingerprint(changed(init=init)) != fingerprint(Nim())


def test_fingerprints_of_bundled_games_stay() -> None:
    """Runs and records name these: a change of the rules or the observation raises `version`."""
    assert fingerprint(TicTacToe()) == "58c6cc901e1c5208"
    assert fingerprint(ConnectFour()) == "cfe872bb0a5b1a4a"


def test_what_is_known_of_a_bundled_game_is_not_found_out_again(
    compilations: Compilations,
) -> None:
    first = fingerprint(ConnectFour(rows=4, columns=5))
    with compilations() as names:
        assert fingerprint(ConnectFour(rows=4, columns=5)) == first
    assert names == []
    changed = ConnectFour(rows=4, columns=5)
    changed.max_plies = 12
    assert fingerprint(changed) != first
    broken = ConnectFour(rows=4, columns=5)
    validate(broken, "connect_four")
    broken.history_planes = (9,)
    with pytest.raises(GameContractError, match=r"history_planes is \(9,\)"):
        validate(broken, "connect_four")


def test_a_game_of_a_user_is_asked_every_time() -> None:
    class Changing(Nim):
        stones = 9

        def init(self, key: Any) -> Any:
            return {"stones": jnp.int32(self.stones), "player": jnp.int32(0)}

    game = Changing()
    before = fingerprint(game)
    Changing.stones = 7
    assert fingerprint(game) != before
