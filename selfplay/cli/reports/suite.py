"""selfplay suite: what checkpoints do in positions with known answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfplay.cli.live_line import LiveLine
from selfplay.cli.options import GameOptions, Inference, Json, Seed, Simulations
from selfplay.cli.output import say, say_json, table
from selfplay.configuration import check_range
from selfplay.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfplay.arena import Analyst, SuiteResult
    from selfplay.game import Game

EXAMPLES = (
    "selfplay suite runs/connect_four",
    "selfplay suite runs/connect_four tactics.txt --newest 5",
    "selfplay suite runs/connect_four@1200 --simulations 0 --json",
    "selfplay suite mcts:1000 --game othello",
)


def suite(
    agent_name: Annotated[
        str,
        typer.Argument(
            metavar="RUN[@UPDATE]",
            help="A run: every checkpoint that it keeps is asked, or that one. With --game any "
            "agent but an engine.",
            show_default=False,
        ),
    ],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Positions with names, best moves and values, one a line; see docs/suites.md. By "
            "default the game's own suite.",
            show_default=False,
        ),
    ] = None,
    newest: Annotated[
        int | None,
        typer.Option(
            "--newest",
            metavar="N",
            help="Ask the newest N checkpoints alone.",
            show_default=False,
        ),
    ] = None,
    simulations: Simulations = None,
    inference: Inference = None,
    game_name: Annotated[
        str | None,
        typer.Option(
            "--game",
            metavar="GAME",
            help="Needed if the agent is no run, or if the file of the run's game has moved.",
            show_default=False,
        ),
    ] = None,
    option: GameOptions = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Ask checkpoints about positions with known answers.

    Shows how many positions each checkpoint solves, and which ones the newest does not.
    """
    if newest is not None:
        check_range("--newest", newest, low=1)
    from selfplay import startup
    from selfplay.arena import ask_suite, read_suite, suite_of
    from selfplay.cli.targets import game_of

    startup.prepare()
    game = game_of([agent_name], game_name, option)
    path = suite_of(game) if file is None else file
    if path is None:
        raise ConfigError(
            f"no suite is named, and {game.name} has none of its own for these options",
            hint="write one, one position a line: docs/suites.md",
        )
    asked = read_suite(path, game)
    results: list[tuple[int | None, SuiteResult]] = []
    with LiveLine("getting ready") as line:
        for update, agent in _agents(agent_name, game, newest, simulations, inference):
            line.show(f"{agent.name} solves {len(asked.positions)} positions")
            results.append((update, ask_suite(agent, asked, seed=seed)))
    if as_json:
        say_json(_document(results))
    else:
        say(_text(results))


def _agents(
    name: str,
    game: "Game[Any]",
    newest: int | None,
    simulations: int | None,
    inference: str | None,
) -> "Iterator[tuple[int | None, Analyst]]":
    """Yields the agents to ask, oldest first, each with its update if it is a checkpoint."""
    from selfplay.arena import checkpoint_agents
    from selfplay.cli.targets import named_run, note, run_agent
    from selfplay.run import split_checkpoint_name, split_simulations

    text, typed = split_simulations(name)
    if named_run(name) is None or split_checkpoint_name(text)[1] is not None:
        if newest is not None:
            raise ConfigError(
                f"--newest is {newest}, but {name} is one agent",
                hint="name a run without a checkpoint to have several of its checkpoints asked",
            )
        agent = run_agent(
            name, game, simulations=simulations, batch_size=_BATCH_SIZE, inference=inference
        )
        is_run = named_run(name) is not None
        yield split_checkpoint_name(text)[1] if is_run else None, agent
        return
    yield from checkpoint_agents(
        text,
        game=game,
        simulations=typed if simulations is None else simulations,
        newest=newest,
        batch_size=_BATCH_SIZE,
        inference=inference,
        say=note,
    )


_BATCH_SIZE = 32


def _document(results: "list[tuple[int | None, SuiteResult]]") -> dict[str, Any]:
    first = results[0][1]
    return {
        "suite": first.suite,
        "suite_id": first.suite_id,
        "positions": len(first.answers),
        "results": [
            {
                **result.to_dict(),
                "update": update,
                "answers": [answer.to_dict() for answer in result.answers],
            }
            for update, result in results
        ],
    }


def _text(results: "list[tuple[int | None, SuiteResult]]") -> str:
    from selfplay.telemetry import words

    last = results[-1][1]
    rows = [
        [
            result.agent,
            f"{result.solved} of {len(result.answers)}",
            words.percent_interval(result.share, *result.interval),
        ]
        for _, result in results
    ]
    parts = [f"suite {last.suite}, {last.suite_id}", table(["agent", "solved", "share"], rows)]
    wrong = [answer.to_dict() for answer in last.answers if not answer.solved]
    if wrong:
        missed = [
            [
                one["name"],
                one["action_name"],
                " ".join(one["best_names"]) or "-",
                "-" if one["value"] is None else f"{one['value']:+.2f}",
                "-" if one["expected_value"] is None else f"{one['expected_value']:+.2f}",
            ]
            for one in wrong
        ]
        parts.append(f"not solved by {last.agent}:")
        parts.append(table(["position", "played", "best", "value", "expected"], missed))
    return "\n\n".join(parts)
