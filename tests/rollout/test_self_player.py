"""Self-play: legal, unbiased, never cut off, reproducible, on any number of devices."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jaxtyping import Array, Int32

from selfplay.game import Game, pytree
from selfplay.mcts import uniform_evaluator
from selfplay.parallel import local_mesh
from selfplay.records import MatchCollector, MatchRecord, Provenance
from selfplay.registry import make
from selfplay.replay import Rebuilder
from selfplay.rollout import SelfPlayer
from selfplay.settings.sections import RolloutConfig, SearchConfig
from tests.conftest import Compilations

RAW = SearchConfig(num_simulations=0, sampling_plies=100)
"""A uniform evaluator without a tree, sampled throughout: uniformly random play."""


@pytree
class Count:
    """How far a count has come, and from where."""

    number: Int32[Array, ""]
    begin: Int32[Array, ""]


class Counting(Game[Count]):
    """Adds 1 or 2 to a number that begins at random between 0 and 7; cut after 6 plies.

    Who reaches 10 or more wins; a match that is cut is a draw.
    """

    name = "counting"
    num_actions = 2
    max_plies = 6

    def init(self, key: Array) -> Count:
        begin = jax.random.randint(key, (), 0, 8).astype(jnp.int32)
        return Count(number=begin, begin=begin)

    def step(self, state: Count, action: Array) -> Count:
        return Count(number=state.number + 1 + action, begin=state.begin)

    def current_player(self, state: Count) -> Array:
        return state.number % 2  # the same player may move again

    def legal_action_mask(self, state: Count) -> Array:
        return jnp.ones(2, bool)

    def is_terminal(self, state: Count) -> Array:
        return state.number >= 10

    def returns(self, state: Count) -> Array:
        sign = jnp.where(state.number >= 10, jnp.where(state.number == 10, 1.0, -1.0), 0.0)
        return jnp.stack([sign, -sign]).astype(jnp.float32)

    def observe(self, state: Count) -> Array:
        return jax.nn.one_hot(state.number, 12)


def player(
    game: Game[Any], search: SearchConfig = RAW, *, mesh: Mesh | None = None, **settings: Any
) -> SelfPlayer:
    chosen = {"matches_per_device": 32, "plies_per_chunk": 4, "random_opening_share": 0.0}
    config = RolloutConfig(**(chosen | settings))
    return SelfPlayer(game, uniform_evaluator(game), search, config, mesh=mesh)


def played(player: SelfPlayer, chunks: int, *, seed: int = 0) -> list[MatchRecord]:
    """Returns the matches that end in some chunks."""
    origin = Provenance(
        game=player.game.name, version=1, fingerprint="", worker="w", settings_hash="",
        simulations=player.search_config.num_simulations,
    )  # fmt: skip
    collector = MatchCollector(origin, player.num_matches)
    start_key, play_key = jax.random.split(jax.random.key(seed))
    matches, records = player.start(key=start_key), []
    for chunk in range(chunks):
        key = jax.random.fold_in(play_key, chunk)
        matches, plies = player.play((), matches, key=key)
        records += collector.add(jax.device_get(plies), checkpoint=0, sequence=chunk)
    return records


@pytest.fixture(scope="module")
def tic_tac_toe() -> SelfPlayer:
    return player(make("tic_tac_toe"), SearchConfig(num_simulations=4, max_considered_actions=4))


@pytest.fixture(scope="module")
def counting() -> SelfPlayer:
    return player(Counting(), matches_per_device=256)


def test_every_match_replays_under_the_rules(tic_tac_toe: SelfPlayer) -> None:
    records = played(tic_tac_toe, 8)
    assert len(records) > 100
    Rebuilder(tic_tac_toe.game)(records)  # refuses what is not legal, complete and scored right


def test_the_same_seed_plays_the_same_matches(tic_tac_toe: SelfPlayer) -> None:
    first, again, other = (played(tic_tac_toe, 3, seed=seed) for seed in (1, 1, 2))
    assert [r.actions.tolist() for r in first] == [r.actions.tolist() for r in again]
    assert [r.actions.tolist() for r in first] != [r.actions.tolist() for r in other]


def test_nothing_compiles_after_the_first_chunk(
    tic_tac_toe: SelfPlayer, compilations: Compilations
) -> None:
    played(tic_tac_toe, 2)
    with compilations() as compiled:
        played(tic_tac_toe, 3)
    assert compiled == []


def test_long_and_short_matches_are_finished_without_bias(counting: SelfPlayer) -> None:
    """Lengths of matches over a long time are those of matches played to the end one by one."""
    records = played(counting, 24)
    generator = np.random.default_rng(0)
    lengths = []
    for _ in range(20_000):
        number, plies = int(generator.integers(0, 8)), 0
        while number < 10 and plies < 6:
            number += int(generator.integers(1, 3))
            plies += 1
        lengths.append(plies)
    # The first matches begin together, so short ones are over-counted by less than one a slot.
    found = np.bincount([r.plies for r in records], minlength=7) / len(records)
    wanted = np.bincount(lengths, minlength=7) / len(lengths)
    assert len(records) > 8_000
    np.testing.assert_allclose(found, wanted, atol=0.025)


def test_a_match_goes_on_across_chunks(counting: SelfPlayer) -> None:
    """Six plies never fit into a chunk of four."""
    records = played(counting, 6)
    assert any(r.plies > 4 for r in records)
    assert all(r.plies <= 6 for r in records)
    Rebuilder(counting.game)(records)


def test_cut_matches_are_marked_and_scored_as_declared(counting: SelfPlayer) -> None:
    records = played(counting, 12)
    cut = [r for r in records if r.truncated]
    assert cut
    assert {r.returns for r in cut} == {(0.0, 0.0)}
    assert all(r.plies == 6 for r in cut)
    assert {r.returns for r in records if not r.truncated} == {(1.0, -1.0), (-1.0, 1.0)}


def test_starts_are_random_and_their_keys_reproduce_them(counting: SelfPlayer) -> None:
    records = played(counting, 8)
    some = records[:: len(records) // 60]  # the first to end are the shortest
    begins = [
        int(counting.game.init(jax.random.wrap_key_data(jnp.array(r.start_key, jnp.uint32))).begin)
        for r in some
    ]
    assert len(set(begins)) >= 6
    for record, begin in zip(some, begins, strict=True):
        assert record.players[0] == begin % 2
    assert len({r.start_key for r in records}) == len(records)


def test_random_openings_have_their_share_and_are_marked() -> None:
    game = make("tic_tac_toe")
    records = played(
        player(game, random_opening_share=0.5, random_opening_plies=3, matches_per_device=256), 12
    )
    counts = np.array([r.exploratory.sum() for r in records])
    for record, count in zip(records, counts, strict=True):
        assert record.exploratory[:count].all()
    assert counts.max() == 3
    np.testing.assert_allclose((counts == 0).mean(), 0.5, atol=0.03)
    for plies in (1, 2, 3):
        np.testing.assert_allclose((counts == plies).mean(), 0.5 / 3, atol=0.03)


def test_new_matches_are_made_only_where_one_has_ended() -> None:
    """Trap T10: under `vmap` a condition becomes a choice between two results, both computed."""
    begun: list[int] = []

    class Counted(Counting):
        def init(self, key: Array) -> Count:
            jax.debug.callback(lambda: begun.append(1))
            return super().init(key)

    one = player(Counted(), plies_per_chunk=1, matches_per_device=4)
    matches = one.start(key=jax.random.key(0))
    jax.effects_barrier()
    counts = [len(begun)]
    for ply in range(6):
        matches, plies = one.play((), matches, key=jax.random.key(ply))
        jax.effects_barrier()
        counts.append(len(begun))
        # No count reaches 10 in one ply; each device makes new ones when one of its own ends.
        if ply == 0:
            assert not plies.over.any()
    assert counts[0] == counts[1] < counts[-1]


def test_one_device_plays_as_well_as_two() -> None:
    game = make("tic_tac_toe")
    alone = Mesh(jax.local_devices()[:1], local_mesh().axis_names)
    records = played(player(game, mesh=alone), 6)
    assert player(game, mesh=alone).num_matches * 2 == player(game).num_matches
    Rebuilder(game)(records)


def test_matches_are_recorded_with_what_the_search_said(tic_tac_toe: SelfPlayer) -> None:
    for record in played(tic_tac_toe, 4)[:50]:
        sums = [record.policy(ply)[1].sum() for ply in range(record.plies)]
        np.testing.assert_allclose(sums, 1.0, atol=2e-3)  # shares below 1e-4 are left out
        assert np.abs(record.root_values).max() <= 1
        np.testing.assert_array_equal(record.raw_values, 0)  # the evaluator knows nothing
        assert (record.simulations == 4).all()


def test_matches_say_what_was_proven() -> None:
    """Near the end of counting everything is; then the record has the exact value."""
    game = Counting()
    search = SearchConfig(num_simulations=8, proven="visited", sampling_plies=0)
    config = RolloutConfig(matches_per_device=16, plies_per_chunk=8, random_opening_share=0.0)
    player = SelfPlayer(game, uniform_evaluator(game), search, config)
    _, plies = player.play((), player.start(key=jax.random.key(0)), key=jax.random.key(1))
    over, proven = np.asarray(plies.over), np.asarray(plies.proven)
    assert proven[over].all() and not proven.all()
    # The last mover took what the match ended with, and knew it.
    movers = np.asarray(plies.players)[over]
    results = np.asarray(plies.returns)[over]
    np.testing.assert_array_equal(
        np.asarray(plies.root_values)[over], results[np.arange(len(movers)), movers]
    )
