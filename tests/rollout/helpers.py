"""Matches for the tests of self-play."""

import jax

from selfplay.records import MatchCollector, MatchRecord, Provenance
from selfplay.rollout import SelfPlayer


def played(player: SelfPlayer, chunks: int, *, seed: int = 0) -> list[MatchRecord]:
    """Returns the matches that end in some chunks, played by an evaluator without weights."""
    origin = Provenance(
        game=player.game.name,
        version=1,
        fingerprint="",
        worker="w",
        settings_hash="",
        simulations=0,
    )
    collector = MatchCollector(origin, player.num_matches)
    start_key, play_key = jax.random.split(jax.random.key(seed))
    matches, records = player.start(key=start_key), []
    for chunk in range(chunks):
        matches, plies = player.play((), matches, key=jax.random.fold_in(play_key, chunk))
        records += collector.add(jax.device_get(plies), checkpoint=0, sequence=chunk)
    return records
