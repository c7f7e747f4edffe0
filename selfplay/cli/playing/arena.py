"""selfplay arena: matches between two agents."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfplay.cli.live_line import LiveLine
from selfplay.cli.options import GameOptions, Inference, Json, Seed
from selfplay.cli.output import facts, say, say_json

if TYPE_CHECKING:
    from selfplay.arena import OpeningSet
    from selfplay.game import Game

EXAMPLES = (
    "selfplay arena runs/connect_four mcts:1000",
    "selfplay arena runs/a@1200:64 runs/b --matches 200 --json",
    "selfplay arena mcts:200 random --game tic_tac_toe",
    "selfplay arena runs/a runs/b --openings starts.json",
    'selfplay arena runs/go "gtp:gnugo --mode gtp --chinese-rules --positional-superko"',
)
_HELP = (
    "random, mcts:200 (plain tree search), solver, RUN[@UPDATE][:simulations], or a program: "
    "gtp:COMMAND or uci:COMMAND."
)

AgentName = Annotated[str, typer.Argument(metavar="AGENT", help=_HELP, show_default=False)]


def arena(
    first: AgentName,
    second: AgentName,
    num_matches: Annotated[
        int | None,
        typer.Option(
            "--matches",
            metavar="N",
            help="An even number: each opening is played from both seats. By default 100, or each "
            "opening of --openings twice.",
            show_default=False,
        ),
    ] = None,
    game_name: Annotated[
        str | None,
        typer.Option(
            "--game",
            metavar="GAME",
            help="Required if no agent is a run, or if the game file of the run has moved.",
            show_default=False,
        ),
    ] = None,
    option: GameOptions = None,
    opening_plies: Annotated[
        int | None,
        typer.Option(
            "--opening-plies",
            metavar="N",
            help="Random plies before the agents play; by default 4, fewer in short games.",
        ),
    ] = None,
    openings: Annotated[
        Path | None,
        typer.Option(
            "--openings",
            metavar="FILE",
            help="Play the openings of a file, in turn, instead of random ones.",
            show_default=False,
        ),
    ] = None,
    save_openings: Annotated[
        Path | None,
        typer.Option(
            "--save-openings",
            metavar="FILE",
            help="Write the random openings to a new file for --openings.",
            show_default=False,
        ),
    ] = None,
    engines: Annotated[
        int,
        typer.Option(
            "--engines",
            metavar="N",
            help="Number of processes of each gtp: or uci: program.",
        ),
    ] = 1,
    inference: Inference = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Play paired matches between two agents.

    Shows the score of the first agent with its 95 % interval. Every random opening is played
    twice, once from each seat.
    """
    from selfplay import startup
    from selfplay.arena import parse_opponent, play_matches
    from selfplay.arena.agents import DEFAULT_BATCH_SIZE
    from selfplay.cli.targets import game_of
    from selfplay.game.rules import search_sees_more

    startup.prepare()
    game = game_of([first, second], game_name, option)
    if hidden := search_sees_more(game):
        say(f"note: {hidden}", err=True)
    begin = _openings(game, openings, save_openings, num_matches, opening_plies, seed)
    if num_matches is None:
        num_matches = 100 if openings is None or begin is None else 2 * len(begin.openings)
    # Each agent is to move in about half of the matches, so a larger batch would be wasted.
    batch_size = max(1, min(DEFAULT_BATCH_SIZE, num_matches // 2))
    with LiveLine("getting ready") as line:
        agents = [
            parse_opponent(
                text,
                game,
                batch_size=batch_size,
                processes=engines,
                inference=inference,
                say=line.note,
            )
            for text in (first, second)
        ]
        result = play_matches(
            game,
            *agents,
            num_matches=num_matches,
            seed=seed,
            opening_plies=opening_plies if begin is None or openings is not None else None,
            openings=begin,
            progress=lambda standing: line.show(str(standing)),
        )
    if as_json:
        say_json(result.to_dict())
    else:
        say(facts(_facts(result.to_dict())))


def _openings(
    game: "Game[Any]",
    file: Path | None,
    new_file: Path | None,
    num_matches: int | None,
    plies: int | None,
    seed: int,
) -> "OpeningSet | None":
    """Returns the openings of a file, or random ones that were written to one; None for neither.

    Raises:
        ConfigError: a file cannot be read, is of another game, or exists already.
    """
    from selfplay.arena import OpeningSet, default_opening_plies, random_openings
    from selfplay.errors import ConfigError

    if file is not None and new_file is not None:
        raise ConfigError(
            f"--openings is {file} and --save-openings is {new_file}, but only one can be given",
            hint="the openings of --openings are in a file already",
        )
    if file is not None:
        return OpeningSet.load(file, game)
    if new_file is None:
        return None
    if new_file.exists():
        raise ConfigError(
            f"--save-openings is {new_file}, but that exists already",
            hint=f"name a new file, or play those: --openings {shlex.quote(str(new_file))}",
        )
    made = random_openings(
        game,
        num_openings=max(1, (100 if num_matches is None else num_matches) // 2),
        plies=default_opening_plies(game) if plies is None else plies,
        seed=seed,
    )
    made.save(new_file)
    return made


def _facts(result: dict[str, Any]) -> list[tuple[str, str]]:
    from selfplay.telemetry import words

    first, second = result["agents"]
    seats = result["score_by_seat"]
    elo, (low, high) = result["elo"], result["elo_interval"]
    pairs = [
        ("agents", f"{first} against {second}"),
        ("score", words.percent_interval(result["score"], *result["interval"])),
        ("matches", f"{result['wins']} won, {result['draws']} drawn, {result['losses']} lost"),
        ("by seat", f"{100 * seats[0]:.1f} % as player 0, {100 * seats[1]:.1f} % as player 1"),
        (
            "distinct",
            f"{result['distinct_matches']} of {result['matches']} matches differ in a move",
        ),
        ("length", f"{result['mean_plies']:.1f} plies on average"),
        ("openings", f"set {result['opening_set']}"),
    ]
    if result["scored"]:
        bounds = "{:+.3f} to {:+.3f}".format(*result["result_interval"])
        text = f"{result['mean_result']:+.3f} on average (95 % interval {bounds}), in [-1, 1]"
        pairs.insert(2, ("result", text))
    if elo is not None and low is not None and high is not None:
        pairs.insert(2, ("Elo", f"{elo:+.0f} (95 % interval {low:+.0f} to {high:+.0f})"))
    if result["resigned"]:
        pairs.append(("resigned", f"{result['resigned']} matches were given up"))
    if result["truncated"]:
        pairs.append(("cut", f"{result['truncated']} matches ended by the limit of plies"))
    return pairs
