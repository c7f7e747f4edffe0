"""Games of pgx and OpenSpiel: the same matches as selfplay's own, and clear refusals."""

import random
import sys
from typing import Any

import jax
import numpy as np
import pytest

from selfplay.adapters import PythonChanceGame
from selfplay.adapters.open_spiel import make_open_spiel
from selfplay.adapters.pgx_game import PgxGame
from selfplay.errors import ConfigError, MissingExtraError, SelfplayError, UnknownGameError
from selfplay.game import ChanceGame, Game
from selfplay.registry import make
from tests.games.matches import Played, play_randomly

MATCHES = 24


@pytest.fixture(scope="module")
def connect_four() -> list[Played]:
    return list(play_randomly(make("connect_four"), MATCHES, seed=5))


def require_the_same(one: list[Played], other: list[Played]) -> None:
    """Players, legal moves, ends and results at every ply of matches of the same moves."""
    assert len(one) == len(other)
    for first, second in zip(one, other, strict=True):
        live = ~first.over
        np.testing.assert_array_equal(first.over, second.over)
        np.testing.assert_array_equal(first.returns, second.returns)
        np.testing.assert_array_equal(first.player[live], second.player[live])
        np.testing.assert_array_equal(first.mask[live], second.mask[live])
        np.testing.assert_array_equal(first.actions[live], second.actions[live])


@pytest.mark.parametrize("spec", ["pgx:connect_four", "open_spiel:connect_four"])
def test_connect_four_is_connect_four(spec: str, connect_four: list[Played]) -> None:
    game = make(spec)
    assert game.name == spec.replace(":", "_")
    found = list(play_randomly(game, MATCHES, seed=5))
    require_the_same(connect_four, found)
    if spec.startswith("pgx"):
        for first, second in zip(connect_four, found, strict=True):
            own, theirs = second.observation[..., 0], second.observation[..., 1]
            live = ~first.over
            np.testing.assert_array_equal(first.observation[live, ..., 0], own[live])
            np.testing.assert_array_equal(first.observation[live, ..., 1], theirs[live])


def test_clobber_is_clobber_move_by_move() -> None:
    """OpenSpiel numbers the moves otherwise: they are matched by name."""
    ours, theirs = make("clobber").rules, make("open_spiel:clobber").rules  # type: ignore[attr-defined]
    draw = np.random.default_rng(2)
    for _ in range(10):
        one, other = (rules.initial_state(random.Random(0)) for rules in (ours, theirs))
        while not ours.is_terminal(one):
            assert not theirs.is_terminal(other)
            assert ours.current_player(one) == theirs.current_player(other)
            names = {ours.action_to_string(one, a): a for a in ours.legal_actions(one)}
            named = {theirs.action_to_string(other, a): a for a in theirs.legal_actions(other)}
            assert names.keys() == named.keys()
            name = str(draw.choice(sorted(names)))
            one, other = ours.apply(one, names[name]), theirs.apply(other, named[name])
        assert theirs.is_terminal(other)
        assert list(ours.returns(one)) == list(theirs.returns(other))


@pytest.mark.parametrize(
    ("spec", "actions", "plies", "shape"),
    [
        ("pgx:tic_tac_toe", 9, 9, (3, 3, 2)),
        ("pgx:hex", 122, 122, (11, 11, 4)),
        ("pgx:go_9x9", 82, 162, (9, 9, 17)),
        ("open_spiel:hex(board_size=4)", 16, 16, (4, 4, 10)),
        ("open_spiel:nim", 29, 16, (40,)),
        ("open_spiel:checkers", 512, 512, (8, 8, 6)),
    ],
)
def test_sizes(spec: str, actions: int, plies: int, shape: tuple[int, ...]) -> None:
    game = make(spec)
    assert (game.num_actions, game.max_plies) == (actions, plies)
    state = jax.eval_shape(game.init, jax.random.key(0))
    assert jax.eval_shape(game.observe, state).shape == shape


