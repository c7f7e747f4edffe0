"""selfplay evaluate: how well checkpoints predict matches that were not learnt from."""

from typing import Annotated, Any

import typer

from selfplay.cli.options import Json, MovedGame
from selfplay.cli.output import facts, say, say_json, table

EXAMPLES = (
    "selfplay evaluate runs/connect_four",
    "selfplay evaluate runs/connect_four@12000 --data runs/other/matches",
    "selfplay evaluate runs/connect_four --data a.parquet --data b.parquet --json",
)


def evaluate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN[@UPDATE]",
            help="A run: the checkpoints that it keeps, or that one.",
            show_default=False,
        ),
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            metavar="FILES",
            help="A Parquet file of matches, a folder of them, or a run. May be repeated. By "
            "default the matches that the run keeps out of training (replay.holdout_share).",
            show_default=False,
        ),
    ] = None,
    positions: Annotated[
        int, typer.Option("--positions", metavar="N", help="Look at so many positions at most.")
    ] = 4096,
    checkpoints: Annotated[
        int, typer.Option("--checkpoints", metavar="N", help="So many of the run at most.")
    ] = 10,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Decides which positions.")] = 0,
    game: MovedGame = None,
    as_json: Json = False,
) -> None:
    """Test checkpoints on matches they did not learn from.

    The raw network of each checkpoint, without search, is given the same positions. Its policy is
    compared with that of the search which played there, its value with the outcome of the match.
    Matches that the run has learnt from are left out, and counted. Nothing is written.
    """
    from selfplay import startup

    startup.prepare()
    from selfplay.cli.targets import moved_game
    from selfplay.reports.evaluate import evaluate_checkpoints

    document = evaluate_checkpoints(
        source,
        data=data or (),
        positions=positions,
        checkpoints=checkpoints,
        seed=seed,
        game=moved_game(game),
        progress=lambda update: say(f"checkpoint {update:,}", err=True),
    )
    if as_json:
        say_json(document)
        return
    say(facts(_facts(document)))
    say()
    say(table(*_checkpoints(document["checkpoints"])))
    newest = document["checkpoints"][-1]
    if newest["value"] is not None:
        say()
        say(f"values of checkpoint {newest['update']:,}, for the player to move")
        say(table(*_calibration(newest["value"])))


def _facts(document: dict[str, Any]) -> list[tuple[str, str]]:
    looked = f"{document['positions']:,} positions of {document['matches']:,} matches"
    if document["learnt_from"]:
        looked += f"; {document['learnt_from']:,} matches left out, which the run has learnt from"
    return [
        ("run", document["run"]),
        ("game", document["game"]),
        ("data", " ".join(document["data"]) or "matches kept out of training"),
        ("tested on", looked),
    ]


def _checkpoints(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    header = [
        *("checkpoint", "policy nats", "of search", "top 1", "top 3", "top 5"),
        *("value error", "sign right", "bias", "slope"),
    ]
    return header, [
        [f"{row['update']:,}", *_policy(row["policy"]), *_value(row["value"])] for row in rows
    ]


def _policy(policy: dict[str, Any] | None) -> list[str]:
    if policy is None:
        return ["-"] * 5
    nats = [f"{policy[key]:.3f}" for key in ("cross_entropy", "search_entropy")]
    return nats + [f"{100 * policy[f'top_{count}']:.1f} %" for count in (1, 3, 5)]


def _value(value: dict[str, Any] | None) -> list[str]:
    if value is None:
        return ["-"] * 4
    sign = value["sign_accuracy"]
    return [
        f"{value['squared_error']:.3f}",
        "-" if sign is None else f"{100 * sign:.1f} %",
        _estimate(value["bias"], sign="+"),
        "-" if value["slope"] is None else _estimate(value["slope"], sign=""),
    ]


def _estimate(estimate: dict[str, float | None], *, sign: str) -> str:
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    return f"{value:{sign}.2f}" + (
        "" if low is None or high is None else f" ({low:{sign}.2f} to {high:{sign}.2f})"
    )


def _calibration(value: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    header = ["predicted", "positions", "mean value", "mean outcome", "95 % interval"]
    rows = []
    for row in value["calibration"]:
        rows.append(
            [
                f"{row['low']:+.1f} to {row['high']:+.1f}",
                f"{row['positions']:,}",
                f"{row['mean_value']:+.3f}",
                f"{row['mean_outcome']:+.3f}",
                f"{row['outcome_low']:+.2f} to {row['outcome_high']:+.2f}",
            ]
        )
    return header, rows
