"""The balance report of one run: a document made of its matches."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from selfplay.arena import default_opening_plies
from selfplay.errors import RunError
from selfplay.game import ChanceGame, Game
from selfplay.records import MatchRecord
from selfplay.replay.rebuild import Rebuilder
from selfplay.reports.balance.choices import Choices, count_choices
from selfplay.reports.balance.details import describe_actions, describe_openings, describe_skill
from selfplay.reports.balance.measures import mean, measure
from selfplay.reports.balance.own_matches import own_levels
from selfplay.reports.balance.sample import (
    ENOUGH,
    OWN,
    SELFPLAY,
    begins_randomly,
    plays_of,
    read_selfplay,
    searched_with,
    stages,
)
from selfplay.reports.balance.verdicts import verdicts
from selfplay.run import RunDirectory
from selfplay.settings.sections import SearchConfig
from selfplay.store.place import typed

FORMAT, VERSION = "selfplay-balance", 1
_REPLAYED = 256
_REPLAYED_OF_A_STAGE = 64


def balance_report(
    run: RunDirectory,
    game: Game[Any],
    *,
    update: int | None = None,
    show: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Returns what the matches of a run say about its game; docs/balance.md lists the keys.

    Args:
        run: the run; it may be trained meanwhile.
        game: its rules.
        update: count what this checkpoint and earlier ones played; None for everything.
        show: is told how far it is.

    Raises:
        RunError: the run has no matches, or a file of evaluations is damaged.
        RecordError: a match does not follow the rules.
        StorageError: the store cannot be reached.
    """
    problems: list[str] = []
    show("reading matches")
    stored = read_selfplay(run, last_checkpoint=update)
    levels = {
        level: matches
        for level, matches in own_levels(run, problems.append).items()
        if update is None or level[0] <= update
    }
    if not stored.matches and not levels:
        raise RunError(
            f"{run.url} has no finished matches"
            + ("" if update is None else f" up to checkpoint {update}"),
            hint=f"train it, or let it play: selfplay balance {typed(run.url)} --matches 64"
            if run.checkpoints.updates()
            else f"train it first: selfplay train {run.game_name} --run {typed(run.url)}",
        )
    problems += stored.problems
    own_starts = [match for match in stored.matches if not begins_randomly(match)]
    biased = not own_starts and bool(stored.matches)
    counted = stored.matches if biased else own_starts
    rebuild = Rebuilder(game)
    samples: list[dict[str, Any]] = []
    matches_of: list[list[MatchRecord]] = []
    parts = stages(np.array([one.last_checkpoint for one in counted])) if counted else []
    for part in parts:
        matches_of.append(counted[part])
        samples.append(
            _sample(SELFPLAY, counted[part], _in_selfplay(run.config.search, game, biased))
        )
    for (_, simulations), matches in levels.items():
        matches_of.append(matches)
        how = (
            f"without noise; the first {_plies(default_opening_plies(game))} drawn from the policy"
        )
        samples.append(_sample(OWN, matches, how, simulations))
    chosen = counted_sample(samples)
    choices: Choices | None = None
    for index, matches in enumerate(matches_of):
        show(f"replaying sample {index + 1} of {len(samples)}")
        most = _REPLAYED if index == chosen else _REPLAYED_OF_A_STAGE
        found = count_choices(rebuild, _even(matches, most))
        samples[index] |= {
            "branching": mean(found.branching, samples[index]["distinct_matches"]).to_dict(),
            "forced_share": found.forced,
            "widest": found.widest,
        }
        choices = found if index == chosen else choices
    assert choices is not None
    document: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "run": run.url,
        "game": run.game_name,
        "options": dict(run.game_spec.options),
        "rules": run.fingerprint,
        "max_plies": game.max_plies,
        "chance": isinstance(game, ChanceGame),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "update": update,
        "matches": len(stored.matches) + sum(map(len, levels.values())),
        "left_out": {
            "random_openings": len(stored.matches) - len(counted),
            "of_other_rules": stored.foreign,
        },
        "files": {"all": stored.files, "read": stored.files_read},
        "samples": samples,
        "counted": chosen,
        "openings": describe_openings(rebuild, matches_of[chosen]),
        "actions": describe_actions(rebuild, choices),
        "skill": describe_skill(run, update, problems),
        "problems": problems,
    }
    return {**document, "notes": _notes(document, biased), "verdicts": verdicts(document)}