def test_player_0_begins_whomever_pgx_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    import pgx

    env = pgx.make("tic_tac_toe")
    key = next(
        key
        for key in jax.random.split(jax.random.key(0), 32)
        if int(env.init(key).current_player) == 1
    )
    with monkeypatch.context() as patch:
        patch.setattr(env, "init", lambda _, real=env.init: real(key))
        swapped = PgxGame("swapped", env, 9)
    plain = make("pgx:tic_tac_toe")
    one, other = (list(play_randomly(game, 16)) for game in (plain, swapped))
    require_the_same(one, other)
    assert np.asarray(one[0].player).tolist() == [0] * 16
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first.observation, second.observation)


def test_a_pgx_state_holds_no_observation() -> None:
    state = jax.eval_shape(make("pgx:go_9x9").init, jax.random.key(0))
    names = {"observation", "rewards", "legal_action_mask", "truncated"}
    assert not names & state.fields.keys()


CHANCE = [
    # Actions, outcomes, plies, shape of the observation.
    ("backgammon", 1352, 36, 512, (201,)),
    ("banqi", 1056, 14, 512, (515,)),
    ("einstein_wurfelt_nicht", 300, 6, 112, (301,)),
    ("maedn", 45, 6, 512, (239,)),
    ("pig(winscore=20,horizon=60)", 2, 6, 60, (64,)),
    ("yacht", 44, 7776, 96, (39,)),
]


@pytest.mark.parametrize(("name", "actions", "outcomes", "plies", "shape"), CHANCE)
def test_dice_of_openspiel(
    name: str, actions: int, outcomes: int, plies: int, shape: tuple[int, ...]
) -> None:
    """Random matches in the rules, as OpenSpiel itself plays and weighs them."""
    import pyspiel

    game = pyspiel.load_game(name)
    rules = make_open_spiel(name, {})
    assert isinstance(rules, PythonChanceGame)
    assert (rules.num_actions, rules.num_outcomes, rules.max_plies) == (actions, outcomes, plies)
    draw = random.Random(3)
    rolls = 0
    starts = {str(rules.initial_state(random.Random(seed))) for seed in range(20)}
    assert (len(starts) > 5) == game.new_initial_state().is_chance_node()
    for seed in range(3):
        state = rules.initial_state(random.Random(seed))
        own = game.new_initial_state()
        for action in state.history():
            own.apply_action(action)
        for _ in range(plies):
            if rules.is_terminal(state):
                break
            assert np.asarray(rules.observe(state)).size == np.prod(shape)
            assert rules.current_player(state) == own.current_player()
            legal = rules.legal_actions(state)
            assert legal == own.legal_actions()
            names = [rules.action_to_string(state, action) for action in legal]
            assert len(set(names)) == len(names) and not any(" " in name for name in names)
            action = draw.choice(legal)
            before = str(state)
            after = rules.apply(state, action)
            assert str(state) == before
            own.apply_action(action)
            if not rules.is_terminal(after) and rules.is_chance(after):
                rolls += 1
                likely = rules.chance_probabilities(after)
                assert len(likely) == outcomes
                assert {o: p for o, p in enumerate(likely) if p} == dict(own.chance_outcomes())
                possible = [outcome for outcome, chance in enumerate(likely) if chance]
                some = possible[:60]
                assert len({rules.outcome_to_string(after, roll) for roll in some}) == len(some)
                outcome = draw.choice(possible)
                after = rules.resolve(after, outcome)
                own.apply_action(outcome)
            assert not own.is_chance_node()
            state = after
        scale = 3 if name == "maedn" else 1
        assert rules.returns(state) == [value / scale for value in own.returns()]
    assert rolls > 20


def test_a_game_with_dice_is_searched_as_one() -> None:
    game = make("open_spiel:pig", winscore=20, horizon=60)
    assert isinstance(game, ChanceGame) and game.name == "open_spiel_pig"
    last = list(play_randomly(game, MATCHES, seed=5))[-1]
    for row in range(MATCHES):
        state = jax.tree.map(lambda leaf, row=row: leaf[row], last.states)
        own = game.own_state(state)  # type: ignore[attr-defined]
        assert own.is_terminal() and own.returns() == last.returns[row].tolist()
        # Moves and outcomes as OpenSpiel counts them.
        assert own.history() == np.asarray(state.moves)[: int(state.length)].tolist()


