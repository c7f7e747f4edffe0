"""All findings, in the order in which they are printed and documented."""

from selfplay.diagnosis.finding import Finding
from selfplay.diagnosis.findings import data, learning, processes, search, values

_MODULES = (learning, values, search, data, processes)

FINDINGS: dict[str, Finding] = {
    finding.name: finding for module in _MODULES for finding in module.FINDINGS
}
"""Every finding by its name."""


def findings_table() -> str:
    """Returns all findings as a table for the documentation."""
    lines = [
        "| finding | what is measured | a problem if | what to change |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {one.name} | {one.measures} | {one.threshold} | {one.advice} |"
        for one in FINDINGS.values()
    ]
    return "\n".join(lines) + "\n"
