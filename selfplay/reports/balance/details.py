"""Parts of a balance report: openings, actions, and how much the stronger side wins."""

from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.arena import default_opening_plies
from selfplay.records import MatchRecord
from selfplay.replay.rebuild import Rebuilder
from selfplay.reports.balance.choices import Choices, Move, mirrorings, move_names
from selfplay.reports.balance.measures import Estimate
from selfplay.reports.balance.opening_lines import Lines, opening_lines
from selfplay.reports.balance.own_matches import own_pairs
from selfplay.run import RunDirectory, read_evaluations

_LEAST_CHOSEN = 16


def describe_openings(rebuild: Rebuilder, matches: Sequence[MatchRecord]) -> dict[str, Any]:
    """Returns the most played first moves and openings, named as the game writes moves."""
    images = mirrorings(rebuild.game)
    toward_first = [match.returns[int(match.players[0])] for match in matches]
    depth = max(2, default_opening_plies(rebuild.game))
    found = {
        key: opening_lines(
            [match.actions.tolist() for match in matches],
            toward_first,
            plies=plies,
            permutations=tuple(images.values()),
        )
        for key, plies in (("first_moves", 1), ("lines", depth))
    }
    return {
        "mirrored": list(images),
        **{key: _named(rebuild, lines, matches) for key, lines in found.items()},
    }


def _named(rebuild: Rebuilder, lines: Lines, matches: Sequence[MatchRecord]) -> dict[str, Any]:
    # What was played once is not an opening that is played most.
    shown = [line for line in lines.most_played if line.matches > 1]
    moves = [
        Move(matches[line.example], ply, action)
        for line in shown
        for ply, action in enumerate(line.actions)
    ]
    names = iter(move_names(rebuild, moves))
    return {
        "plies": lines.plies,
        "matches": lines.matches,
        "different": lines.different,
        "effective": lines.effective,
        "most_played": [
            {
                "actions": list(line.actions),
                "moves": [next(names) for _ in line.actions],
                "matches": line.matches,
                "share": line.share,
                "first_score": line.first_score.to_dict(),
            }
            for line in shown
        ],
    }


def describe_actions(rebuild: Rebuilder, choices: Choices) -> dict[str, Any]:
    """Returns which actions are never or hardly chosen."""
    least = choices.least_chosen(_LEAST_CHOSEN)
    names = move_names(rebuild, [choices.examples[action] for action in least])
    return {
        "positions": choices.positions,
        "all": len(choices.legal),
        "never_legal": int((choices.legal == 0).sum()),
        "never_chosen": int(choices.never_chosen.sum()),
        "hardly_chosen": int(choices.hardly_chosen.sum()),
        "least_chosen": [
            {
                "action": action,
                "name": name,
                "legal": int(choices.legal[action]),
                "chosen": int(choices.chosen[action]),
                "by_random_play": float(choices.expected[action]),
            }
            for action, name in zip(least, names, strict=True)
        ],
    }


def describe_skill(
    run: RunDirectory, update: int | None, problems: list[str]
) -> list[dict[str, Any]]:
    """Returns how much the stronger side wins: one level against another, and evaluations."""
    found = [
        {
            "stronger": f"{one['simulations']} simulations",
            "weaker": f"{one['against_simulations']} simulations",
            **_result(one, *one["interval"]),
        }
        for one in own_pairs(run, problems.append)
    ]
    # The newest result against each opponent, as in `selfplay status`.
    evaluations = read_evaluations(run.store, lambda error: problems.append(str(error)))
    rows = [one for one in evaluations if update is None or one["update"] <= update]
    newest = {one["opponent"]: one for one in rows if "score" in one}
    found += [
        {
            "stronger": f"checkpoint {one['update']}",
            "weaker": f"checkpoint {name[1:]}" if name.startswith("@") else str(name),
            **_result(one, one.get("low"), one.get("high")),
        }
        for name, one in newest.items()
    ]
    return [one for one in found if update is None or one["update"] <= update]


def _result(one: Mapping[str, Any], low: float | None, high: float | None) -> dict[str, Any]:
    seats: Sequence[float | None] = one.get("score_by_seat") or (None, None)
    return {
        "update": one["update"],
        "matches": one.get("matches"),
        "score": Estimate(one["score"], low, high).to_dict(),
        "as_player_0": seats[0],
        "as_player_1": seats[1],
    }
