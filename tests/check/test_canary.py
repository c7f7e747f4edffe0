"""What a short training shows of a game."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from selfplay.check.canary import Score, _suspects, _verdict, canary
from selfplay.check.evidence import Evidence, carried_over
from selfplay.errors import ConfigError
from selfplay.registry import GameSpec

BROKEN = Path(__file__).parent / "broken" / "learning.py"

SOUND = Evidence(
    decided=1000,
    wins=(600, 400),
    truncated_share=0.0,
    late_positions=3000,
    value_fit=(0.4, 0.3),
    target_entropy=0.4,
    illegal_moves=0,
    side_same=0.3,
    side_across=0.25,
    side_positions=1000,
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
    ("network", "searched", "verdict"),
    [
        ((0.6, 0.8), (0.55, 0.7), "learned"),
        ((0.6, 0.8), (0.4, 0.6), "learned"),
        ((0.6, 0.8), (0.1, 0.3), "learning"),
        ((0.5, 0.7), (0.9, 1.0), "not learned"),
        ((0.2, 0.4), (0.1, 0.3), "not learned"),
    ],
)
def test_the_network_alone_must_beat_random_play(
    network: tuple[float, float], searched: tuple[float, float], verdict: str
) -> None:
    scores = [score(*network, "network", "random"), score(*searched)]
    assert _verdict(scores) == verdict


def test_a_sound_game_has_no_suspects() -> None:
    assert _suspects(SOUND) == []


@pytest.mark.parametrize(
    ("change", "suspect"),
    [
        ({"illegal_moves": 3}, "mask leakage: 3 matches"),
        ({"wins": (1000, 0)}, "value sign: player 1 won none of 1,000"),
        ({"side_same": 0.4, "side_across": -0.4}, "observation side: what is good for player 0"),
        ({"value_fit": (0.5, -0.4)}, "value sign: the predicted value of player 1"),
        ({"value_fit": (0.01, -0.02)}, "observation: after training the predicted values"),
    ],
)
def test_what_does_not_fit_is_named(change: dict, suspect: str) -> None:
    (text,) = _suspects(dataclasses.replace(SOUND, **change))
    assert text.startswith(suspect)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_linear_guess_carries_over_unless_the_sides_are_mixed_up(mirrored: bool) -> None:
    draw = np.random.default_rng(0)
    players = np.arange(2000) % 2
    own, other = draw.normal(size=(2, 2000))
    results = np.sign(own - other + 0.5 * draw.normal(size=2000))
    shown = np.stack([own, other], axis=1)
    if mirrored:
        shown[players == 1] = shown[players == 1, ::-1]
    side = carried_over(shown, results, players)
    assert side is not None
    assert side.same > 0.5
    assert side.across < -0.5 if mirrored else side.across > 0.5
    # An observation that names the player may show the board from one side.
    named = np.concatenate([shown, players[:, None]], axis=1)
    assert carried_over(named, results, players) is None


def test_too_few_positions_say_nothing() -> None:
    assert carried_over(np.ones((20, 2)), np.ones(20), np.arange(20) % 2) is None


def test_a_training_from_beginning_to_end(tmp_path: Path) -> None:
    said: list[str] = []
    result = canary(
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
    assert result.to_dict()["learned"] == result.learned
    assert result.facts()[-1][0] == "verdict"


def test_a_time_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="minutes is 0"):
        canary(GameSpec("tic_tac_toe"), minutes=0.0)


@pytest.mark.slow
def test_a_sound_game_is_learnt() -> None:
    result = canary(GameSpec(f"{BROKEN}:Counted"))
    assert result.learned, result


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "suspect"),
    [
        ("WinsOfPlayerOneAreLost", "value sign: player 1 won none"),
        ("PlayerZeroFirst", "observation side"),
        ("NothingIsShown", "observation: after training"),
    ],
)
def test_mistakes_that_only_learning_shows_are_named(name: str, suspect: str) -> None:
    result = canary(GameSpec(f"{BROKEN}:{name}"))
    assert not result.learned
    assert any(text.startswith(suspect) for text in result.suspects), result
