"""selfplay ladder: ratings of checkpoints and of fixed opponents."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfplay.cli.live_line import LiveLine
from selfplay.cli.options import Inference, Json, MovedGame, Simulations
from selfplay.cli.output import say, say_json, table

if TYPE_CHECKING:
    from selfplay.reports.ladder_matches import Plan

_MOST_ROWS = 40

EXAMPLES = (
    "selfplay ladder runs/connect_four",
    "selfplay ladder runs/connect_four --minutes 30 --output ladder.png",
    "selfplay ladder runs/a runs/b --minutes 10 --json",
    'selfplay ladder runs/go --minutes 60 --opponent "gtp:gnugo --mode gtp"',
)


def ladder(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Runs of one game; RUN@UPDATE lets that checkpoint play, and no other of the run.",
            show_default=False,
        ),
    ],
    minutes: Annotated[
        float,
        typer.Option(
            "--minutes",
            metavar="M",
            help="Play for so long the matches that tell most, and store them in the run; 0 plays "
            "none.",
        ),
    ] = 0.0,
    checkpoints: Annotated[
        int,
        typer.Option(
            "--checkpoints",
            metavar="N",
            help="So many checkpoints of each run play, spread evenly over its training.",
        ),
    ] = 10,
    opponents: Annotated[
        list[str] | None,
        typer.Option(
            "--opponent",
            metavar="AGENT",
            help="One more agent that plays, such as mcts:10000 or gtp:COMMAND. May be repeated. "
            "random, mcts:100 and mcts:1000 always play, and solver if it knows the first "
            "position.",
            show_default=False,
        ),
    ] = None,
    engines: Annotated[
        int,
        typer.Option(
            "--engines",
            metavar="N",
            help="Processes of each gtp: or uci: program that think side by side.",
        ),
    ] = 1,
    simulations: Simulations = None,
    inference: Inference = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Draw the ratings: .png, .svg or .pdf, by its ending.",
            show_default=False,
        ),
    ] = None,
    game: MovedGame = None,
    as_json: Json = False,
) -> None:
    """Rate checkpoints by all their matches.

    Fits Elo ratings with 95 % intervals to every match between checkpoints and other agents that
    the runs have stored; random has rating 0. With --minutes it first plays those that tell most.
    """
    from selfplay.configuration import check_choice, check_range
    from selfplay.reports.ladder import ladder as rate
    from selfplay.store.files import storage_errors

    check_range("--minutes", minutes, low=0)
    check_range("--checkpoints", checkpoints, low=1)
    check_range("--engines", engines, low=1)
    if output is not None:
        check_choice("the ending of --output", output.suffix, (".png", ".svg", ".pdf"))
    with LiveLine("reading matches") as line:
        plan = None
        if minutes:
            line.show("getting ready")
            plan = _plan(
                runs[0], game, minutes, checkpoints, simulations, opponents, engines, inference
            )
        rated = rate(runs, plan=plan, say=line.note, show=line.show)
        document = rated.to_dict()
        if output is not None:
            from selfplay.telemetry.rating_plots import plot_ladder

            title = f"{rated.game}: ratings from {document['matches']:,} matches"
            with storage_errors(output):
                plot_ladder(document["agents"], output, title=title, anchor=document["anchor"])
    if as_json:
        say_json(document)
        return
    say(ratings_table(document))
    say("\n" + _notes(document))
    if output is not None:
        say(f"{output} shows them")


def _plan(
    run: str,
    game: str | None,
    minutes: float,
    checkpoints: int,
    simulations: int | None,
    opponents: list[str] | None,
    engines: int,
    inference: str | None,
) -> "Plan":
    from selfplay import startup
    from selfplay.cli.targets import run_and_game
    from selfplay.reports.ladder_matches import OPPONENTS, Plan
    from selfplay.run import RunDirectory, split_checkpoint_name

    startup.prepare()
    found = run_and_game(run, game)
    if found is None:
        # Says why it is no run.
        place, _ = split_checkpoint_name(run)
        found = RunDirectory.open(place), RunDirectory.open(place).make_game()
    return Plan(
        game=found[1],
        minutes=minutes,
        checkpoints=checkpoints,
        simulations=simulations,
        opponents=(*OPPONENTS, *(opponents or ())),
        engines=engines,
        inference=inference,
    )


def ratings_table(document: dict[str, Any]) -> str:
    """Returns the table of a ladder, the strongest agent first.

    An agent that won every match stands where its matches prove it to be at least.
    """
    one_run = len(document["runs"]) == 1
    rows = []
    for agent in sorted(_shown(document["agents"]), key=_proven, reverse=True):
        name = agent["agent"]
        if one_run and agent["run"] == document["runs"][0]:
            name = f"@{agent['update']}:{agent['simulations']}"
        low, high = agent["interval"]
        fixed = agent["agent"] == document["anchor"]
        interval, elo = f"{low:+,.0f} to {high:+,.0f}", f"{agent['elo']:+,.0f}"
        if fixed:
            interval, elo = "-", "0"
        elif agent["unbounded"]:
            # The rest of the interval and the rating come from the prior.
            above = agent["unbounded"] == "above"
            interval, elo = (f"above {low:+,.0f}" if above else f"below {high:+,.0f}"), "-"
        remark = "0 by definition" if fixed else _remark(agent)
        rows.append((name, elo, interval, f"{agent['matches']:,}", remark))
    return table(("agent", "Elo", "95 % interval", "matches", ""), rows)


def _proven(agent: dict[str, Any]) -> float:
    """Returns the rating of an agent, or the bound of it that the matches tell."""
    low, high = agent["interval"]
    known: float = {"above": low, "below": high, "": agent["elo"]}[agent["unbounded"]]
    return known


def _shown(agents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns all agents or, of many checkpoints, some that are spread over each training."""
    from selfplay.reports.ladder_matches import spread

    if len(agents) <= _MOST_ROWS:
        return agents
    runs: dict[str | None, list[int]] = {}
    for agent in agents:
        if agent["update"] is not None:
            runs.setdefault(agent["run"], []).append(agent["update"])
    kept = {
        (run, update)
        for run, updates in runs.items()
        for update in spread(sorted(set(updates)), max(2, _MOST_ROWS // len(runs)))
    }
    return [one for one in agents if one["update"] is None or (one["run"], one["update"]) in kept]


def _remark(agent: dict[str, Any]) -> str:
    if agent["matches"] == 0:
        return "no matches yet"
    if not agent["connected"]:
        return "never met the others"
    return {"above": "won every match", "below": "lost every match"}.get(agent["unbounded"], "")


def _notes(document: dict[str, Any]) -> str:
    from selfplay.telemetry import words

    lines = [f"Elo above {document['anchor']}, from {document['matches']:,} matches"]
    if document["played_matches"]:
        seconds = words.duration(document["played_seconds"])
        lines[0] += f", {document['played_matches']:,} of them played now in {seconds}"
    if len(shown := _shown(document["agents"])) < len(document["agents"]):
        lines.append(f"{len(shown)} of {len(document['agents'])} agents are shown; --json has all")
    if any(agent["unbounded"] for agent in document["agents"]):
        lines.append("who won or lost every match has only a bound; more matches rate it")
    if any(not agent["connected"] for agent in document["agents"]):
        lines.append(
            "where an agent never met the others, only the prior bounds its interval: ratings lie "
            f"about {document['prior_elo']:,.0f} Elo about their mean"
        )
    if document["dispersion"] > 1.5:
        lines.append(
            f"the scores vary {document['dispersion']:.1f} times as much as chance explains: how "
            "strong an agent is depends on whom it meets; the intervals are widened accordingly"
        )
    if document["skipped_evaluations"]:
        count = document["skipped_evaluations"]
        lines.append(f"{count} stored evaluations without their matches are left out")
    return "\n".join(lines)
