"""All laws, in the order in which they are documented."""

from selfplay.check.laws import (
    host,
    numbers,
    players,
    purity,
    shape,
    symmetry,
    tested_elsewhere,
    training,
    turns,
    views,
)
from selfplay.check.laws.law import Law

_MODULES = (
    shape,
    turns,
    numbers,
    players,
    views,
    symmetry,
    purity,
    host,
    tested_elsewhere,
    training,
)

LAWS: dict[str, Law] = {law.name: law for module in _MODULES for law in module.LAWS}
"""Every law by its name."""


def laws_table() -> str:
    """Returns all laws and warnings as tables for the documentation."""
    laws = LAWS.values()
    parts = [
        _rows("rule", [law for law in laws if not law.only_python and not law.is_warning]),
        "In plain Python also:",
        _rows("rule", [law for law in laws if law.only_python]),
        "Warnings do not fail the check:",
        _rows("warning", [law for law in laws if law.is_warning]),
    ]
    return "\n\n".join(parts) + "\n"


def _rows(what: str, laws: list[Law]) -> str:
    lines = [f"| {what} | what must hold | what to change |", "| --- | --- | --- |"]
    lines += [f"| `{law.name}` | {law.statement} | {law.advice} |" for law in laws]
    return "\n".join(lines)
