"""How commands print: text, tables, and JSON documents for scripts."""

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import typer


def say(text: str = "", *, err: bool = False) -> None:
    """Prints a line of text on stdout, or on stderr."""
    # The stream is explicit, because otherwise Click writes UTF-8 to an ASCII stream.
    typer.echo(text, file=sys.stderr if err else sys.stdout)


def say_json(document: Any, *, indent: int | None = 1) -> None:
    """Prints one JSON document on stdout."""
    say(json.dumps(document, indent=indent, allow_nan=False))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns rows under a header; the first column is flush left, numbers are flush right."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [
        index > 0 and all(cell[:1].isdigit() or cell[:1] in "+-" for cell in column[1:])
        for index, column in enumerate(columns)
    ]
    lines = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in (header, *rows)
    ]
    return "\n".join(lines)


def facts(pairs: Sequence[tuple[str, str]], *, width: int | None = None) -> str:
    """Returns names with their texts, wrapped to the terminal."""
    width = width or shutil.get_terminal_size().columns
    indent = max(len(name) for name, _ in pairs) + 2
    return "\n".join(
        textwrap.fill(
            text,
            max(width, indent + 20),
            initial_indent=name.ljust(indent),
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for name, text in pairs
    )


def size(number_of_bytes: float) -> str:
    """Returns a size in words, such as "1.5 GB"."""
    for unit in ("B", "kB", "MB"):
        if number_of_bytes < 1000:
            return f"{number_of_bytes:.3g} {unit}"
        number_of_bytes /= 1000
    return f"{number_of_bytes:,.1f} GB"
