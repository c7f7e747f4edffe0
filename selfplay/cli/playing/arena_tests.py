"""What `selfplay arena` can do beside a table: a sequential test, and strength by simulations."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfplay.cli.option_groups import OptionGroup
from selfplay.cli.output import say, say_json, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfplay.arena import Agent, OpeningSet, SequentialTest
    from selfplay.cli.live_line import LiveLine
    from selfplay.game import Game
    from selfplay.reports.variants import Variant


@dataclasses.dataclass(frozen=True, kw_only=True)
class SequentialOptions(OptionGroup):
    """The options of a sequential test."""

    sprt: Annotated[
        bool,
        typer.Option(
            "--sprt",
            help="Play until it is decided whether the first agent is --elo0 or --elo1 stronger, "
            "at most --matches, by default 10,000.",
        ),
    ] = False
    elo0: Annotated[
        float | None,
        typer.Option(
            "--elo0",
            metavar="ELO",
            help="Of --sprt: the difference that is not enough; by default 0.",
            show_default=False,
        ),
    ] = None
    elo1: Annotated[
        float | None,
        typer.Option(
            "--elo1",
            metavar="ELO",
            help="Of --sprt: the difference that is; by default 15.",
            show_default=False,
        ),
    ] = None
    alpha: Annotated[
        float | None,
        typer.Option(
            "--alpha",
            metavar="P",
            help="Of --sprt: how often elo1 may be accepted though elo0 is true; by default 0.05.",
            show_default=False,
        ),
    ] = None
    beta: Annotated[
        float | None,
        typer.Option(
            "--beta",
            metavar="P",
            help="Of --sprt: how often elo0 may be accepted though elo1 is true; by default 0.05.",
            show_default=False,
        ),
    ] = None

    def bounds(self) -> dict[str, float]:
        """Returns the two hypotheses and how often each may be accepted wrongly.

        Raises:
            ConfigError: they contradict each other, or are given though no test is asked for.
        """
        from selfplay.arena.rating.sequential import sequential_bounds
        from selfplay.errors import ConfigError

        asked = {"elo0": self.elo0, "elo1": self.elo1, "alpha": self.alpha, "beta": self.beta}
        given = {name: value for name, value in asked.items() if value is not None}
        if given and not self.sprt:
            name, value = next(iter(given.items()))
            raise ConfigError(
                f"--{name} is {value:g}, but no sequential test is asked for", hint="add --sprt"
            )
        bounds = {"elo0": 0.0, "elo1": 15.0, "alpha": 0.05, "beta": 0.05, **given}
        sequential_bounds(**bounds)
        return bounds


def play_sequential(
    game: "Game[Any]",
    agents: "list[Agent]",
    bounds: dict[str, float],
    line: "LiveLine",
    *,
    max_matches: int | None,
    seed: int,
    opening_plies: int | None,
    openings: "OpeningSet | None",
    save_openings: Path | None,
) -> dict[str, Any]:
    """Returns the document of a sequential test: that of the matches, and the test in "sprt"."""
    from selfplay.arena.sequential_match import MOST_MATCHES, play_until_decided

    most = MOST_MATCHES if max_matches is None else max_matches

    def progress(test: "SequentialTest", finished: int) -> None:
        line.show(
            f"log-likelihood ratio {test.log_likelihood_ratio:+.2f}, to leave {test.lower:+.2f} to "
            f"{test.upper:+.2f}, {finished:,} of at most {most:,} matches finished"
        )

    found = play_until_decided(
        game,
        agents[0],
        agents[1],
        elo0=bounds["elo0"],
        elo1=bounds["elo1"],
        alpha=bounds["alpha"],
        beta=bounds["beta"],
        max_matches=most,
        seed=seed,
        opening_plies=opening_plies,
        openings=openings,
        progress=progress,
    )
    if save_openings is not None:
        found.openings.save(save_openings)
    test = found.test
    return {
        **found.table.to_dict(),
        "sprt": {
            **bounds,
            "log_likelihood_ratio": test.log_likelihood_ratio,
            "bounds": [test.lower, test.upper],
            "verdict": test.verdict,
            "pairs": test.pairs,
            "max_matches": most,
            "exhausted": found.exhausted,
        },
    }


def sequential_facts(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns what a sequential test says, in words."""
    test = document["sprt"]
    first, second = document["agents"]
    elo0, elo1 = f"{test['elo0']:+g}", f"{test['elo1']:+g}"
    low, high = test["bounds"]
    if test["verdict"] == "elo1":
        verdict = (
            f"{elo1} Elo rather than {elo0}: {first} passes against {second}; were the difference "
            f"{elo0} or less, that would come out at most {100 * test['alpha']:g} % of the time"
        )
    elif test["verdict"] == "elo0":
        verdict = (
            f"{elo0} Elo rather than {elo1}: {first} does not pass against {second}; were the "
            f"difference {elo1} or more, that would come out at most {100 * test['beta']:g} % of "
            "the time"
        )
    else:
        reason = (
            "all openings were played"
            if test["exhausted"]
            else f"{document['matches']:,} matches were played"
        )
        verdict = f"undecided between {elo0} and {elo1} Elo when {reason}"
    ratio = (
        f"{test['log_likelihood_ratio']:+.2f}, bounds {low:+.2f} and {high:+.2f}, from "
        f"{test['pairs']:,} pairs that differ in a move"
    )
    return [("verdict", verdict), ("log ratio", ratio)]


def show_variants(
    game: "Game[Any]",
    first: str,
    second: str,
    variants: "Sequence[Variant]",
    line: "LiveLine",
    *,
    num_matches: int | None,
    engines: int,
    inference: str | None,
    output: Path | None,
) -> dict[str, Any]:
    """Returns the document of an agent's strength by its search, and draws it if asked."""
    from selfplay.reports.variants import strength_by_variant
    from selfplay.store.files import storage_errors
    from selfplay.telemetry.rating_plots import plot_simulations, plot_variants

    found = strength_by_variant(
        game,
        first,
        second,
        variants,
        num_matches=100 if num_matches is None else num_matches,
        engines=engines,
        inference=inference,
        say=line.note,
        show=line.show,
    )
    document = found.to_dict()
    if output is not None:
        title = f"{found.game}: {found.agent}"
        draw = plot_variants if variants[0].settings else plot_simulations
        with storage_errors(output):
            draw(document["strength"], output, title=title, opponent=found.opponent)
    return document


def say_variants(document: dict[str, Any], output: Path | None, *, as_json: bool) -> None:
    """Prints the document of strength by simulations or settings."""
    if as_json:
        say_json(document)
        return
    won = {"above": "won every match", "below": "lost every match", "": ""}
    settings = any(row["settings"] for row in document["strength"])
    rows = [
        (
            row["settings"] if settings else f"{row['simulations']:,}",
            f"{row['elo']:+,.0f}",
            "{:+,.0f} to {:+,.0f}".format(*row["interval"]),
            f"{row['matches']:,}",
            won[row["unbounded"]],
        )
        for row in document["strength"]
    ]
    say(
        table(
            ("settings" if settings else "simulations", "Elo", "95 % interval", "matches", ""), rows
        )
    )
    say(
        f"\n{document['agent']}; Elo above {document['opponent']}, from {document['matches']:,} "
        "matches against it and between them"
        + ("" if settings else "; 0 and 1 are the network without search")
    )
    if output is not None:
        say(f"{output} shows it")
