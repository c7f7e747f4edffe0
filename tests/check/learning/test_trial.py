"""What a short training shows of a game."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from selfplay.check.guessing.guesses import Guesses
from selfplay.check.learning.evidence import Evidence
from selfplay.check.learning.result import ENOUGH, Amount, Score, verdict_of
from selfplay.check.learning.suspicions import notes, suspicions
from selfplay.check.learning.trial import _score, _tables, run_trial
from selfplay.errors import ConfigError
from selfplay.registry import GameSpec, make

BROKEN = Path(__file__).parents[1] / "planted" / "learning.py"

FEW = Amount(updates=40, matches=50, positions=1_000)

GUESSES = Guesses(
    matches=4096,
    positions=40_000,
    wins=(2400, 1600),
    blind=False,
    named=False,
    mover=0.2,
    player_zero=0.01,
    player_zero_t=-8.0,
    canonical=0.02,
    canonical_t=-7.0,
)
SOUND = Evidence(
    decided=1000,
    wins=(600, 400),
    truncated_share=0.0,
    late_matches=1000,
    value_fit=(0.4, 0.3),
    target_entropy=0.4,
    illegal_moves=0,
    guesses=GUESSES,
)


def score(low: float, high: float, agent: str = "agent", opponent: str = "mcts:50") -> Score:
    return Score(
        agent=agent,
        opponent=opponent,
        score=(low + high) / 2,
        low=low,
        high=high,
        matches=64,
        by_seat=(0.5, 0.5),
    )


@pytest.mark.parametrize(
    ("network", "searched", "amount", "verdict"),
    [
        ((0.6, 0.8), (0.55, 0.7), ENOUGH, "learned"),
        ((0.6, 0.8), (0.4, 0.6), ENOUGH, "learned"),
        ((0.6, 0.8), (0.1, 0.3), ENOUGH, "learning"),
        ((0.5, 0.7), (0.9, 1.0), ENOUGH, "not learned"),
        ((0.2, 0.4), (0.1, 0.3), ENOUGH, "not learned"),
        # A busy machine that made few updates proves nothing against the game.
        ((0.2, 0.4), (0.1, 0.3), FEW, "undecided"),
        ((0.2, 0.4), (0.1, 0.3), dataclasses.replace(ENOUGH, matches=251), "undecided"),
        ((0.2, 0.4), (0.1, 0.3), dataclasses.replace(ENOUGH, positions=5_000), "undecided"),
        ((0.6, 0.8), (0.4, 0.6), FEW, "learned"),
    ],
)
def test_a_network_that_foretells_nothing_must_beat_random_play(
    network: tuple[float, float], searched: tuple[float, float], amount: Amount, verdict: str
) -> None:
    scores = [score(*network, "network", "random"), score(*searched)]
    foretells_nothing = dataclasses.replace(SOUND, value_fit=(0.05, 0.1))
    assert verdict_of(scores, foretells_nothing, amount) == verdict


@pytest.mark.parametrize(
    ("fits", "late_matches", "verdict"),
    [
        ((0.4, 0.3), 1000, "learned"),
        # So high by chance in one of a thousand.
        ((0.4, 0.3), 40, "not learned"),
        ((0.4, None), 1000, "not learned"),
        ((0.5, -0.4), 1000, "not learned"),
    ],
)
def test_values_that_foretell_the_results_will_do(
    fits: tuple[float | None, float | None], late_matches: int, verdict: str
) -> None:
    scores = [score(0.4, 0.6, "network", "random"), score(0.4, 0.6)]
    evidence = dataclasses.replace(SOUND, value_fit=fits, late_matches=late_matches)
    assert verdict_of(scores, evidence, ENOUGH) == verdict


def test_a_sound_game_has_no_suspicions() -> None:
    assert suspicions(SOUND) == []
    assert suspicions(dataclasses.replace(SOUND, guesses=None)) == []
    assert notes(SOUND, updates=600, age=100) == []


@pytest.mark.parametrize(
    ("change", "suspect"),
    [
        ({"illegal_moves": 3}, "mask leakage: 3 matches"),
        (
            {"wins": (600, 0), "guesses": dataclasses.replace(GUESSES, wins=(4000, 0))},
            "value sign: player 1 won none of 4,600 decided matches",
        ),
        ({"value_fit": (0.5, -0.4)}, "value sign: the predicted value of player 1"),
        ({"value_fit": (0.01, -0.02)}, "observation: after training the predicted values"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], suspect: str) -> None:
    (text,) = suspicions(dataclasses.replace(SOUND, **change))
    assert text.startswith(suspect)


@pytest.mark.parametrize(
    ("change", "suspect"),
    [
        ({"blind": True}, "observation: it is the same in all of 40,000 positions"),
        (
            {"mover": 0.02, "player_zero": 0.2, "player_zero_t": 9.0},
            "observation side: observe seems to show player 0's side to both",
        ),
        (
            {"mover": 0.02, "canonical": 0.2, "canonical_t": 9.0},
            "value sign: returns seems to be [result of whoever is to move",
        ),
        # Both readings beat the usual one: the better of them counts.
        (
            {"mover": 0.02, "player_zero": 0.1, "player_zero_t": 5.0, "canonical": 0.2,
             "canonical_t": 6.0},
            "value sign",
        ),
        (
            {"mover": 0.02, "player_zero": 0.2, "player_zero_t": 9.0, "canonical": 0.1,
             "canonical_t": 6.0},
            "observation side",
        ),
        # An observation that says whose move it is may show player 0's side.
        ({"named": True, "mover": 0.02, "player_zero": 0.2, "player_zero_t": 9.0}, None),
        # Better, but not by much, or not for sure, or of next to nothing.
        ({"mover": 0.15, "player_zero": 0.2, "player_zero_t": 9.0}, None),
        ({"mover": 0.02, "player_zero": 0.2, "player_zero_t": 3.0}, None),
        ({"mover": 0.0, "player_zero": 0.04, "player_zero_t": 9.0}, None),
        ({"canonical": None}, None),
    ],
)  # fmt: skip
def test_how_results_are_best_guessed_names_the_mistake(
    change: dict[str, Any], suspect: str | None
) -> None:
    guesses = dataclasses.replace(GUESSES, **change)
    found = suspicions(dataclasses.replace(SOUND, guesses=guesses))
    assert len(found) == (suspect is not None)
    assert not found or found[0].startswith(str(suspect))


def test_a_few_matches_prove_nothing() -> None:
    few = dataclasses.replace(SOUND, late_matches=20, wins=(60, 0), guesses=None)
    for fits in ((0.01, -0.02), (0.5, -0.4)):
        assert suspicions(dataclasses.replace(few, value_fit=fits)) == []


def test_a_training_from_beginning_to_end(tmp_path: Path) -> None:
    said: list[str] = []
    result = run_trial(
        GameSpec("tic_tac_toe"),
        updates=6,
        num_matches=4,
        opponents=("random",),
        settings={
            "network": {"kind": "mlp", "blocks": 1, "channels": 8},
            "search": {"num_simulations": 4, "max_considered_actions": 4},
            "rollout": {"matches_per_device": 8, "plies_per_chunk": 4},
            "replay": {"first_positions": 100},
            "learner": {"batch_size": 16},
        },
        directory=tmp_path / "run",
        say=said.append,
    )
    assert result.updates == 6
    assert result.matches > 0
    assert result.positions >= 100
    assert result.evidence["illegal_moves"] == 0
    assert {(one.agent, one.opponent) for one in result.scores} == {
        ("network", "random"),
        ("agent", "random"),
    }
    assert any(text.startswith("only 6 updates were made") for text in result.notes)
    assert "playing matches" in said
    assert result.verdict in ("learned", "learning", "undecided")
    assert result.to_dict()["learned"] == result.learned
    assert result.facts()[-1][0] == "verdict"


@pytest.mark.parametrize(("seconds", "matches"), [(-1.0, 16), (1e9, 20)])
def test_matches_that_take_long_are_fewer(
    seconds: float, matches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selfplay.check.learning.trial._FIRST_SECONDS", seconds)
    tables = _tables(make("tic_tac_toe"), "random", "random", 20, 0)
    score = _score("network", "random", tables)
    assert score.matches == matches
    assert score.score == pytest.approx(sum(score.by_seat) / 2)
    assert score.low < score.score < score.high


def test_a_time_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="minutes is 0"):
        run_trial(GameSpec("tic_tac_toe"), minutes=0.0)


@pytest.mark.slow
def test_a_sound_game_is_learnt() -> None:
    result = run_trial(GameSpec(f"{BROKEN}:Counted"))
    assert result.learned, result


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "suspect"),
    [
        ("WinsOfPlayerOneAreLost", "value sign: player 1 won none"),
        ("PlayerZeroFirst", "observation side"),
        ("NothingIsShown", "observation: it is the same"),
    ],
)
def test_mistakes_that_only_learning_shows_are_named(name: str, suspect: str) -> None:
    result = run_trial(GameSpec(f"{BROKEN}:{name}"))
    assert not result.learned
    assert any(text.startswith(suspect) for text in result.suspects), result
