"""How strong one agent is with different numbers of simulations."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

from selfplay.arena.rating.fit import RatingTable, fit_ratings
from selfplay.configuration import check_range
from selfplay.errors import ConfigError
from selfplay.evaluation.pool import Pool, pool_agent, run_agent
from selfplay.evaluation.pool_matches import PoolMatches
from selfplay.evaluation.pool_players import PoolPlayers
from selfplay.game import Game
from selfplay.run import RunDirectory, find_checkpoint, split_simulations

_ROUND = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class StrengthBySimulations:
    """Ratings of one checkpoint by how hard it searches.

    Attributes:
        game: name of the game.
        agent: the checkpoint.
        opponent: whose rating is 0.
        counts: the numbers of simulations, ascending.
        names: of the agents that search so hard.
        pool: all matches.
        table: all ratings.
    """

    game: str
    agent: str
    opponent: str
    counts: tuple[int, ...]
    names: tuple[str, ...]
    pool: Pool
    table: RatingTable

    def to_dict(self) -> dict[str, Any]:
        """Returns the document that `selfplay arena --simulations --json` prints."""
        rows = []
        for count, name in zip(self.counts, self.names, strict=True):
            rating = self.table[name]
            rows.append(
                {
                    "simulations": count,
                    "elo": rating.elo,
                    "interval": [rating.low, rating.high],
                    "matches": rating.matches,
                    "unbounded": rating.unbounded,
                }
            )
        return {
            "game": self.game,
            "agent": self.agent,
            "opponent": self.opponent,
            "strength": rows,
            "pairings": [
                {
                    "agents": [one.first, one.second],
                    "matches": 2 * len(one.pair_scores),
                    "distinct_pairs": one.distinct_pairs,
                    "score": one.score,
                }
                for one in self.pool.pairings()
            ],
            "matches": self.pool.matches,
            "dispersion": self.table.dispersion,
            "prior_elo": self.table.prior_elo,
        }


def parse_counts(text: str) -> tuple[int, ...]:
    """Returns the numbers of simulations in a text such as "1,4,16", ascending.

    Raises:
        ConfigError: one of them is no number, or all are the same.
    """
    parts = [part.strip() for part in text.split(",")]
    wrong = next((part for part in parts if not re.fullmatch(r"[0-9]+", part)), None)
    if wrong is not None:
        raise ConfigError(
            f"--simulations is {text!r}, but {wrong!r} is not a number of simulations",
            hint="write numbers with commas between them, such as 1,4,16,64,256,1024",
        )
    counts = sorted(set(map(int, parts)))
    if len(counts) < 2:
        raise ConfigError(
            f"--simulations is {text!r}, but must have two different numbers or more",
            hint="one number belongs to an agent: RUN@UPDATE:64",
        )
    return tuple(counts)


def strength_by_simulations(
    game: Game[Any],
    agent: str,
    opponent: str,
    counts: Sequence[int],
    *,
    num_matches: int = 100,
    engines: int = 1,
    inference: str | None = None,
    say: Callable[[str], None] = lambda text: None,
    show: Callable[[str], None] = lambda text: None,
) -> StrengthBySimulations:
    """Returns how strong a checkpoint is with each number of simulations, above `opponent`.

    All of them and the opponent are one pool: rounds of matches are played where they tell most
    about the ratings, which are then computed together. So numbers that the opponent never beats
    are told apart by matches between them.

    Args:
        game: the rules.
        agent: "RUN[@UPDATE]".
        opponent: any agent, an engine too; it has rating 0.
        counts: numbers of simulations; 0 and 1 both stand for the network without search, which
            is one evaluation a move.
        num_matches: as many are played for each number on average, even.
        engines: processes of an engine, side by side.
        inference: what computes the network; by default what its run names.
        say: shows a message to people.
        show: told how far the matches are.

    Raises:
        ConfigError: an agent is none.
        RunError: the run is none.
        CheckpointError: there is no such checkpoint.
    """
    check_range("num_matches", num_matches, low=2)
    if num_matches % 2:
        raise ConfigError(
            f"num_matches is {num_matches}, but must be even",
            hint="every opening is played twice, seats swapped",
        )
    if split_simulations(agent)[1] is not None:
        raise ConfigError(
            f"agent is {agent!r}, but --simulations says how hard it searches",
            hint=f"write {split_simulations(agent)[0]}",
        )
    place, update = find_checkpoint(agent)
    run = RunDirectory.open(place)
    players = PoolPlayers(
        game, batch_size=_ROUND // 2, processes=engines, inference=inference, say=say
    )
    searching = {count: run_agent(run, update, count if count > 1 else 0) for count in counts}
    names = tuple(searching[count].name for count in counts)
    other = pool_agent(opponent)
    # Refused now if it is none.
    players.agent(other)
    pool = Pool()
    playing = list({one.name: one for one in (other, *searching.values())}.values())
    matches = PoolMatches(game, pool, playing, players.agent, say=say)

    def fit(*, profile: bool) -> RatingTable:
        return fit_ratings(
            pool.pairings(), anchor=other.name, agents=list(pool.agents), profile=profile
        )

    total = num_matches * len(counts)
    while pool.matches < total and len(matches.playing) > 1:
        pairing = matches.choose(fit(profile=False), per_second=False)
        shown = " against ".join(
            f"{one.simulations} simulations" if one.is_checkpoint else one.name for one in pairing
        )
        doing = f"{pool.matches} of {total} matches, {shown}"
        count = min(_ROUND, total - pool.matches)
        matches.play(*pairing, count, doing=doing, show=show)
    return StrengthBySimulations(
        game=game.name,
        agent=f"{run.url}@{update}",
        opponent=other.name,
        counts=tuple(counts),
        names=names,
        pool=pool,
        table=fit(profile=True),
    )
