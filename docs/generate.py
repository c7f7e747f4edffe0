"""Writes what the pages repeat from elsewhere: settings, metrics, columns, laws, examples.

Run `python docs/generate.py` after one of them has changed; a test compares them.
"""

import json
import re
from pathlib import Path

from selfplay.check.laws.table import laws_table
from selfplay.diagnosis.table import findings_table
from selfplay.records.reference import columns_table
from selfplay.settings.presets import PRESETS
from selfplay.settings.reference import settings_table
from selfplay.telemetry.metrics import reference

ROOT = Path(__file__).parents[1]
WITH_EXAMPLES = ("README.md", "docs/library.md", "docs/python-games.md")
MARK = "<!-- settings and presets, written by docs/generate.py -->"
TABLE = re.compile(
    r"(<!-- \w+, written by docs/generate.py -->\n).*?(<!-- end -->)",
    re.DOTALL,
)
EXAMPLE = re.compile(
    r"(<!-- example: (?P<path>\S+) -->\n```python\n).*?(```\n<!-- end -->)", re.DOTALL
)


def pages() -> dict[Path, str]:
    """Returns the pages with generated parts, as they should read."""
    configuration = ROOT / "docs" / "configuration.md"
    with_examples = (ROOT / name for name in WITH_EXAMPLES)
    return {
        configuration: configuration.read_text().partition(MARK)[0] + _settings(),
        **_with_table("monitoring", reference()),
        **_with_table("records", columns_table()),
        **_with_table("check", laws_table()),
        **_with_table("diagnosis", findings_table()),
        **{page: EXAMPLE.sub(_example, page.read_text()) for page in with_examples},
    }


def _with_table(name: str, table: str) -> dict[Path, str]:
    page = ROOT / "docs" / f"{name}.md"
    text, found = TABLE.subn(lambda found: f"{found[1]}\n{table}\n{found[2]}", page.read_text())
    if found != 1:
        raise ValueError(f"{page} has {found} places for a table, but must have one")
    return {page: text}


def _example(found: re.Match[str]) -> str:
    return found[1] + (ROOT / found["path"]).read_text() + found[3]


def _settings() -> str:
    return "\n".join([MARK, "", settings_table(), _presets()])


def _presets() -> str:
    rows = [
        f"| `{preset}` | "
        + " ".join(
            f"`{section}.{key}={json.dumps(value)}`"
            for section, values in overlay.items()
            for key, value in values.items()
        )
        + " |"
        for preset, overlay in PRESETS.items()
    ]
    header = ["| preset | settings of its own; what else it does: [presets](fitting.md#presets) |"]
    header += ["| --- | --- |"]
    return "\n".join(["### Presets", "", *header, *rows, ""])


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text)
