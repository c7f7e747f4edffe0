"""Rules in plain Python: the same matches as their JAX twin, and every mistake explained."""

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import selfplay
from selfplay.adapters import HostedGame, PythonGame, failures, host
from selfplay.adapters.tree import HostTree
from selfplay.contract import fingerprint
from selfplay.errors import GameContractError, IllegalActionError
from selfplay.game import Game, Solution
from selfplay.games.clobber import Clobber
from selfplay.parallel import ALONG_BATCH, local_mesh, per_device
from selfplay.registry import make
from tests.games.matches import play_randomly

TWIN = Path(__file__).parents[2] / "docs" / "examples" / "clobber_jax.py"
ROWS, COLUMNS = 4, 3


@pytest.fixture(scope="module")
def game() -> HostedGame:
    made = make("clobber", rows=ROWS, columns=COLUMNS)
    assert isinstance(made, HostedGame)
    return made


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    yield
    failures.take()


class Race(PythonGame[list[int]]):
    """Two runners take 1 or 2 steps; who passes the line first wins. Starts apart at random."""

    name = "race"
    num_actions = 3
    max_plies = 8

    def initial_state(self, rng: random.Random) -> list[int]:
        return [rng.randrange(3), rng.randrange(3), 0]

    def apply(self, state: list[int], action: int) -> list[int]:
        after = list(state)
        after[state[2]] += action
        after[2] = 1 - state[2]
        return after

    def legal_actions(self, state: list[int]) -> list[int]:
        return [1, 2]

    def current_player(self, state: list[int]) -> int:
        return state[2]

    def is_terminal(self, state: list[int]) -> bool:
        return max(state[:2]) >= 6

    def returns(self, state: list[int]) -> tuple[float, float]:
        if not self.is_terminal(state):
            return 0.0, 0.0
        return (1.0, -1.0) if state[0] >= 6 else (-1.0, 1.0)

    def observe(self, state: list[int]) -> list[float]:
        return [state[state[2]], state[1 - state[2]]]


def test_random_matches_are_those_of_the_twin_in_jax(game: HostedGame) -> None:
    twin: Game[Any] = make(str(TWIN), rows=ROWS, columns=COLUMNS)
    assert (twin.num_actions, twin.max_plies) == (game.num_actions, game.max_plies)
    number = 0
    for one, other in zip(play_randomly(game, 32), play_randomly(twin, 32), strict=True):
        number += 1
        live = ~one.over
        np.testing.assert_array_equal(one.over, other.over)
        np.testing.assert_array_equal(one.returns, other.returns)
        np.testing.assert_array_equal(one.player[live], other.player[live])
        np.testing.assert_array_equal(one.mask[live], other.mask[live])
        np.testing.assert_array_equal(one.observation[live], other.observation[live])
        np.testing.assert_array_equal(one.actions[live], other.actions[live])
    assert number > 4


def test_a_state_is_rebuilt_from_its_moves_alone(game: HostedGame) -> None:
    """What a checkpoint of another process brings is a state that this host has never seen."""
    last = [ply.states for ply in play_randomly(game, 8)][3]
    stranger = host(Clobber(rows=ROWS, columns=COLUMNS))
    np.testing.assert_array_equal(
        jax.jit(jax.vmap(stranger.observe))(last), jax.jit(jax.vmap(game.observe))(last)
    )
    for row in range(8):
        one = jax.tree.map(lambda leaf, row=row: leaf[row], last)
        assert stranger.render(one) == game.render(one)


def test_moves_are_read_in_capitals_too_and_refused_with_the_legal_ones() -> None:
    rules = Clobber(rows=ROWS, columns=COLUMNS)
    state = rules.initial_state(random.Random(0))
    names = {rules.action_to_string(state, action): action for action in rules.legal_actions(state)}
    for name, action in names.items():
        assert rules.string_to_action(state, f" {name.upper()} ") == action
    with pytest.raises(IllegalActionError, match="'z9' is not a legal move here") as caught:
        rules.string_to_action(state, "z9")
    assert caught.value.hint == f"legal moves: {' '.join(names)}"


def test_forgetting_changes_nothing() -> None:
    small, large = HostTree(Race(), capacity=4), HostTree(Race(), capacity=1000)
    draw = random.Random(1)
    for _ in range(300):
        seed = draw.randrange(4)
        moves = (seed, b"")
        while not large.node(moves).terminal and draw.random() < 0.8:
            moves = large.extend(moves, draw.choice([1, 2]))
        assert small.node(moves).state == large.node(moves).state
        np.testing.assert_array_equal(small.observation(moves), large.observation(moves))
    assert len(small._young) + len(small._old) <= 4


