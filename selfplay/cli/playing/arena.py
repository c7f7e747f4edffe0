"""selfplay arena: matches between two agents."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfplay.cli.live_line import LiveLine
from selfplay.cli.option_groups import with_option_groups
from selfplay.cli.options import GameOptions, Inference, Json, Seed
from selfplay.cli.output import facts, say, say_json
from selfplay.cli.playing.arena_agents import make_agents, parse_times
from selfplay.cli.playing.arena_openings import openings_to_play
from selfplay.cli.playing.arena_tests import (
    SequentialOptions,
    play_sequential,
    say_variants,
    sequential_facts,
    show_variants,
)

if TYPE_CHECKING:
    from selfplay.reports.variants import Variant

EXAMPLES = (
    "selfplay arena runs/connect_four mcts:1000",
    "selfplay arena runs/a@1200:64 runs/b --matches 200 --json",
    "selfplay arena mcts:200 random --game tic_tac_toe",
    "selfplay arena runs/a runs/b --openings starts.json",
    "selfplay arena runs/new runs/old --sprt --elo0 0 --elo1 15",
    "selfplay arena runs/a mcts:1000 --seconds-per-move 0.1",
    "selfplay arena runs/a mcts:1000 --simulations 1,4,16,64,256 --output strength.png",
    'selfplay arena runs/go "gtp:gnugo --mode gtp --chinese-rules --positional-superko"',
)
_HELP = (
    "random, mcts:200 (plain tree search), solver, RUN[@UPDATE][:simulations], or a program: "
    "gtp:COMMAND or uci:COMMAND."
)

AgentName = Annotated[str, typer.Argument(metavar="AGENT", help=_HELP, show_default=False)]


@with_option_groups
def arena(
    *,
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
            help="Write the random openings to a new file for --openings; with --sprt when the "
            "test ends, those that it has played.",
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
    sequential: SequentialOptions,
    seconds_per_move: Annotated[
        str | None,
        typer.Option(
            "--seconds-per-move",
            metavar="S[,S]",
            help="Equal time: each agent makes as many simulations as it does in so many seconds "
            "on this machine; with two numbers the second agent has its own.",
            show_default=False,
        ),
    ] = None,
    simulations: Annotated[
        str | None,
        typer.Option(
            "--simulations",
            metavar="N,N,...",
            help="A table of how strong the first agent, a run, is with each of these numbers of "
            "simulations; --matches is for each of them.",
            show_default=False,
        ),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            metavar="SEARCH.KEY=V,V,...",
            help="The same for values of a setting of its search, such as "
            "search.value_scale=0.1,0.3,1. May be repeated: then for all combinations.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Draw what --simulations or --vary finds: .png, .svg or .pdf, by its ending.",
            show_default=False,
        ),
    ] = None,
    inference: Inference = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Play paired matches between two agents.

    Shows the score of the first agent with its 95 % interval. Every random opening is played
    twice, once from each seat.
    """
    from selfplay import startup
    from selfplay.arena import play_matches
    from selfplay.arena.agents import DEFAULT_BATCH_SIZE
    from selfplay.cli.targets import game_of
    from selfplay.game.rules import search_sees_more

    bounds = sequential.bounds()
    times = parse_times(seconds_per_move)
    variants = _variants(
        simulations,
        vary,
        output,
        {
            "--sprt": sequential.sprt,
            "--seconds-per-move": seconds_per_move,
            "--openings": openings,
            "--save-openings": save_openings,
            "--opening-plies": opening_plies is not None,
        },
    )
    startup.prepare()
    game = game_of([first, second], game_name, option)
    if hidden := search_sees_more(game):
        say(f"note: {hidden}", err=True)
    if variants:
        with LiveLine("getting ready") as line:
            document = show_variants(
                game,
                first,
                second,
                variants,
                line,
                num_matches=num_matches,
                engines=engines,
                inference=inference,
                output=output,
            )
        say_variants(document, output, as_json=as_json)
        return
    begin = openings_to_play(
        game, openings, save_openings, num_matches, opening_plies, seed, sequential.sprt
    )
    if num_matches is None and not sequential.sprt:
        num_matches = 100 if openings is None or begin is None else 2 * len(begin.openings)
    # Each agent is to move in about half of the matches, so a larger batch would be wasted.
    batch_size = max(1, min(DEFAULT_BATCH_SIZE, (num_matches or 2 * DEFAULT_BATCH_SIZE) // 2))
    with LiveLine("getting ready") as line:
        agents, time = make_agents(
            (first, second),
            game,
            batch_size=batch_size,
            engines=engines,
            inference=inference,
            times=times,
            line=line,
        )
        plies = opening_plies if begin is None or openings is not None else None
        if sequential.sprt:
            document = play_sequential(
                game,
                agents,
                bounds,
                line,
                max_matches=num_matches,
                seed=seed,
                opening_plies=plies,
                openings=begin,
                save_openings=save_openings,
            )
        else:
            document = play_matches(
                game,
                *agents,
                num_matches=num_matches,
                seed=seed,
                opening_plies=plies,
                openings=begin,
                progress=lambda standing: line.show(str(standing)),
            ).to_dict()
        document |= time
    if as_json:
        say_json(document)
    else:
        say(facts(_facts(document)))


def _variants(
    simulations: str | None, vary: list[str] | None, output: Path | None, others: dict[str, Any]
) -> "tuple[Variant, ...]":
    """Returns the searches that are to be compared, none where nothing of the kind is asked for.

    Raises:
        ConfigError: they cannot be read, or options do not go together.
    """
    from selfplay.configuration import check_choice
    from selfplay.errors import ConfigError
    from selfplay.reports.variants import parse_counts, parse_settings

    if simulations is None and not vary:
        if output is not None:
            raise ConfigError(
                f"--output is {output}, but only what --simulations or --vary finds is drawn",
                hint="add --simulations 1,4,16,64",
            )
        return ()
    asked = f"--simulations is {simulations}" if simulations else f"--vary is {vary}"
    others["--vary"] = vary if simulations else None
    given = [name for name, value in others.items() if value]
    if given:
        raise ConfigError(
            f"{asked}, but does not go together with {given[0]}", hint="leave one of the two out"
        )
    if output is not None:
        check_choice("the ending of --output", output.suffix, (".png", ".svg", ".pdf"))
    return parse_counts(simulations) if simulations is not None else parse_settings(vary or ())


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
    if "sprt" in result:
        pairs[1:1] = sequential_facts(result)
    for one in result.get("time", ()):
        pairs.append(("time", _time(one)))
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


def _time(one: dict[str, Any]) -> str:
    if one["measured_seconds"] is None:
        return f"{one['agent']} does not search"
    if one["simulations"] is None:
        return f"{one['agent']} is told to take {one['seconds']:g} s a move"
    seconds = f"{one['measured_seconds']:.3g} s a move"
    return f"{one['agent']}: {one['simulations']:,} simulations, {seconds}"
