"""selfplay evaluator: rates the checkpoints of a run that is trained elsewhere."""

from typing import Any

from selfplay.cli.option_groups import with_option_groups
from selfplay.cli.options import Json
from selfplay.cli.output import say_json
from selfplay.cli.training.joining import JoiningOptions, listening
from selfplay.cli.training.monitoring import MonitoringOptions

EXAMPLES = (
    "selfplay evaluator --run runs/connect_four",
    "selfplay evaluator --run runs/connect_four --set evaluation.opponents=random,mcts:1000",
)


@with_option_groups
def evaluator(
    *, joining: JoiningOptions, monitoring: MonitoringOptions, as_json: Json = False
) -> None:
    """Rate a run's checkpoints as they come.

    Plays matches of each new checkpoint against evaluation.opponents and the checkpoint rated
    before; if checkpoints come too fast, it rates the newest. If the game has a solver, it counts
    mistakes by ply. Training does not wait for it. An evaluator chooses search.inference and the
    section evaluation; all other settings come from the run. Ctrl-C or SIGTERM ends it.
    """
    from selfplay import startup

    lifetime = joining.lifetime()
    with listening(
        *("evaluator", joining, lifetime), does="breaks off the matches", monitored=monitoring
    ) as listeners:
        asked = joining.asked_settings()
        startup.prepare(cpu_devices=joining.devices)

        from selfplay.cli.targets import moved_game
        from selfplay.workers.evaluator import EvaluatorOptions, evaluate

        options = EvaluatorOptions(id=joining.id, game=moved_game(joining.game), settings=asked)
        evaluator = evaluate(joining.run, options, lifetime, listeners)
        document: dict[str, Any] = {
            "run": joining.run,
            "id": None,
            "ended": lifetime.reason,
            "rated": [],
        }
        if evaluator is not None:
            document |= {**evaluator.fields(), "id": evaluator.id, "rated": evaluator.rated}
        document["mistakes"] = None if evaluator is None else evaluator.mistakes
        listeners.say(f"ended: {lifetime.reason}, {len(document['rated'])} checkpoints rated")
    if as_json:
        say_json(document, indent=None if monitoring.log_format == "json" else 1)
