"""selfplay play: a match in the terminal."""

import datetime
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from selfplay.cli.live_line import LiveLine
from selfplay.cli.options import GameOptions, Inference, Json, MovedGame, Seed, Simulations
from selfplay.cli.output import say, say_json
from selfplay.errors import ConfigError

EXAMPLES = (
    "selfplay play runs/connect_four",
    "selfplay play runs/connect_four@1200 --side 1 --simulations 200",
    "selfplay play tic_tac_toe --opponent mcts:1000",
    "selfplay play runs/connect_four --save match.json",
    "selfplay play runs/connect_four --resume match.json --save match.json",
    'selfplay play go_9x9 --opponent "gtp:gnugo --mode gtp --chinese-rules"',
)
_SIMULATIONS_WITHOUT_RUN = 200


def play(
    target: Annotated[
        str,
        typer.Argument(
            metavar="GAME_OR_RUN",
            help="A run or a checkpoint, RUN[@UPDATE], to play against; or a game, to play against "
            "mcts:200.",
            show_default=False,
        ),
    ],
    side: Annotated[
        str, typer.Option("--side", metavar="SIDE", help="Your seat: 0, 1, both or none.")
    ] = "0",
    opponent: Annotated[
        str | None,
        typer.Option(
            "--opponent",
            metavar="AGENT",
            help="Another opponent; an AGENT as in selfplay arena.",
            show_default=False,
        ),
    ] = None,
    simulations: Simulations = None,
    inference: Inference = None,
    moved: MovedGame = None,
    option: GameOptions = None,
    seed: Seed = 0,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            metavar="FILE",
            help="Write the match to a file, finished or not; the web board opens it too.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="FILE",
            help="Continue a saved match, from here or from the web board.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Play a match in the terminal.

    The agent shows its estimates. Type help for a list of commands. With --json the board goes to
    stderr and the finished match to stdout.
    """
    from selfplay import startup
    from selfplay.cli.targets import make_game, opponent_agent, run_and_game
    from selfplay.play import (
        LiveMatch,
        TerminalMatch,
        load_match,
        match_document,
        parse_people,
        play_in_terminal,
        save_match,
        takes_colour,
    )

    people = parse_people(side)
    if save is not None and save.exists() and (resume is None or not save.samefile(resume)):
        raise ConfigError(
            f"--save is {save}, which exists already",
            hint=f"go on with it: --resume {save} --save {save}, or choose another name",
        )
    startup.prepare()
    found = run_and_game(target, moved, option)
    if moved is not None and found is None:
        raise ConfigError(
            f"--game is {moved}, but {target} is no run",
            hint="name a game alone, or a run and with --game where its game is now",
        )
    game = found[1] if found else make_game(target, option)
    if opponent is None and found is None:
        opponent = f"mcts:{_SIMULATIONS_WITHOUT_RUN if simulations is None else simulations}"
        simulations = None
    agent = opponent_agent(
        opponent or target, game, simulations=simulations, batch_size=1, inference=inference
    )
    match = LiveMatch(game, seed=seed)
    thoughts: Sequence[dict[str, Any] | None] = ()
    if resume is not None:
        match, document = load_match(resume, game)
        thoughts = document["plies"]

    def write(session: TerminalMatch | None) -> None:
        """Saves the match; also before it begins, to find out whether the file can be written."""
        if save is not None:
            document = match_document(
                match,
                players=["a person" if player in people else agent.name for player in (0, 1)],
                ending="left" if session is None else session.ending,
                returns=None if session is None else session.returns,
                plies=thoughts if session is None else session.thoughts,
                time=datetime.datetime.now(datetime.UTC),
            )
            save_match(save, document)

    write(None)
    output = sys.stderr if as_json else sys.stdout
    session = play_in_terminal(
        game,
        agent,
        people=people,
        source=sys.stdin,
        output=output,
        seed=seed,
        match=match,
        thoughts=thoughts,
        colour=takes_colour(output),
        thinking=lambda: LiveLine(f"{agent.name} is thinking"),
    )
    write(session)
    if save is not None:
        say(f"saved in {save}", err=True)
    if as_json:
        say_json(
            {
                "game": game.name,
                "agent": agent.name,
                "people": sorted(people),
                "ending": session.ending,
                "actions": session.actions,
                "outcomes": session.outcomes,
                "returns": session.returns,
            }
        )
