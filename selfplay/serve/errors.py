"""Errors of requests and their answers: an HTTP status and a JSON document."""

from typing import Any

from starlette.responses import JSONResponse, Response

from selfplay.errors import (
    CheckpointError,
    ConfigError,
    EngineError,
    IllegalActionError,
    RecordError,
    RunError,
    SelfplayError,
    StorageError,
)

_STATUSES: tuple[tuple[type[SelfplayError], int], ...] = (
    (CheckpointError, 404),
    (RunError, 404),
    (RecordError, 404),
    (IllegalActionError, 422),
    (ConfigError, 422),
    (StorageError, 503),
    (EngineError, 502),
)


class RequestError(SelfplayError):
    """A request that the server refuses.

    Attributes:
        status: of the HTTP answer, 400 to 599.
        place: the key or query parameter that is wrong, such as "moves[3]"; "" for none.
        retry_after: seconds after which to ask again; None if that will not help.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int = 422,
        place: str = "",
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.place = place
        self.retry_after = retry_after


def not_found(what: str, hint: str = "") -> RequestError:
    """Returns the error (404) for a name that the server does not know."""
    return RequestError(f"there is no {what}", hint=hint, status=404)


def in_words(error: SelfplayError) -> str:
    """Returns an error and its hint as one line."""
    return f"{error}; {error.hint}" if error.hint else str(error)


def explain(error: SelfplayError) -> Response:
    """Returns the answer to a request that failed with `error`."""
    if isinstance(error, RequestError):
        headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        return problem(error.status, str(error), error.hint, error.place, headers)
    status = next((code for kind, code in _STATUSES if isinstance(error, kind)), 500)
    headers = {"Retry-After": "5"} if status == 503 else {}
    return problem(status, str(error), error.hint, "", headers)


def problem(
    status: int,
    message: str,
    hint: str = "",
    place: str = "",
    headers: dict[str, str] | None = None,
) -> Response:
    """Returns an answer with an error status and its document."""
    document: dict[str, Any] = {"error": message, "hint": hint, "place": place or None}
    return JSONResponse(document, status, headers=headers)
