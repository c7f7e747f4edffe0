"""Every planted mistake is found, with the fewest moves; sound games are found sound."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from selfplay.check import conformance
from selfplay.check.conformance import check_game, examine
from selfplay.check.laws.table import LAWS
from selfplay.errors import ConfigError, GameContractError
from selfplay.game import Game, Position, advance, legal_actions, start
from selfplay.registry import game_names, make
from selfplay.runtime.memory_plan import compact_tree_bytes
from tests.check.planted.games import (
    BROKEN,
    SOUND,
    Broken,
    GoalsAreNotShown,
    PermutationTheOtherWayRound,
    Plain,
    TurnIsNeverHandedOver,
    Walk,
    WinsOfPlayerOneGoToPlayerZero,
)
from tests.check.planted.learning import UNPROVEN
from tests.check.planted.warned import WithSeat

MATCHES = 16


def test_the_corpus_is_large_and_names_laws() -> None:
    assert len(BROKEN) >= 25
    assert len({one.game for one in BROKEN}) == len(BROKEN)
    assert {one.rule for one in BROKEN} <= set(LAWS)


@pytest.mark.parametrize("one", BROKEN, ids=lambda one: one.game.__name__)
def test_a_planted_mistake_is_found(one: Broken) -> None:
    game = one.game(**one.options)
    report = examine(game, matches=MATCHES, measures=one.measures)
    texts = [fault.to_text() for fault in report.faults]
    assert [fault.rule for fault in report.faults] == [one.rule], texts
    (fault,) = report.faults
    assert not report.ok
    assert fault.message in " ".join(texts[0].split())
    if one.moves is not None:
        assert len(fault.moves) == one.moves, texts
        assert fault.before
    _replay(game, fault.moves, fault.outcomes, fault.start_key)


def _replay(
    game: Game[Any], moves: tuple[int, ...], outcomes: tuple[int, ...], key: tuple[int, int]
) -> None:
    """Fails unless the moves are legal one after the other."""
    if not moves:
        return
    position: Position[Any] = start(game, jax.random.wrap_key_data(jnp.array(key, jnp.uint32)))
    play = jax.jit(lambda position, action, outcome: advance(game, position, action, outcome))
    for action, outcome in zip(moves, outcomes, strict=True):
        assert action in legal_actions(game, position.state)
        position = play(position, jnp.int32(action), jnp.int32(max(0, outcome))).position


@pytest.mark.parametrize("game", SOUND, ids=lambda game: game.name)
def test_a_sound_game_is_found_sound(game: Game[Any]) -> None:
    report = examine(game, matches=MATCHES, measures=False)
    assert report.ok, [fault.to_text() for fault in report.faults]
    assert report.measures["matches"] == MATCHES
    assert report.measures["never_legal"]["count"] == 0


def test_moves_are_left_out_where_random_play_finds_the_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without looking at all short lists first, the list is still the shortest there is."""
    monkeypatch.setattr(conformance, "_BREADTH_FIRST_MOVES", 0)
    for game, rule in (
        (WinsOfPlayerOneGoToPlayerZero(), "value-sign"),
        (GoalsAreNotShown(), "seats"),
    ):
        (fault,) = examine(game, matches=MATCHES, measures=False).faults
        assert (fault.rule, len(fault.moves)) == (rule, 5)


def test_the_moves_are_shown_with_boards_and_advice() -> None:
    with pytest.raises(GameContractError) as caught:
        check_game(WinsOfPlayerOneGoToPlayerZero(), matches=MATCHES)
    text = str(caught.value)
    assert text.startswith(
        "plain breaks the contract of a game in 1 way:\n\nvalue-sign: returns is"
    )
    assert "before       after\n" in text
    assert "x wins" in text
    assert "  change: returns must be [result of player 0, result of player 1]" in text


def test_a_wrong_permutation_is_shown_by_one_action() -> None:
    (fault,) = examine(PermutationTheOtherWayRound(), matches=MATCHES, measures=False).faults
    # At first the corner a3 is closed, and the turned board has its hole elsewhere.
    assert re.search(
        r"of the legal ones: action \d \(..\) (is legal, its image \d \(..\) is not|"
        r"is not, its image \d \(..\) is legal)$",
        fault.message,
    )


def test_what_one_fault_explains_is_no_warning() -> None:
    report = examine(TurnIsNeverHandedOver(), matches=MATCHES, measures=False)
    assert report.measures["first_player_score"] == 1.0
    assert "player" in [fault.rule for fault in report.faults]
    assert "one-never-wins" not in [warning.rule for warning in report.warnings]


def test_random_play_of_a_few_matches_says_how_little_it_tells() -> None:
    found = examine(Plain(), matches=MATCHES, measures=False).measures
    low, high = found["first_player_interval"]
    # Player 0 scores 64.85 % in random play: 58.49 % wins and 12.70 % draws.
    assert low < 0.6485 < high
    assert 0.1 < high - low < 0.5


@pytest.mark.parametrize(("game", "law"), UNPROVEN, ids=[law for _, law in UNPROVEN])
def test_what_no_twin_proves_is_judged_by_thousands_of_random_matches(
    game: Game[Any], law: str
) -> None:
    report = examine(game, matches=MATCHES, measures=False)
    assert [fault.rule for fault in report.faults] == [law]
    assert report.faults[0].moves
    twin = report.measures["twin"]
    assert twin["read_matches"] > 1000
    assert law not in twin["unproven"]


def test_an_extra_plane_for_the_seat_is_no_fault() -> None:
    report = check_game(WithSeat(), matches=MATCHES)
    assert report.ok and not report.warnings
    twin = report.measures["twin"]
    assert (twin["alike"], twin["unproven"], twin["read_matches"]) == (MATCHES, [], 0)


def test_measures() -> None:
    report = check_game(Walk(), matches=MATCHES, measures=True)
    found = report.measures
    assert found["state_bytes"] == 8
    assert found["observation_shape"] == [11]
    assert found["match_plies"]["least"] >= 5
    assert found["match_plies"]["most"] <= 9
    assert found["legal_actions"]["mean"] == 2
    # As the memory planner has it: 38 bytes of a node, 6 of an action, the state and its ply.
    assert found["tree_bytes_per_device"] == 33 * 64 * (38 + 6 * 2 + 8 + 4)
    assert found["tree_bytes_per_device"] == 64 * compact_tree_bytes(2, 32, 8)
    assert found["plies_per_second"] > 0
    assert set(found["compile_seconds"]) > {"step", "init", "observe"}
    assert report.to_dict()["measures"] == found


def test_too_few_matches_are_refused() -> None:
    with pytest.raises(ConfigError, match="matches is 1, but must be at least 8"):
        check_game(Walk(), matches=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", game_names())
def test_no_false_alarm_in_a_thousand_random_matches(name: str) -> None:
    report = examine(make(name), matches=1000, seed=1, measures=False)
    assert report.ok, [fault.to_text() for fault in report.faults]