def test_the_example_in_the_documentation_is_a_game() -> None:
    page = (Path(__file__).parents[2] / "docs" / "python-games.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {"selfplay": selfplay}
    exec(code, names)
    game = host(names["Race"]())
    assert game.render(game.init(jax.random.key(0))) == "(0, 0, 0)"


def test_starts_come_from_the_key() -> None:
    race = host(Race())
    starts = jax.vmap(race.init)(jax.random.split(jax.random.key(0), 64))
    seen = np.asarray(jax.vmap(race.observe)(starts))
    assert {tuple(row) for row in seen.tolist()} == {(a, b) for a in range(3) for b in range(3)}
    again = jax.vmap(race.init)(jax.random.split(jax.random.key(0), 64))
    jax.tree.map(np.testing.assert_array_equal, starts, again)


def test_a_game_without_random_starts_has_one_start(game: HostedGame) -> None:
    starts = jax.vmap(game.init)(jax.random.split(jax.random.key(0), 3))
    assert np.asarray(starts.start).tolist() == [0, 0, 0]


def test_what_cannot_be_played_changes_nothing(game: HostedGame) -> None:
    state = game.init(jax.random.key(0))
    illegal = int(np.flatnonzero(~np.asarray(game.legal_action_mask(state)))[0])
    for action in (illegal, -1, game.num_actions):
        jax.tree.map(np.testing.assert_array_equal, state, game.step(state, jnp.int32(action)))


def test_each_device_asks_for_itself(game: HostedGame) -> None:
    mesh = local_mesh()
    assert mesh.size == 2
    starts = jax.vmap(game.init)(jax.random.split(jax.random.key(0), 8))
    legal = np.flatnonzero(np.asarray(game.legal_action_mask(game.init(jax.random.key(0)))))
    actions = jnp.array(np.resize(legal, 8), jnp.int32)
    step = jax.vmap(lambda state, action: game.observe(game.step(state, action)))
    spread = per_device(step, mesh, in_specs=(ALONG_BATCH, ALONG_BATCH), out_specs=ALONG_BATCH)
    seen = np.asarray(jax.jit(spread)(starts, actions))
    for row, action in enumerate(actions.tolist()):
        wanted = game.rules.observe(
            game.rules.apply(game.rules.initial_state(random.Random(0)), action)
        )
        np.testing.assert_array_equal(seen[row], np.array(wanted))


def test_the_way_through_copies_gives_the_same(
    game: HostedGame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where programs run on an accelerator, arrays are copied to the host and back."""

    def look(key: Any) -> Any:
        state = game.step(game.init(key), jnp.int32(1))
        return game.observe(state), game.legal_action_mask(state)

    keys = jax.random.split(jax.random.key(0), 3)
    here = jax.jit(jax.vmap(look))(keys)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    there = jax.jit(jax.vmap(lambda key: look(key)))(keys)
    jax.tree.map(np.testing.assert_array_equal, here, there)


def test_it_shows_itself(game: HostedGame) -> None:
    state = game.init(jax.random.key(0))
    assert game.render(state) == " 4 x o x\n 3 o x o\n 2 x o x\n 1 o x o\n   a b c\nx to move"
    action = game.string_to_action(state, "A4B4")
    assert game.action_to_string(state, action) == "a4b4"
    with pytest.raises(IllegalActionError, match="'a4a5' is not a legal move here"):
        game.string_to_action(state, "a4a5")
    after = game.step(state, jnp.int32(action))
    assert game.render(after).startswith(" 4 . x x\n")
    board = game.board(after)
    assert board is not None and board.cells[:3] == ["", "x", "x"]
    assert (3, 6) in board.clicks


def test_the_last_stone_wins() -> None:
    rules = Clobber(rows=2, columns=2)
    state = rules.initial_state(random.Random(0))
    for name in ("a2b2", "a1b1", "b2b1"):
        assert not rules.is_terminal(state) and rules.returns(state) == (0, 0)
        state = rules.apply(state, rules.string_to_action(state, name))
    assert rules.is_terminal(state) and rules.returns(state) == (1, -1)
    assert rules.render(state) == " 2 . .\n 1 . x\n   a b\nx wins"


def test_the_fingerprint_is_that_of_the_rules(game: HostedGame) -> None:
    assert fingerprint(game) == fingerprint(host(Clobber(rows=ROWS, columns=COLUMNS)))
    assert fingerprint(host(Race())) != fingerprint(game)


def test_a_solver_is_there_if_the_user_wrote_one() -> None:
    class Solved(Race):
        def solve(self, state: list[int]) -> Solution:
            return Solution(value=1.0, actions=[2])

    assert type(host(Race())).solve is Game.solve
    solved = host(Solved())
    assert type(solved).solve is not Game.solve
    assert solved.solve(solved.init(jax.random.key(0))) == Solution(value=1.0, actions=[2])


def broken(**methods: Any) -> type[Race]:
    return type("Broken", (Race,), methods)


def mutating(self: Race, state: list[int], action: int) -> list[int]:
    state[state[2]] += action
    state[2] = 1 - state[2]
    return state


def emptying(self: Race, state: list[int], action: int) -> list[int]:
    player = state.pop()  # a second call with this state fails, and so does current_player
    state[player] += action
    return [*state, 1 - player]


NUMBERS = itertools.count()
BROKEN: list[tuple[dict[str, Any], str, str]] = [
    (
        {"apply": mutating},
        r"apply\(state, \d\) changes the state it was given: afterwards \w+\(state\) answers "
        "otherwise; copy the state first",
        "in the first position",
    ),
    (
        {"apply": emptying},
        r"apply\(state, \d\) changes the state it was given: afterwards \w+\(state\) answers ",
        "in the first position",
    ),
    (
        {"apply": lambda self, state, action: [next(NUMBERS) % 5, 0, 1 - state[2]]},
        "apply with the same arguments leads to states of which .* answers differently",
        "after the moves",
    ),
    (
        {"initial_state": lambda self, rng: [random.random(), 0, 0]},
        "initial_state with the same rng leads to states of which observe answers differently",
        "in the first position",
    ),
    (
        {"legal_actions": lambda self, state: [0, 3]},
        r"legal_actions is \[0, 3\], but must hold integers from 0 to 2",
        "in the first position",
    ),
    (
        {"legal_actions": lambda self, state: [1] if max(state[:2]) < 4 else []},
        "legal_actions is empty, but the match is not over",
        "after the moves",
    ),
    (
        {"current_player": lambda self, state: 2},
        "current_player is 2, but must be 0 or 1",
        "in the first position",
    ),
    (
        {"returns": lambda self, state: (1.0, 0.0)},
        r"returns is \(1, 0\), but must sum to 0 and be in \[-1, 1\]",
        "in the first position",
    ),
    ({"returns": lambda self, state: 0.0}, "returns is 0.0, but must be two numbers", ""),
    (
        {"observe": lambda self, state: [[1, 2], [3]]},
        "observe must return numbers in nested lists of one length each",
        "in the first position",
    ),
    (
        {"observe": lambda self, state: [1.0] * (3 + state[2])},
        r"observe has shape \[4\], but had \[3\] in the first position",
        "after the moves",
    ),
    (
        {"observe": lambda self, state: 1.0},
        r"observe has shape \[\], but must have \[features\] or \[height, width, planes\]",
        "in the first position",
    ),
    (
        {"is_terminal": lambda self, state: True},
        "is_terminal is true before the first move",
        "in the first position",
    ),
    (
        {"apply": lambda self, state, action: state[7]},
        r"apply\(state, \d\) fails: IndexError: list index out of range "
        r"\(test_python_game.py, line \d+\)",
        "in the first position",
    ),
    ({"num_actions": "six"}, "num_actions is 'six', but must be an integer of at least 2", ""),
]


@pytest.mark.parametrize(("methods", "message", "hint"), BROKEN)
def test_a_mistake_is_named_with_the_moves_that_show_it(
    methods: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(GameContractError, match=f"race: {message}") as caught:
        host(broken(**methods)())
    assert caught.value.hint.startswith(hint)


def late(method: str) -> Callable[..., Any]:
    """A method that fails at a place that no short look finds."""
    right = getattr(Race, method)

    def fails(self: Race, state: list[int], *rest: int) -> Any:
        if state[0] == 5:
            raise ValueError("five is not my number")
        return right(self, state, *rest)

    return fails


@pytest.mark.parametrize("method", ["apply", "observe"])
def test_a_mistake_inside_a_compiled_program_is_kept_for_whoever_meets_the_error(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selfplay.adapters.hosted.probe", lambda tree: None)
    race = host(broken(**{method: late(method), "initial_state": lambda self, rng: [3, 0, 0]})())
    after = race.step(race.init(jax.random.key(0)), jnp.int32(2))
    play = jax.jit(lambda state: race.step(race.step(state, jnp.int32(1)), jnp.int32(1)))
    if method == "observe":
        # Not an exception: in the learner another device would wait forever.
        assert np.isnan(np.asarray(jax.jit(race.observe)(after))).all()
    with pytest.raises(jax.errors.JaxRuntimeError, match="five is not my number"):
        jax.block_until_ready(play(after))
    kept = failures.take()
    assert kept is not None and failures.take() is None
    assert "fails: ValueError: five is not my number (test_python_game.py, line" in str(kept)
    assert kept.hint.startswith("after the moves 2")
