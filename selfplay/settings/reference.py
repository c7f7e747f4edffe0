"""The reference of all settings, made from the docstrings of their dataclasses."""

import inspect
import json
import re
from typing import Any, NamedTuple

from selfplay.settings.config import SECTIONS, Config


class Setting(NamedTuple):
    """One row of the reference: `section.key`, its default, and what its docstring says."""

    name: str
    default: Any
    text: str


def describe_settings() -> list[Setting]:
    """Returns every setting with its default and its documentation, in order."""
    defaults = Config().to_dict()
    return [
        Setting(name=f"{section}.{key}", default=defaults[section][key], text=text)
        for section, kind in SECTIONS.items()
        for key, text in _attributes(kind).items()
    ]


def settings_table() -> str:
    """Returns the tables of docs/configuration.md, a section each."""
    lines: list[str] = []
    section = ""
    for setting in describe_settings():
        if not setting.name.startswith(f"{section}.") or not section:
            section = setting.name.partition(".")[0]
            lines += ["", f"### {section}", "", "| setting | default | meaning |"]
            lines += ["| --- | --- | --- |"]
        text = setting.text.replace("|", "\\|")
        lines.append(f"| `{setting.name}` | `{json.dumps(setting.default)}` | {text} |")
    return "\n".join(lines[1:]) + "\n"


def _attributes(kind: type) -> dict[str, str]:
    """Returns the entries of the `Attributes:` block of a Google-style docstring."""
    block = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", block, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}