def counted_sample(samples: Sequence[Mapping[str, Any]]) -> int:
    """Returns the index of the sample that says most about the game.

    The newest checkpoint's matches with most simulations, if they are enough: they have no noise.
    Else the newest self-play, or whatever there is.
    """
    own = [
        (sample["last_checkpoint"], sample["simulations"], index)
        for index, sample in enumerate(samples)
        if sample["source"] == OWN
    ]
    newest = max((update for update, _, _ in own), default=None)
    enough = [one for one in own if one[0] == newest and samples[one[2]]["matches"] >= ENOUGH]
    if enough:
        return max(enough)[2]
    trained = [index for index, sample in enumerate(samples) if sample["source"] == SELFPLAY]
    return trained[-1] if trained else max(own)[2]


def _sample(
    source: str, matches: Sequence[MatchRecord], how: str, simulations: int | None = None
) -> dict[str, Any]:
    return {
        "source": source,
        "how": how,
        "first_checkpoint": min(match.last_checkpoint for match in matches),
        "last_checkpoint": max(match.last_checkpoint for match in matches),
        "simulations": searched_with(matches) if simulations is None else simulations,
        "player_0_begins": float(np.mean([match.players[0] == 0 for match in matches])),
        **measure(plays_of(matches)).to_dict(),
    }


def _in_selfplay(search: SearchConfig, game: Game[Any], biased: bool) -> str:
    """Returns how moves are chosen in self-play, in words."""
    noisy = search.gumbel_scale if search.algorithm == "gumbel" else search.dirichlet_fraction
    parts = ["with exploration noise" if noisy else "without noise"]
    if search.sampling_plies:
        drawn = min(search.sampling_plies, game.max_plies)
        heat = "" if search.temperature == 1 else f" at temperature {search.temperature:g}"
        parts.append(f"the first {_plies(drawn)} drawn from the policy{heat}")
    if biased:
        parts.append("every match begins with random moves")
    return "; ".join(parts)


def _plies(count: int) -> str:
    return "ply" if count == 1 else f"{count} plies"


def _notes(document: Mapping[str, Any], biased: bool) -> list[str]:
    """Returns what has to be known to read the numbers."""
    left_out, files = document["left_out"], document["files"]
    notes = []
    if left_out["random_openings"]:
        notes.append(
            f"{left_out['random_openings']:,} self-play matches that began with random moves are "
            "left out"
        )
    if biased:
        notes.append(
            "every self-play match began with random moves, so scores, openings and lengths are "
            "those of positions that the players did not choose"
        )
    if files["read"] < files["all"]:
        notes.append(f"{files['read']:,} of {files['all']:,} files of matches were read")
    if left_out["of_other_rules"]:
        notes.append(f"{left_out['of_other_rules']:,} matches of other rules are left out")
    if document["chance"]:
        notes.append("there is chance in this game: results are of moves and luck together")
    begins = document["samples"][document["counted"]]["player_0_begins"]
    if 0 < begins < 1:
        notes.append(
            f'player 0 begins {100 * begins:.0f} % of the matches; "first" is who makes the '
            "first move"
        )
    elif begins == 0:
        notes.append('player 1 makes the first move; "first" is player 1')
    return notes


def _even(matches: Sequence[MatchRecord], most: int) -> list[MatchRecord]:
    """Returns at most so many of the matches, evenly spread."""
    step = -(-len(matches) // most)
    return list(matches[::step])
