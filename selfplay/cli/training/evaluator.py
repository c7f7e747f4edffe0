"""selfplay evaluator: rates the checkpoints of a run that is trained elsewhere."""

from typing import Any

from selfplay.cli.options import Devices, Json, MovedGame, Settings
from selfplay.cli.output import say_json
from selfplay.cli.training.joining import (
    Id,
    IdleExit,
    JoinRun,
    MaxMatches,
    MaxSeconds,
    listening,
    make_bounds,
)
from selfplay.cli.training.monitoring import LogFormat, MetricsHost, MetricsPort

EXAMPLES = (
    "selfplay evaluator --run runs/connect_four",
    "selfplay evaluator --run runs/connect_four --set evaluation.opponents=random,mcts:1000",
)


def evaluator(
    run: JoinRun,
    id: Id = None,
    game: MovedGame = None,
    max_matches: MaxMatches = 0,
    max_seconds: MaxSeconds = 0.0,
    idle_exit: IdleExit = 0.0,
    devices: Devices = None,
    settings: Settings = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = "127.0.0.1",
    log_format: LogFormat = "text",
    as_json: Json = False,
) -> None:
    """Rate a run's checkpoints as they come.

    Every new checkpoint, or the newest where they come faster, meets each of evaluation.opponents
    and the checkpoint rated before it. If the game has a solver, mistakes are counted by ply.
    Training does not wait. Ctrl-C or SIGTERM ends it.
    """
    from selfplay import startup
    from selfplay.settings import read_settings

    lifetime = make_bounds(max_matches, max_seconds, idle_exit)
    asked = read_settings(overrides=settings or ())
    with listening(
        *("evaluator", run, id, lifetime),
        does="breaks off the matches",
        port=metrics_port,
        host=metrics_host,
        log_format=log_format,
    ) as listeners:
        startup.prepare(cpu_devices=devices)

        from selfplay.cli.targets import moved_game
        from selfplay.workers.evaluator import EvaluatorOptions, evaluate

        options = EvaluatorOptions(id=id, game=moved_game(game), settings=asked)
        evaluator = evaluate(run, options, lifetime, listeners)
        document: dict[str, Any] = {"run": run, "id": None, "ended": lifetime.reason, "rated": []}
        if evaluator is not None:
            document |= {**evaluator.fields(), "id": evaluator.id, "rated": evaluator.rated}
        document["mistakes"] = None if evaluator is None else evaluator.mistakes
        listeners.say(f"ended: {lifetime.reason}, {len(document['rated'])} checkpoints rated")
    if as_json:
        say_json(document, indent=None if log_format == "json" else 1)