def test_two_chance_events_in_a_row_are_refused() -> None:
    class After:
        def is_chance_node(self) -> bool:
            return True

    class State:
        def child(self, outcome: int) -> After:
            return After()

    rules = make_open_spiel("pig", {})
    assert isinstance(rules, PythonChanceGame)
    with pytest.raises(ValueError, match="two chance events in a row"):
        rules.resolve(State(), 0)


def test_returns_are_parts_of_the_most_one_can_win() -> None:
    class Rich:
        """A game of OpenSpiel that pays up to 4."""

        def __getattr__(self, name: str) -> Any:
            real = make_open_spiel("tic_tac_toe", {})._game
            return {"min_utility": lambda: -4.0, "max_utility": lambda: 4.0}.get(
                name, getattr(real, name)
            )

    from selfplay.adapters.open_spiel import OpenSpielGame

    game = OpenSpielGame("rich", Rich(), 9)
    state = game.initial_state(random.Random(0))
    for action in (0, 3, 1, 4, 2):
        state = game.apply(state, action)
    assert game.returns(state) == [0.25, -0.25]


def error_of(expected: type[SelfplayError], spec: str, **options: object) -> tuple[str, str]:
    with pytest.raises(expected) as caught:
        make(spec, **options)
    return str(caught.value), caught.value.hint


def test_options_reach_the_library() -> None:
    assert "cannot be made with size=5: TypeError" in error_of(ConfigError, "pgx:hex", size=5)[0]
    assert make("pgx:go", size=5).max_plies == 50
    assert make("open_spiel:breakthrough", rows=5, columns=4).num_actions < 768
    assert make("open_spiel:chess", max_plies=40).max_plies == 40
    assert error_of(ConfigError, "pgx:hex", sise=5) == (
        "pgx:hex has no option 'sise'",
        "its options: size",
    )
    assert error_of(ConfigError, "open_spiel:hex", size=5) == (
        "open_spiel:hex has no option 'size'",
        "its options: board_size, num_cols, num_rows, plain_obs_tensor, string_rep, swap, "
        "max_plies",
    )
    assert error_of(ConfigError, "open_spiel:chess", max_plies=0)[0] == (
        "max_plies is 0, but must be an integer of at least 1"
    )


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("pgx:kuhn_poker", "its players do not see everything"),
        ("pgx:2048", "it is for one player"),
        ("pgx:minatar-asterix", "it is for one player"),
        ("pgx:backgammon", "it has dice inside"),
        ("open_spiel:kuhn_poker", "its players do not see everything"),
        ("open_spiel:matrix_rps", "its players move at the same time"),
        ("open_spiel:skat", "it is for 3 players, not two"),
    ],
)
def test_what_cannot_be_played_is_refused_with_the_reason(spec: str, reason: str) -> None:
    assert error_of(ConfigError, spec)[0].startswith(f"{spec} cannot be played here: {reason}")


def test_an_unknown_game_gets_a_suggestion() -> None:
    message, hint = error_of(UnknownGameError, "pgx:go_9x8")
    assert message == "pgx has no game 'go_9x8'" and hint.startswith("did you mean pgx:go_9x9? ")
    assert error_of(UnknownGameError, "open_spiel:conect_four") == (
        "OpenSpiel has no game 'conect_four'",
        "did you mean open_spiel:connect_four?",
    )


@pytest.mark.parametrize(
    ("module", "spec", "install"),
    [
        ("pgx", "pgx:hex", 'pip install "selfplay-jax[pgx]"'),
        ("pyspiel", "open_spiel:hex", 'pip install "selfplay-jax[openspiel]"'),
    ],
)
def test_a_missing_extra_gives_the_install_line(
    module: str, spec: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert error_of(MissingExtraError, spec)[1] == install


def test_moves_and_positions_are_shown_as_openspiel_has_them() -> None:
    game: Game[Any] = make("open_spiel:breakthrough", rows=5, columns=4)
    state = game.init(jax.random.key(0))
    assert game.render(state).startswith("5bbbb\n")
    action = game.string_to_action(state, "A5b4")
    assert game.action_to_string(state, action) == "a5b4"
