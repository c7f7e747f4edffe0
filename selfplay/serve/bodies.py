"""Reads requests: it limits the body and checks type and range of each key."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from selfplay.serve.errors import RequestError

MOST_BYTES = 1 << 18
"""Size limit of a request's body."""

_BODY_SECONDS = 10.0


async def read_object(request: Request) -> dict[str, Any]:
    """Returns the JSON object in a request's body.

    Raises:
        RequestError: the body is too large (413), too slow (408), not declared as JSON (415), or
            not a JSON object (422).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # Other types can be sent by a form of any site.
        raise RequestError(
            f"the content type is {kind or 'not given'}, but must be application/json", status=415
        )
    data = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                data += part
                if len(data) > MOST_BYTES:
                    raise RequestError(f"the body has more than {MOST_BYTES:,} bytes", status=413)
    except TimeoutError:
        raise RequestError(
            f"the body did not come within {_BODY_SECONDS:.0f} seconds", status=408
        ) from None
    try:
        # Neither infinity nor NaN is JSON, and neither is of use here.
        body = json.loads(bytes(data), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {_brief(error)}") from None
    if not isinstance(body, dict):
        raise RequestError(f"the body is {_kind(body)}, but must be an object")
    return body


def whole(
    values: Mapping[str, Any], key: str, default: int | None, *, low: int, high: int
) -> int | None:
    """Returns an integer in [low, high]; the default where the key is missing or null."""
    value = values.get(key)
    if value is None:
        return default
    if isinstance(value, str) and value.isascii() and value.lstrip("-").isdecimal():
        # Values of a query string are text.
        value = int(value[:20])
    if isinstance(value, bool) or not isinstance(value, int):
        raise RequestError(f"{key} is {_shown(value)}, but must be a whole number", place=key)
    if not low <= value <= high:
        raise RequestError(f"{key} is {value}, but must be from {low:,} to {high:,}", place=key)
    return value


def text(
    values: Mapping[str, Any], key: str, default: str | None = None, *, longest: int = 200
) -> str | None:
    """Returns a text of at most `longest` characters; the default where it is missing or null."""
    value = values.get(key)
    if value is None:
        return default
    if not isinstance(value, str) or len(value) > longest:
        raise RequestError(
            f"{key} is {_shown(value)}, but must be text of at most {longest} characters",
            place=key,
        )
    return value


def choice(values: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str | None:
    """Returns one of some words; None where the key is missing or null."""
    value = values.get(key)
    if value is not None and value not in choices:
        raise RequestError(
            f"{key} is {_shown(value)}, but must be {', '.join(choices[:-1])} or {choices[-1]}",
            place=key,
        )
    return value


def refuse_unknown(values: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Raises `RequestError` if a key is not one of `known`, so that typos are noticed."""
    for key in values:
        if key not in known:
            raise RequestError(
                f"{_shown(key)} is not a key here",
                hint=f"the keys are {', '.join(known)}",
                place=key[:80],
            )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _shown(value: object) -> str:
    shown = json.dumps(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _brief(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _kind(value: object) -> str:
    names = {list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
