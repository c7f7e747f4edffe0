"""selfplay doctor: shows what selfplay uses of this machine, and what limits it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from selfplay.cli.options import Json
from selfplay.cli.output import facts, say, say_json, size

EXAMPLES = (
    "selfplay doctor",
    "selfplay doctor --run runs/connect_four",
    "selfplay doctor --json",
)


def doctor(
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="A run in training: shows where its time goes and what was compiled.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find out what limits selfplay on this machine.

    Shows versions, devices, cores, memory, disk and caches, and what is wrong with them.
    """
    from selfplay import startup

    startup.prepare()

    from selfplay.reports.doctor import examine

    report = examine(Path.cwd(), run)
    if as_json:
        say_json(report)
        return
    say(facts(_facts(report)))
    for problem in report["problems"]:
        say(f"\nproblem: {problem['message']}\nhint: {problem['hint']}")
    if not report["problems"]:
        say("\nno problems found")


def _facts(report: dict[str, Any]) -> list[tuple[str, str]]:
    devices, cache = report["devices"], report["compilation_cache"]
    versions = [f"{name} {version or 'missing'}" for name, version in report["versions"].items()]
    cores = f"{report['cores']} usable: {report['cores_reason']}; load {report['load']:.1f}"
    if report["device_cores"] < report["cores"]:
        cores += f"; {report['device_cores']} devices by default: {report['device_reason']}"
    memory, available = report["memory_bytes"], report["memory_available_bytes"]
    return [
        ("versions", ", ".join(versions)),
        ("system", report["system"]),
        ("devices", f"{len(devices)} x {devices[0]['platform']} ({devices[0]['kind']})"),
        (
            "accelerators",
            report["accelerator_note"] or ", ".join(report["accelerators"]) or "none to be seen",
        ),
        ("cores", cores),
        (
            "in parallel",
            f"all devices together are {report['speed_up']:.2f} times as fast as one alone",
        ),
        (
            "memory",
            "not known"
            if memory is None or available is None
            else f"{size(available)} free of {size(memory)}",
        ),
        ("disk", f"{size(report['disk_free_bytes'])} free here"),
        (
            "cache",
            f"{cache['directory']} ({'writable' if cache['writable'] else 'not writable'}), for "
            "compiled programs",
        ),
        *(fact for process in report["processes"] for fact in _process_facts(process)),
    ]


def _process_facts(process: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns where the time of a process goes, and what it has compiled."""
    from selfplay.telemetry import words

    name = f"{process['role']} {process['id']}"
    facts = [(name, "at work" if process["alive"] else "ended without saying so")]
    if process["phases"]:
        shares = (f"{phase} {words.percent(share)}" for phase, share in process["phases"].items())
        facts.append(("time", ", ".join(shares)))
    if process["compilations"] is not None:
        slowest = ", ".join(
            f"{function} {one['count']} in {one['seconds']:.1f} s"
            for function, one in process["compiled"].items()
        )
        facts.append(
            (
                "compiled",
                f"{process['compilations']} programs in {process['compile_seconds']:.1f} s: "
                f"{slowest}",
            )
        )
    return facts
