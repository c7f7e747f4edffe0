"""selfplay check: tests the rules of a game, and whether an agent can learn it."""

import dataclasses
import shutil
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfplay.cli.group import invocation
from selfplay.cli.live_line import LiveLine
from selfplay.cli.options import GameName, GameOptions, Json, Seed
from selfplay.cli.output import facts, say, say_json, size

if TYPE_CHECKING:
    from selfplay.check.report import CheckReport

_LOADED = "the file can be imported, and its class has all methods of a game"
_TO_LOAD = "what the message names; help(selfplay.Game) lists the methods"

EXAMPLES = (
    "selfplay check connect_four",
    "selfplay check mygame.py:MyGame --learn",
    "selfplay check fast.py:Fast --against plain.py:Plain --matches 10000",
)


def check(
    game_name: GameName,
    learn: Annotated[
        bool,
        typer.Option(
            "--learn",
            help="Then train a small agent for about a minute and test whether it has learnt.",
        ),
    ] = False,
    minutes: Annotated[
        float, typer.Option("--minutes", metavar="M", help="Length of the training of --learn.")
    ] = 0.5,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="OTHER",
            help="Instead compare with another game, move by move.",
            show_default=False,
        ),
    ] = None,
    against_option: Annotated[
        list[str] | None,
        typer.Option(
            "--against-option",
            metavar="NAME=VALUE",
            help="An option of the other game. May be repeated.",
            show_default=False,
        ),
    ] = None,
    observations: Annotated[
        bool, typer.Option("--observations", help="With --against: compare observations too.")
    ] = False,
    matches: Annotated[
        int | None,
        typer.Option(
            "--matches",
            metavar="N",
            help="Number of random matches; by default 64, or 256 with --against.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    option: GameOptions = None,
    as_json: Json = False,
) -> None:
    """Find mistakes in the rules of a game.

    Plays random matches and shows each mistake with the fewest moves that
    prove it. Exits with 1 if something is wrong.
    """
    from selfplay import startup
    from selfplay.configuration import check_range

    check_range("--minutes", minutes, above=0)
    startup.prepare()
    if against is not None:
        _compare(game_name, option, against, against_option, matches, seed, observations, as_json)
        return
    document: dict[str, Any] = {"game": game_name, "ok": False, "problems": [], "warnings": []}
    try:
        ok = _check(game_name, option, matches or 64, seed, minutes if learn else None, document,
                    quiet=as_json)  # fmt: skip
    except Exception as error:
        # A script always gets one document; the error goes to stderr as usual.
        if as_json:
            say_json({**document, "ok": False, "measures": {}, "error": str(error)})
        raise
    if as_json:
        say_json(document)
    if not ok:
        raise typer.Exit(1)


def _check(
    game_name: str,
    option: list[str] | None,
    matches: int,
    seed: int,
    minutes: float | None,
    document: dict[str, Any],
    *,
    quiet: bool,
) -> bool:
    """Checks a game and fills in the document; returns whether nothing is wrong.

    Args:
        game_name: as it was typed.
        option: likewise.
        matches: random matches.
        seed: decides everything random.
        minutes: how long to train; None not to train.
        document: the document to fill in.
        quiet: whether to print nothing for people.
    """
    report = _examined(game_name, option, matches, seed)
    document.update(report.to_dict())
    if not quiet:
        _say_report(report)
    if minutes is None:
        return report.ok
    if not report.ok:
        if not quiet:
            say("\nnot trained: first correct what is wrong")
        return False
    from selfplay.check.learning.trial import run_trial
    from selfplay.cli.targets import game_spec

    result = run_trial(
        game_spec(game_name, option), minutes=minutes, seed=seed, say=lambda t: say(t, err=True)
    )
    document["learn"] = result.to_dict()
    document["ok"] = not result.failed
    if not quiet:
        say()
        say(facts(result.facts()))
    return not result.failed


def _examined(game_name: str, option: list[str] | None, matches: int, seed: int) -> "CheckReport":
    """Returns the report, even of a game that cannot be created."""
    from selfplay.check.conformance import examine
    from selfplay.check.laws.table import LAWS
    from selfplay.check.report import CheckReport
    from selfplay.cli.targets import written_game
    from selfplay.contract import validate
    from selfplay.errors import GameContractError
    from selfplay.game import Game

    debug = invocation.get().debug
    try:
        game = written_game(game_name, option)
    except GameContractError as error:
        if debug:
            traceback.print_exc()
        hint = f" ({error.hint})" if error.hint else ""
        fault = LAWS[error.rule or "contract"].fault(f"{error}{hint}")
        if not error.rule:
            fault = dataclasses.replace(fault, law=_LOADED, advice=_TO_LOAD)
        return CheckReport(game=game_name, faults=(fault,), warnings=(), measures={})
    if debug and isinstance(game, Game):
        try:
            validate(game, type(game).__name__)
        except GameContractError:
            # The report says the same in one line.
            traceback.print_exc()
    with LiveLine("reading the rules") as line:
        return examine(game, matches=matches, seed=seed, say=line.show)


def _compare(
    game_name: str,
    option: list[str] | None,
    against: str,
    against_option: list[str] | None,
    matches: int | None,
    seed: int,
    observations: bool,
    as_json: bool,
) -> None:
    from selfplay.check.comparison.compare import compare
    from selfplay.cli.targets import make_game

    result = compare(
        make_game(game_name, option),
        make_game(against, against_option),
        matches=256 if matches is None else matches,
        seed=seed,
        observations=observations,
    )
    if as_json:
        say_json(result.to_dict())
    elif result.fault is None:
        what = "players, legal actions, ends and results"
        what += " and observations" if observations else ""
        say(
            f"{game_name} and {against} agree on {what} at {result.plies:,} positions of "
            f"{result.matches:,} random matches"
        )
    else:
        say(f"{game_name} and {against} differ\n")
        say(result.fault.to_text(width=_width()))
    if result.fault is not None:
        raise typer.Exit(1)


def _say_report(report: "CheckReport") -> None:
    count = len(report.faults)
    broken = f"{count} {'rule is' if count == 1 else 'rules are'} broken"
    parts = [
        *(fault.to_text(width=_width()) for fault in report.faults),
        *([facts(_facts(report.measures))] if report.measures else []),
        *(warning.to_text(width=_width()) for warning in report.warnings),
        f"{report.game}: {'nothing wrong was found' if report.ok else broken}",
    ]
    say("\n\n".join(parts))


def _width() -> int:
    return max(60, shutil.get_terminal_size().columns)


def _facts(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the measures for people."""
    plies, legal = found["match_plies"], found["legal_actions"]
    pairs = [
        (
            "tried",
            f"{found['matches']:,} random matches, {found['positions']:,} positions, "
            f"{found['distinct_starts']:,} different "
            f"{'start' if found['distinct_starts'] == 1 else 'starts'}, "
            f"{found['symmetries']} {'symmetry' if found['symmetries'] == 1 else 'symmetries'}",
        ),
        (
            "matches",
            f"{plies['mean']:.1f} plies ({plies['least']} to {plies['most']}, at most "
            f"{found['max_plies']}); {found['drawn_share']:.0%} drawn, "
            f"{found['truncated_share']:.0%} ended by max_plies",
        ),
        ("player 0", _first_player(found)),
        ("turns", _turns(found)),
        ("twin", found["exchange"] if "exchange" in found else _twin(found["twin"])),
        (
            "actions",
            f"{legal['mean']:.1f} legal ({legal['least']} to {legal['most']}) of "
            f"{found['num_actions']}",
        ),
        *_some_actions("never legal", found["never_legal"], found["num_actions"]),
        *_some_actions("always legal", found["always_legal"], found["num_actions"]),
        (
            "state",
            f"{size(found['state_bytes'])}; observation {found['observation_shape']}, "
            f"{size(found['observation_bytes'])}",
        ),
        (
            "memory",
            f"{size(found['tree_bytes_per_device'])} of search trees on each device at "
            f"{found['tree_batch']} matches and {found['tree_simulations']} simulations",
        ),
    ]
    if "compile_seconds" in found:
        times = ", ".join(f"{name} {value:.2g}" for name, value in found["compile_seconds"].items())
        pairs += [
            ("compilation", f"{times} s, less if cached"),
            (
                "speed",
                f"{found['plies_per_second']:,.0f} random plies/s on one device, "
                f"{found['speed_batch']} matches side by side",
            ),
            ("fingerprint", found["fingerprint"]),
        ]
    return pairs


def _first_player(found: Mapping[str, Any]) -> str:
    """Returns how well player 0 does in random play."""
    low, high = found["first_player_interval"]
    score = found["first_player_score"]
    return f"scores {score:.0%} in random play (95% interval {low:.0%} to {high:.0%})"


def _turns(found: Mapping[str, Any]) -> str:
    """Returns whether the players take turns."""
    again = found["moves_again_share"]
    first = " ".join(map(str, found["moves_again_first"]))
    if found["only_mover"] is not None:
        return f"player {1 - found['only_mover']} never moves"
    if again:
        return (
            f"the same player moves again after {again:.1%} of plies, first after actions {first}"
        )
    return "the players take turns"


def _some_actions(label: str, found: Mapping[str, Any], num_actions: int) -> list[tuple[str, str]]:
    """Returns the actions that were never, or always, legal; empty if there are none."""
    if not found["count"]:
        return []
    names = [
        name if name == str(action) else f"{action} ({name})"
        for action, name in zip(found["actions"], found["names"], strict=True)
    ]
    more = ", ..." if found["count"] > len(names) else ""
    text = f"{found['count']:,} of {num_actions:,} actions: {', '.join(names)}{more}"
    return [(label, text)]


def _twin(found: Mapping[str, Any]) -> str:
    """Returns how many matches were replayed with the other player to begin."""
    if found["exchange"] is None:
        text = f"not played: {found['why']}"
    else:
        text = (
            f"{found['alike']:,} of {found['matches']:,} matches looked the same to their end with "
            f"the other player to begin ({found['exchange']})"
        )
        if found["why"]:
            text += f": {found['why']}"
        if found["later"]:
            text += f"; {found['later']:,} twins that began later had the opposite result"
    if found["unproven"]:
        text += f"; unproven: {', '.join(found['unproven'])}"
        if found["exchange"] and not found["alike"]:
            text += (
                " (to prove them, list in symmetries() one that makes the first position look the "
                "same to both, if there is one)"
            )
        if found["read_matches"]:
            text += f", judged by {found['read_matches']:,} random matches instead"
    return text
