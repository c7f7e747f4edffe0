"""Matches that go on from positions of earlier ones: how many, whose, and what is recorded."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.game import Game
from selfplay.mcts import uniform_evaluator
from selfplay.records import MatchCollector, MatchRecord, Provenance
from selfplay.registry import make
from selfplay.replay import Rebuilder
from selfplay.rollout import Restarts, SelfPlayer
from selfplay.rollout.starts import POSITIONS, most_repeated
from selfplay.settings.sections import RolloutConfig, SearchConfig
from tests.dice import Storm

TIC_TAC_TOE = make("tic_tac_toe")


def player(game: Game[Any]) -> SelfPlayer:
    config = RolloutConfig(
        matches_per_device=128, plies_per_chunk=8, restart_share=0.5, random_opening_share=0.5
    )
    raw = SearchConfig(num_simulations=0, sampling_plies=99)
    return SelfPlayer(game, uniform_evaluator(game), raw, config)


def played(one: SelfPlayer, restarts: Restarts | None, chunks: int) -> list[MatchRecord]:
    """Returns the matches that end in some chunks."""
    origin = Provenance(
        game=one.game.name, version=1, fingerprint="", worker="w", settings_hash="", simulations=0
    )
    collector = MatchCollector(origin, one.num_matches)
    matches, records = one.start(key=jax.random.key(0)), []
    for chunk in range(chunks):
        matches, plies = one.play((), matches, key=jax.random.key(1 + chunk), restarts=restarts)
        records += collector.add(jax.device_get(plies), checkpoint=0, sequence=chunk)
    return records


def positions_of(game: Game[Any], first: list[MatchRecord], plies: list[int]) -> Restarts:
    """Returns where these matches were at these plies, one for each player to move there."""
    width = most_repeated(game)
    held: dict[str, np.ndarray] = {
        "start_keys": np.zeros((2, POSITIONS, 2), np.uint32),
        "actions": np.zeros((2, POSITIONS, width), np.int32),
        "outcomes": np.zeros((2, POSITIONS, width), np.int32),
        "lengths": np.zeros((2, POSITIONS), np.int32),
        "counts": np.zeros(2, np.int32),
    }
    for match, ply in zip(first, plies, strict=True):
        who = int(match.players[ply])
        assert not held["counts"][who]
        held["start_keys"][who, 0] = match.start_key
        held["actions"][who, 0, :ply] = match.actions[:ply]
        held["outcomes"][who, 0, :ply] = match.outcomes[:ply]
        held["lengths"][who, 0], held["counts"][who] = ply, 1
    return Restarts(**{name: jnp.asarray(leaf) for name, leaf in held.items()})


def test_a_share_goes_on_from_earlier_positions_balanced_over_the_players() -> None:
    one = player(TIC_TAC_TOE)
    first = played(one, None, 2)
    assert {record.restart_ply for record in first} == {0}
    restarts = positions_of(TIC_TAC_TOE, first[:2], [2, 3])
    records = played(one, restarts, 8)
    Rebuilder(TIC_TAC_TOE)(records)
    # The first ones began before there was anything to go on from.
    counts = {ply: sum(record.restart_ply == ply for record in records) for ply in (0, 2, 3)}
    later = records[len(records) // 2 :]
    assert sum(counts.values()) == len(records)
    assert abs(np.mean([record.restart_ply > 0 for record in later]) - 0.5) < 0.06
    assert abs(counts[2] - counts[3]) < 0.15 * (counts[2] + counts[3])
    for record in records:
        if record.restart_ply:
            ply, source = record.restart_ply, first[record.restart_ply - 2]
            assert record.actions[:ply].tolist() == source.actions[:ply].tolist()
            assert record.start_key == source.start_key
            assert record.exploratory.tolist() == [index < ply for index in range(record.plies)]
    # They go on in different ways.
    assert len({tuple(r.actions) for r in records if r.restart_ply == 2}) > 20


def test_if_there_are_positions_of_one_player_alone_these_are_used() -> None:
    one = player(TIC_TAC_TOE)
    first = played(one, None, 2)
    later = played(one, positions_of(TIC_TAC_TOE, first[:1], [2]), 6)
    later = later[len(later) // 2 :]
    assert {record.restart_ply for record in later} == {0, 2}
    assert abs(np.mean([record.restart_ply > 0 for record in later]) - 0.5) < 0.06


def test_dice_are_repeated_too() -> None:
    game = Storm(stones=8)
    one = player(game)
    first = [record for record in played(one, None, 3) if record.plies > 3]
    other = next(r for r in first[1:] if r.players[2] != first[0].players[3])
    records = played(one, positions_of(game, [first[0], other], [3, 2]), 6)
    Rebuilder(game)(records)
    again = [record for record in records if record.restart_ply == 3]
    assert len(again) > 20
    for record in again:
        assert record.outcomes[:3].tolist() == first[0].outcomes[:3].tolist()
    assert len({int(record.outcomes[3]) for record in again}) > 1
