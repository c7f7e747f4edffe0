"""selfplay doctor: does this machine give all it has?"""

from pathlib import Path
from typing import Any

from selfplay.cli.options import Json
from selfplay.cli.output import facts, say, say_json, size

EXAMPLES = ("selfplay doctor", "selfplay doctor --json")


def doctor(as_json: Json = False) -> None:
    """Find out what holds this machine back.

    Shows versions, devices, cores, memory, disk and caches, and what is wrong with them.
    """
    from selfplay import startup

    startup.prepare()

    from selfplay.processes.doctor import examine

    report = examine(Path.cwd())
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
    quota = report["cpu_quota"]
    cores = f"{report['cores']} usable, load {report['load']:.1f}"
    memory, available = report["memory_bytes"], report["memory_available_bytes"]
    return [
        ("versions", ", ".join(versions)),
        ("system", report["system"]),
        ("devices", f"{len(devices)} x {devices[0]['platform']} ({devices[0]['kind']})"),
        ("accelerators", ", ".join(report["accelerators"]) or "none to be seen"),
        ("cores", cores if quota is None else f"{cores}, container limited to {quota:g}"),
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
    ]
