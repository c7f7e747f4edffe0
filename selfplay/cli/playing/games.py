"""selfplay games: lists the games."""

from typing import Any

from selfplay.cli.options import Json
from selfplay.cli.output import say, say_json, table
from selfplay.errors import SelfplayError

EXAMPLES = ("selfplay games", "selfplay games --json")


def games(as_json: Json = False) -> None:
    """List the games that have a name."""
    from selfplay.registry import game_names

    rows = [_describe(name) for name in game_names()]
    if as_json:
        say_json(rows)
        return
    say(
        table(
            ["name", "title", "actions", "plies at most", "options", ""],
            [
                [
                    row["name"],
                    row["title"],
                    str(row.get("actions", "-")),
                    str(row.get("max_plies", "-")),
                    ", ".join(f"{name}={value!r}" for name, value in row["options"].items()) or "-",
                    row.get("problem") or row["summary"],
                ]
                for row in rows
            ],
        )
    )
    say("\na game of your own: selfplay train file.py:Class")


def _describe(name: str) -> dict[str, Any]:
    import inspect

    from selfplay.adapters import HostedGame
    from selfplay.game import ChanceGame, title_from, title_of
    from selfplay.registry import make

    try:
        game = make(name)
    except SelfplayError as error:
        # A broken package must not hide the other games.
        return {
            "name": name,
            "title": title_from(name),
            "actions": None,
            "kind": None,
            "options": {},
            "summary": "",
            "problem": str(error),
        }
    # A game in plain Python is wrapped; its description is in the user's own class.
    kind = type(game.rules) if isinstance(game, HostedGame) else type(game)
    return {
        "name": name,
        "title": title_of(game),
        "actions": game.num_actions,
        "kind": "chance" if isinstance(game, ChanceGame) else "deterministic",
        "python": isinstance(game, HostedGame),
        "max_plies": game.max_plies,
        "version": game.version,
        "options": {
            name: parameter.default
            for name, parameter in inspect.signature(kind).parameters.items()
            if isinstance(parameter.default, bool | int | float | str)
        },
        "symmetries": len(game.symmetries()),
        "solver": "solve" in kind.__dict__,
        "summary": (inspect.getdoc(kind) or "").partition("\n")[0].rstrip("."),
        "package": kind.__module__,
    }
