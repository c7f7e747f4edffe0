"""How strong one agent is with different numbers of simulations, or settings of its search."""

import dataclasses
import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from selfplay.arena.rating.fit import RatingTable, fit_ratings
from selfplay.configuration import check_range
from selfplay.errors import ConfigError
from selfplay.evaluation.pool import Pool, PoolAgent, pool_agent, run_agent
from selfplay.evaluation.pool_matches import PoolMatches
from selfplay.evaluation.pool_players import PoolPlayers, searches_as
from selfplay.game import Game
from selfplay.run import RunDirectory, find_checkpoint, split_simulations
from selfplay.settings import Config

_ROUND = 32
_MOST_VARIANTS = 64


class Variant(NamedTuple):
    """One way in which an agent searches.

    Attributes:
        simulations: per move; 0 and 1 both stand for the network without search, which is one
            evaluation. None for as many as in the evaluations of the run.
        settings: of its search, other than those of its run, as "search.value_scale=0.3".
    """

    simulations: int | None = None
    settings: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StrengthByVariant:
    """Ratings of one checkpoint by how it searches.

    Attributes:
        game: name of the game.
        agent: the checkpoint.
        opponent: whose rating is 0.
        variants: how it searches.
        agents: the agents that search so.
        pool: all matches.
        table: all ratings.
    """

    game: str
    agent: str
    opponent: str
    variants: tuple[Variant, ...]
    agents: tuple[PoolAgent, ...]
    pool: Pool
    table: RatingTable

    def to_dict(self) -> dict[str, Any]:
        """Returns the document that `selfplay arena` with --simulations or --vary --json prints."""
        rows = []
        for variant, agent in zip(self.variants, self.agents, strict=True):
            rating = self.table[agent.name]
            asked = variant.simulations
            rows.append(
                {
                    "simulations": agent.simulations if asked is None else asked,
                    "settings": variant.settings,
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
            "pairings": self.pool.documents(),
            "matches": self.pool.matches,
            "dispersion": self.table.dispersion,
            "prior_elo": self.table.prior_elo,
        }


def parse_counts(text: str) -> tuple[Variant, ...]:
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
    return tuple(Variant(simulations=count) for count in counts)


def parse_settings(texts: Sequence[str]) -> tuple[Variant, ...]:
    """Returns every combination of values in texts such as "search.value_scale=0.1,0.3".

    Raises:
        ConfigError: a text is no setting of the search with values, one is out of range, or
            there are too many combinations or a single one.
    """
    choices: list[list[str]] = []
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals or not name.strip().startswith("search."):
            raise ConfigError(
                f"--vary is {text!r}, but must be a setting of the search with its values",
                hint="for example --vary search.value_scale=0.1,0.3,1",
            )
        choices.append([f"{name.strip()}={value.strip()}" for value in values.split(",")])
    found = list(dict.fromkeys(itertools.product(*choices)))
    for overrides in found:
        # Refuses what is unknown or out of range.
        searches_as(Config(), " ".join(overrides))
    if not 2 <= len(found) <= _MOST_VARIANTS:
        raise ConfigError(
            f"--vary gives {len(found)} combinations, but must give between 2 and {_MOST_VARIANTS}",
            hint="write the values with commas between them: search.value_scale=0.1,0.3,1",
        )
    return tuple(Variant(settings=" ".join(overrides)) for overrides in found)


def strength_by_variant(
    game: Game[Any],
    agent: str,
    opponent: str,
    variants: Sequence[Variant],
    *,
    num_matches: int = 100,
    engines: int = 1,
    inference: str | None = None,
    say: Callable[[str], None] = lambda text: None,
    show: Callable[[str], None] = lambda text: None,
) -> StrengthByVariant:
    """Returns how strong a checkpoint is with each kind of search, above `opponent`.

    All of them and the opponent are one pool: rounds of matches are played where they tell most
    about the ratings, which are then computed together. So variants that the opponent never beats
    are told apart by matches between them.

    Args:
        game: the rules.
        agent: "RUN[@UPDATE]", with ":simulations" only if the variants do not say how many.
        opponent: any agent, an engine too; it has rating 0.
        variants: how it searches.
        num_matches: as many are played for each variant on average, even.
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
    name, usual = split_simulations(agent)
    if usual is not None and any(variant.simulations is not None for variant in variants):
        raise ConfigError(
            f"agent is {agent!r}, but --simulations says how hard it searches",
            hint=f"write {name}",
        )
    place, update = find_checkpoint(name)
    run = RunDirectory.open(place)
    agents = tuple(_agent(run, update, variant, usual) for variant in variants)
    players = PoolPlayers(
        game, batch_size=_ROUND // 2, processes=engines, inference=inference, say=say
    )
    other = pool_agent(opponent)
    # Refused now if it is none.
    players.agent(other)
    pool = Pool()
    playing = list({one.name: one for one in (other, *agents)}.values())
    matches = PoolMatches(game, pool, playing, players.agent, say=say)

    def fit(*, profile: bool) -> RatingTable:
        return fit_ratings(
            pool.pairings(), anchor=other.name, agents=list(pool.agents), profile=profile
        )

    total = num_matches * len(variants)
    while pool.matches < total and len(playing) > 1:
        pairing = matches.choose(fit(profile=False), per_second=False)
        doing = f"{pool.matches} of {total} matches, {_short(pairing[0])} against "
        doing += _short(pairing[1])
        count = min(_ROUND, total - pool.matches)
        matches.play(*pairing, count, doing=doing, show=show)
    return StrengthByVariant(
        game=game.name,
        agent=f"{run.url}@{update}",
        opponent=other.name,
        variants=tuple(variants),
        agents=agents,
        pool=pool,
        table=fit(profile=True),
    )


def _agent(run: RunDirectory, update: int, variant: Variant, usual: int | None) -> PoolAgent:
    simulations = usual if variant.simulations is None else variant.simulations
    # One evaluation is what the network takes without search.
    found = run_agent(run, update, 0 if simulations == 1 else simulations)
    return found.with_settings(variant.settings) if variant.settings else found


def _short(agent: PoolAgent) -> str:
    if agent.settings:
        return agent.settings
    return f"{agent.simulations} simulations" if agent.is_checkpoint else agent.name
