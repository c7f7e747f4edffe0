"""The texts at the beginning and at the end of a training session."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from selfplay.cli.group import Invocation
from selfplay.cli.output import facts

if TYPE_CHECKING:
    from selfplay.settings import Source
    from selfplay.training.session import Session
    from selfplay.training.trainer import Trainer


def opening(session: "Session") -> list[tuple[str, str]]:
    """Returns the lines about the run, the game and the devices."""
    from selfplay.runtime.memory_plan import plan_memory

    run = session.run
    options = "".join(f" {name}={value}" for name, value in run.game_spec.options.items())
    components = session.components
    weights = f"{components.network.num_weights():,} weights in {components.inference.kind}"
    plan = plan_memory(components.game, components.network, run.config)
    return [
        ("run", f"{run.url} ({session.beginning})"),
        ("game", f"{run.game_name}{options}, network of {weights}"),
        ("devices", _devices(components.mesh.size, components.mesh.devices.flat[0].platform)),
        ("memory", f"{plan} planned"),
    ]


def settings_in_force(session: "Session", sources: Sequence["Source"]) -> list[str]:
    """Returns the settings that differ from the defaults, by source, and where all are."""
    from selfplay.settings import changed_settings

    run = session.run
    by_source = changed_settings(run.config, sources, stored="stored in the run")
    lines = [
        f"{source}: " + " ".join(f"{name}={_plain(value)}" for name, value in values.items())
        for source, values in by_source.items()
    ]
    file = run.store.label("run.toml")
    if run.config.to_dict() == run.document["config"]:
        return [*(lines or ["the defaults"]), f"all of them: {file}"]
    return [
        *(lines or ["the defaults"]),
        f"all of them: metadata.json of each new checkpoint ({file} has those of the beginning)",
    ]


def reached(trainer: "Trainer", *, finished: bool) -> list[tuple[str, str]]:
    """Returns the lines about the result."""
    from selfplay.telemetry import words

    pairs = [
        (
            "finished" if finished else "stopped",
            f"after {words.duration(trainer.elapsed)} of training, at update {trainer.update:,}",
        ),
        ("saved", f"checkpoint {trainer.saved:,} in {trainer.run.url}"),
    ]
    if not trainer.update:
        pairs.append(("note", "no update was made, so this run has learnt nothing: train longer"))
    for index, one in enumerate(trainer.strength.results.values()):
        text = f"{words.score(one)} against {one.opponent} at update {one.update:,}"
        pairs.append(("" if index else "strength", text))
    if trainer.update and not trainer.strength.results and trainer.evaluates:
        pairs.append(("strength", "not measured in this time; selfplay arena, below, measures it"))
    if rates := trainer.strength.mistakes.rates:
        share, *parts = words.mistakes(rates)
        text = f"{share} at update {rates[0].update:,}"
        pairs += [("mistakes", text), ("", ", ".join(parts))]
    for score in trainer.strength.suite.scores:
        pairs.append(("suite", f"{words.suite(score)} at update {score.update:,}"))
    return pairs


def ending(
    trainer: "Trainer", results: list[tuple[str, str]], *, finished: bool, typed: Invocation
) -> str:
    """Returns the result, and commands to continue with."""
    from selfplay.store.place import typed as as_typed

    run = as_typed(trainer.run.url)
    commands = [f"play {run}", f"arena {run} mcts:1000", f'analyze {run} --moves ""']
    lines = [facts(results)]
    # Commands are not wrapped, so that they can be copied.
    if not finished:
        lines += ["go on with:", f"  {typed.program} {shlex.join(typed.arguments)}"]
    lines += ["next:" if finished else "or try:"]
    lines += [f"  {typed.program} {command}" for command in commands]
    return "\n".join(lines)


def document(session: "Session", update: int | None, *, finished: bool) -> dict[str, Any]:
    """Returns the document of `--json`."""
    from selfplay.reports.status import run_status

    return {**run_status(session.run.store, diagnosis=True), "update": update, "finished": finished}


def _devices(count: int, platform: str) -> str:
    """Returns the number of devices, and the reason for it."""
    from selfplay.machine import device_cores

    text = f"{count} x {platform}"
    chosen = device_cores()
    return f"{text} ({chosen.reason})" if (platform, count) == ("cpu", chosen.count) else text


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)
