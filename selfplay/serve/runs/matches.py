"""Lists of recorded matches, and each match as a document that pages step through."""

import datetime
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.errors import RecordError, SelfplayError
from selfplay.play import match_document
from selfplay.records import MatchRecord
from selfplay.records.match import RESIGNED
from selfplay.reports.match_filter import MatchFilter
from selfplay.reports.match_index import MatchIndex, MatchPage, read_evaluation_file
from selfplay.reports.match_report import find_match
from selfplay.run.ratings import FOLDER as RATINGS
from selfplay.serve import bodies
from selfplay.serve.errors import RequestError, not_found
from selfplay.serve.served import ServedGame, ServedRun

MOST_ROWS = 200
"""Matches on a page at most."""

_QUERY = (
    "limit",
    "cursor",
    "kind",
    "first_checkpoint",
    "last_checkpoint",
    "result",
    "min_plies",
    "max_plies",
    "worker",
    "opponent",
)
_COUNT_SECONDS = 0.1
_HUGE = 2**53


class RunMatches:
    """The lists of matches of one run, for any number of threads."""

    def __init__(self, run: ServedRun) -> None:
        """Takes the run; reads nothing yet."""
        self.run = run
        self._lock = threading.Lock()
        self._pages_wanted = 0
        self._index = MatchIndex(run.directory)

    def page(self, query: Mapping[str, str], *, game: str) -> dict[str, Any]:
        """Returns a page of matches.

        Args:
            query: parameters of the query string.
            game: identifier of the run's game.
        """
        bodies.refuse_unknown(query, _QUERY)
        limit = bodies.whole(query, "limit", 50, low=1, high=MOST_ROWS) or 50
        kind = bodies.choice(query, "kind", ("selfplay", "evaluation"))
        result = bodies.choice(query, "result", ("first", "second", "draw"))
        numbers = {
            name: bodies.whole(query, name, None, low=0, high=_HUGE)
            for name in ("first_checkpoint", "last_checkpoint", "min_plies", "max_plies")
        }
        wanted = MatchFilter(
            kind=kind,  # type: ignore[arg-type]
            result=result,  # type: ignore[arg-type]
            worker=bodies.text(query, "worker"),
            opponent=bodies.text(query, "opponent"),
            **numbers,
        )
        cursor = bodies.text(query, "cursor", longest=500)
        try:
            page = self._page(wanted, limit=limit, cursor=cursor)
        except RecordError as error:
            raise RequestError(str(error), hint=error.hint, place="cursor") from error
        return {
            "matches": self._shown(page.rows, game),
            "next": page.next,
            "total": page.total,
        }

    def newest(self, limit: int, *, game: str) -> list[dict[str, Any]]:
        """Returns the newest matches."""
        return self._shown(self._page(MatchFilter(), limit=limit, cursor=None).rows, game)

    def count(self) -> bool:
        """Continues to count, for a moment or until somebody wants a page.

        Returns:
            Whether all matches are counted.
        """
        with self._lock:
            return self._index.count(_COUNT_SECONDS, interrupted=lambda: self._pages_wanted > 0)

    def _page(self, wanted: MatchFilter, *, limit: int, cursor: str | None) -> MatchPage:
        self._pages_wanted += 1
        try:
            with self._lock:
                return self._index.page(wanted, limit=limit, cursor=cursor)
        finally:
            self._pages_wanted -= 1

    def _shown(self, rows: Sequence[dict[str, Any]], game: str) -> list[dict[str, Any]]:
        return [
            {**row, "game": game, "time": _iso(row["time"]) if row["time"] else None}
            for row in rows
        ]


def read_match(run: ServedRun, served: ServedGame, id: str) -> dict[str, Any]:
    """Returns the document of a recorded match; reads files.

    Raises:
        RecordError: there is no such match, or it is damaged.
    """
    if id.startswith("evaluation:"):
        return _evaluation(run, served, id)
    record = find_match(run.directory, id)
    summary = {
        "match": id,
        "kind": "selfplay",
        "length": record.plies,
        "truncated": record.truncated,
        "worker": record.worker,
        "first_checkpoint": record.first_checkpoint,
        "last_checkpoint": record.last_checkpoint,
        "opponent": None,
    }
    return _document(
        served,
        key=record.start_key,
        actions=record.actions.tolist(),
        outcomes=record.outcomes.tolist(),
        returns=record.returns,
        players=[f"checkpoint {record.last_checkpoint}"] * 2,
        plies=[_thought(record, ply) for ply in range(record.plies)],
        summary=summary,
        ending="resigned" if record.ending == RESIGNED else "finished",
    )


def _evaluation(run: ServedRun, served: ServedGame, id: str) -> dict[str, Any]:
    _, _, rest = id.partition(":")
    stem, _, number = rest.rpartition(":")
    names = {name for name in run.directory.store.names(RATINGS) if name.endswith(".jsonl")}
    name = f"{RATINGS}/{stem}.jsonl"
    if name not in names or not number.isdecimal():
        raise not_found(f"match {id!r}")
    try:
        summary, *matches = read_evaluation_file(run.directory, name)
    except FileNotFoundError:
        raise not_found(f"match {id!r} any more", "its file was removed") from None
    if int(number[:9]) >= len(matches):
        raise not_found(f"match {id!r}")
    match = matches[int(number[:9])]
    result, seat = match["result"], match["seat"]
    players = [f"checkpoint {summary['update']}", str(summary["opponent"])]
    facts = {
        "match": id,
        "kind": "evaluation",
        "length": len(match["actions"]),
        "truncated": match["truncated"],
        "worker": None,
        "first_checkpoint": summary["update"],
        "last_checkpoint": summary["update"],
        "opponent": summary["opponent"],
    }
    return _document(
        served,
        key=tuple(match["start_key"]),
        actions=match["actions"],
        outcomes=match.get("outcomes") or [-1] * len(match["actions"]),
        returns=(result, -result) if seat == 0 else (-result, result),
        players=players if seat == 0 else players[::-1],
        plies=None,
        summary=facts,
        ending="resigned" if match.get("resigned") else "finished",
    )


def _document(
    served: ServedGame,
    *,
    key: tuple[int, int],
    actions: list[int],
    outcomes: list[int],
    returns: Sequence[float],
    players: Sequence[str],
    plies: list[dict[str, Any]] | None,
    summary: dict[str, Any],
    ending: str = "finished",
) -> dict[str, Any]:
    try:
        line = {"start": {"key": list(key)}, "moves": actions, "outcomes": outcomes}
        match = served.lines.find(line)
    except SelfplayError as error:
        raise RecordError(
            f"match {summary['match']} does not follow the rules of {served.id}: {error}",
            hint="the record is damaged, or the rules changed without a new `version`",
        ) from error
    document = match_document(
        match, players=players, ending=ending, returns=returns, plies=plies, time=None
    )
    return {**document, **summary, "game": served.id}


def _thought(record: MatchRecord, ply: int) -> dict[str, Any]:
    actions, probabilities = record.policy(ply)
    return {
        "player": int(record.players[ply]),
        "value": float(record.root_values[ply]),
        "raw_value": float(record.raw_values[ply]),
        "simulations": int(record.simulations[ply]),
        "policy": {str(a): float(p) for a, p in zip(actions, probabilities, strict=True)},
        "raw_policy": None,
        "exploratory": bool(record.exploratory[ply]),
        "fast": bool(record.fast[ply]),
        "surprise": None,
    }


def _iso(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds")
