"""selfplay balance: what the matches of a run say about its game."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfplay.cli.live_line import LiveLine
from selfplay.cli.options import Inference, Json, MovedGame, Seed
from selfplay.cli.output import say, say_json

if TYPE_CHECKING:
    from selfplay.game import Game
    from selfplay.run import RunDirectory

EXAMPLES = (
    "selfplay balance runs/hex",
    "selfplay balance runs/hex --matches 100 --simulations 16,64,256 --output hex.html",
    "selfplay balance runs/hex_swap runs/hex_without --minutes 5 --output swap.html",
    "selfplay balance runs/hex@1200 --json",
)


def balance(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN[@UPDATE]",
            help="A run; with a checkpoint only what was played up to it counts.",
            show_default=False,
        ),
    ],
    other: Annotated[
        str | None,
        typer.Argument(
            metavar="[OTHER_RUN[@UPDATE]]",
            help="A run of a variant of the game, to compare.",
            show_default=False,
        ),
    ] = None,
    matches: Annotated[
        int | None,
        typer.Option(
            "--matches",
            metavar="N",
            help="Let the newest checkpoint play so many matches against itself at each number "
            "of simulations, without noise, and keep them in the run. By default none.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            metavar="M",
            help="Begin no more matches after so long; without --matches, play until then.",
            show_default=False,
        ),
    ] = None,
    simulations: Annotated[
        str | None,
        typer.Option(
            "--simulations",
            metavar="N,N",
            help="Simulations per move of those matches. By default a quarter of those of the "
            "run's self-play, as many, and four times as many.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE.html",
            help="Write a page with pictures, which needs nothing else.",
            show_default=False,
        ),
    ] = None,
    any_game: Annotated[
        bool, typer.Option("--any-game", help="Compare runs whose games have different names.")
    ] = False,
    game: MovedGame = None,
    inference: Inference = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Say how balanced a run's game is.

    First player's score with its 95 % interval, draws, length, legal actions, when matches are
    decided, openings, unused actions; and how that changes as the agent grows stronger.
    Reads the matches that the run has stored; plays more of them only if asked to. With two runs
    their games are compared.
    """
    _check_output(output)
    levels = _levels(simulations)
    _check_numbers(matches, minutes, levels)
    from selfplay import startup
    from selfplay.reports.balance.comparison import compare
    from selfplay.reports.balance.page import comparison_page, report_page
    from selfplay.store import atomic_write
    from selfplay.store.place import typed

    startup.prepare()
    opened = [_open(text, game) for text in (run, other) if text is not None]
    if len(opened) == 2:
        _check_games(opened[0][0], opened[1][0], any_game)
    plays = matches is not None or minutes is not None
    documents = []
    with LiveLine("reading") as line:
        for directory, rules, update in opened:
            if plays:
                _play(directory, rules, update, (levels, matches, minutes, seed), inference, line)
            documents.append(_report(directory, rules, update, line))
    several = len(documents) == 2
    document = compare(*documents, any_game=any_game) if several else documents[0]
    if output is not None:
        page = comparison_page(document) if several else report_page(document)
        atomic_write(output, page.encode())
    if as_json:
        say_json(document)
        return
    from selfplay.cli.reports.balance_text import comparison_text, report_text

    say(comparison_text(document) if several else report_text(document))
    if output is not None:
        say(f"\n{output} shows it with pictures")
    elif not plays and not several and not _has_own(document):
        say(
            "\nself-play has noise in it; matches without noise, at several strengths: "
            f"selfplay balance {typed(run)} --matches 64"
        )


def _open(text: str, game: str | None) -> "tuple[RunDirectory, Game[Any], int | None]":
    """Returns the run that was typed, its rules, and its checkpoint if one was named."""
    from selfplay.cli.targets import moved_game
    from selfplay.run import RunDirectory, find_checkpoint, split_checkpoint_name

    place, update = split_checkpoint_name(text)
    run = RunDirectory.open(place)
    if update is not None:
        find_checkpoint(text)
    return run, run.make_game(moved_game(game)), update


def _check_games(first: "RunDirectory", second: "RunDirectory", any_game: bool) -> None:
    """Raises `ConfigError`, before anything is played, unless the two can be compared."""
    from selfplay.reports.balance.comparison import check_same_game

    if not any_game:
        check_same_game((first.url, first.game_name), (second.url, second.game_name))


def _play(
    run: "RunDirectory",
    rules: "Game[Any]",
    update: int | None,
    asked: tuple[tuple[int, ...] | None, int | None, float | None, int],
    inference: str | None,
    line: LiveLine,
) -> None:
    from selfplay.arena import load_network
    from selfplay.reports.balance.own_matches import Plan, default_simulations, play_levels

    name = run.url if update is None else f"{run.url}@{update}"
    stored = load_network(name, game=rules)
    levels, matches, minutes, seed = asked
    plan = Plan(
        simulations=levels
        or default_simulations(stored.config.search_for_matches().num_simulations),
        matches=matches,
        minutes=minutes,
        seed=seed,
    )
    play_levels(run, stored, plan, show=line.show, say=line.note, inference=inference)


def _report(
    run: "RunDirectory", rules: "Game[Any]", update: int | None, line: LiveLine
) -> dict[str, Any]:
    from selfplay.errors import StorageError
    from selfplay.reports.balance.report import balance_report
    from selfplay.reports.balance.stored import write_report

    document = balance_report(run, rules, update=update, show=line.show)
    if update is None:
        try:
            write_report(run, document)
        except StorageError as error:
            line.note(f"the report is not kept for the web board: {error}")
    return document


def _has_own(document: dict[str, Any]) -> bool:
    from selfplay.reports.balance.sample import OWN

    return any(sample["source"] == OWN for sample in document["samples"])


def _levels(text: str | None) -> tuple[int, ...] | None:
    """Returns the numbers in "16,64,256"."""
    from selfplay.configuration import check_range
    from selfplay.errors import ConfigError

    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and part.isascii() for part in parts):
        raise ConfigError(
            f"--simulations is {text!r}, but must be numbers separated by commas",
            hint="for example --simulations 16,64,256; 0 is the network without search",
        )
    numbers = sorted({int(part) for part in parts})
    for number in numbers:
        if number != 0:
            check_range("--simulations", number, low=2)
    return tuple(numbers)


def _check_numbers(
    matches: int | None, minutes: float | None, levels: tuple[int, ...] | None
) -> None:
    from selfplay.configuration import check_range
    from selfplay.errors import ConfigError

    if matches is not None:
        check_range("--matches", matches, low=1)
    if minutes is not None:
        check_range("--minutes", minutes, above=0)
    if levels is not None and matches is None and minutes is None:
        raise ConfigError(
            "--simulations is given, but no matches are to be played",
            hint="say how many: --matches 64, or for how long: --minutes 5",
        )


def _check_output(output: Path | None) -> None:
    """Raises `ConfigError`, before anything is read or played, if it cannot be written."""
    from selfplay.configuration import check_choice
    from selfplay.errors import ConfigError

    if output is None:
        return
    check_choice("the ending of --output", output.suffix.lower(), (".html", ".htm"))
    folder = output.parent
    if output.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        reason = (
            "that is a directory"
            if output.is_dir()
            else f"{folder} is no directory"
            if not folder.is_dir()
            else f"{folder} cannot be written to"
        )
        raise ConfigError(f"--output is {output}, but {reason}", hint="name a file elsewhere")
