"""How to create the rules of a plain-Python game in another process."""

import dataclasses
import hashlib
import inspect
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """The specification of rules for another process.

    Attributes:
        maker: "module:function" that returns the `PythonGame`.
        arguments: for it; plain values that JSON can hold.
        directory: current directory in which they mean the same.
        source: hash of the file that holds the class, "" if there is none.
    """

    maker: str
    arguments: tuple[Any, ...]
    directory: str
    source: str


def origin_of(rules: object, maker: str, arguments: Sequence[Any]) -> Origin | None:
    """Returns the origin of `rules`; None if another process cannot create them."""
    try:
        json.dumps(list(arguments))
    except (TypeError, ValueError):
        return None
    return Origin(
        maker=maker, arguments=tuple(arguments), directory=os.getcwd(), source=source_hash(rules)
    )


def source_hash(rules: object) -> str:
    """Returns a hash of the file that holds the class of `rules`; "" if there is none."""
    try:
        file = inspect.getfile(type(rules))
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except (OSError, TypeError):
        return ""
