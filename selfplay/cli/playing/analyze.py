"""selfplay analyze: searches positions and shows the result."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from selfplay.cli.live_line import LiveLine
from selfplay.cli.options import GameOptions, Inference, Json, Seed, Simulations
from selfplay.cli.output import say, say_json, table
from selfplay.configuration import check_range
from selfplay.errors import ConfigError

EXAMPLES = (
    'selfplay analyze runs/connect_four --moves "3 3 4"',
    "selfplay analyze runs/connect_four@1200 --positions FILE --simulations 64",
    "selfplay analyze runs/connect_four --tree 3 --picture tree.svg",
    'selfplay analyze mcts:1000 --game tic_tac_toe --moves "4 0" --json',
)

_DEEPEST_TREE = 20


def analyze(
    agent_name: Annotated[
        str,
        typer.Argument(
            metavar="RUN[@UPDATE]",
            help="A run, whose newest checkpoint searches, or a checkpoint. With --game any agent.",
            show_default=False,
        ),
    ],
    moves: Annotated[
        str | None,
        typer.Option(
            "--moves",
            metavar="MOVES",
            help="One position: moves from the start, separated by spaces. An integer is an action "
            "number, anything else is read as the game writes moves.",
            show_default=False,
        ),
    ] = None,
    positions: Annotated[
        Path | None,
        typer.Option(
            "--positions",
            metavar="FILE",
            help="Many positions, one per line, as moves like above; an empty line is the start. "
            "- reads standard input. Prints one JSON object per line.",
            show_default=False,
        ),
    ] = None,
    simulations: Simulations = None,
    inference: Inference = None,
    tree: Annotated[
        int,
        typer.Option(
            "--tree",
            metavar="DEPTH",
            help="Show the search tree of one position to this depth in plies.",
            show_default=False,
        ),
    ] = 0,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE.svg",
            help="Draw the search tree into a file.",
            show_default=False,
        ),
    ] = None,
    game_name: Annotated[
        str | None,
        typer.Option(
            "--game",
            metavar="GAME",
            help="Required if the agent is not a run, or if the game file of the run has moved.",
            show_default=False,
        ),
    ] = None,
    option: GameOptions = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Search positions: best move, value, policy.

    Without --moves and --positions, it searches the first position of a match.
    """
    if moves is not None and positions is not None:
        raise ConfigError(
            "--moves and --positions are both given", hint="--moves is for a single position"
        )
    check_range("--tree", tree, low=0, high=_DEEPEST_TREE)
    if positions is not None and tree:
        raise ConfigError(
            f"--tree is {tree}, but --positions is given", hint="--tree is for a single position"
        )
    if picture is not None and not tree:
        raise ConfigError("--picture is given without --tree", hint="--tree 3 --picture tree.svg")
    from selfplay import startup
    from selfplay.arena import SearchAgent
    from selfplay.cli.targets import game_of, run_agent
    from selfplay.play import analyze as analyses_of
    from selfplay.play import play_text, read_positions, tree_svg, tree_text

    startup.prepare()
    game = game_of([agent_name], game_name, option)
    batch_size = 1 if positions is None else 64
    agent = run_agent(
        agent_name, game, simulations=simulations, batch_size=batch_size, inference=inference
    )

    if isinstance(agent, SearchAgent):
        agent = agent.resized(batch_size=batch_size, keep_trees=True)
    elif tree:
        raise ConfigError(f"--tree is {tree}, but {agent_name} has no search tree")

    def thinking() -> LiveLine:
        return LiveLine("thinking")

    if positions is not None:
        lines = _read_lines(positions)
        matches = read_positions(game, lines, seed=seed)
        for document in analyses_of(agent, matches, seed=seed, thinking=thinking):
            say_json(document, indent=None)
        return
    match = play_text(game, moves or "", seed=seed)
    (document,) = analyses_of(agent, [match], seed=seed, tree_depth=tree, thinking=thinking)
    if picture is not None:
        _write(picture, tree_svg(document["tree"]))
    if as_json:
        say_json(document)
    else:
        say(game.render(match.position.state))
        say(_text(document, {action: match.name(action) for action in document["legal"]}))
        if tree:
            say(f"\n{tree_text(document['tree'])}")


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from None


def _read_lines(file: Path) -> list[str]:
    if str(file) == "-":
        return sys.stdin.read().splitlines()
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(
            f"{file} is not a text file", hint="one position a line, as moves from the start"
        ) from None


def _text(document: dict[str, Any], names: dict[int, str]) -> str:
    """Returns a document as text for people, with the likeliest move first."""
    columns = [
        (title, document[key], form)
        for title, key, form in (
            ("policy", "policy", lambda x: f"{100 * x:.1f} %"),
            ("visits", "visits", str),
            ("value", "qvalues", lambda x: f"{x:+.2f}"),
            ("network", "raw_policy", lambda x: f"{100 * x:.1f} %"),
        )
        if document.get(key)
    ]
    order = sorted(document["legal"], key=lambda action: -document["policy"][str(action)])
    visits = document["visits"]
    rows = [
        [
            names[action],
            str(action),
            *(
                "-" if title == "value" and not visits[str(action)] else form(column[str(action)])
                for title, column, form in columns
            ),
        ]
        for action in order
    ]
    head = (
        f"{document['agent']}: player {document['player']} plays {document['action_name']} "
        f"(action {document['action']})"
    )
    if document["value"] is not None:
        head += f"\nvalue {document['value']:+.3f}"
        if document.get("raw_value") is not None:
            head += f", by the network alone {document['raw_value']:+.3f}"
        head += ": expected result for the player to move, from -1 lost to +1 won"
    expected = " ".join(move["name"] for move in document.get("principal_variation", ()))
    if expected:
        head += f"\nexpected: {expected}"
    return f"\n{head}\n\n" + table(["move", "action", *(title for title, *_ in columns)], rows)
