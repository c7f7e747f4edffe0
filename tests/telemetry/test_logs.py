"""JSON logs: one object per line, whoever speaks."""

import json
import logging
import re
import warnings
from typing import Any

import pytest

from selfplay.telemetry.logs import EventLog, JsonReporter, LibraryLogs
from tests.telemetry.samples import FIRST, FULL


def make_log() -> tuple[EventLog, list[str]]:
    written: list[str] = []
    return EventLog(written.append, run="runs/a", role="worker", id="w1"), written


def lines(written: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written]


def test_an_event_is_one_line_with_every_name() -> None:
    log, written = make_log()
    ids = ["w1-00000003-0000", "w1-00000003-0001"]
    log.event("matches_stored", "stored\n2 matches", match_ids=ids, matches=2)
    (line,) = lines(written)
    assert "\n" not in written[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "info",
        "event": "matches_stored",
        "run": "runs/a",
        "role": "worker",
        "id": "w1",
        "message": "stored\n2 matches",
        "match_ids": ids,
        "matches": 2,
    }


def test_whatever_is_said_remains_json() -> None:
    log, written = make_log()
    log.event("odd", value=float("nan"), nested=[{"x": float("inf")}], path=object, role="forged")
    (line,) = lines(written)
    assert (line["value"], line["nested"]) == ("nan", [{"x": "inf"}])
    assert "object" in line["path"]
    # The names of the process cannot be overruled by an event.
    assert line["role"] == "worker"


def test_progress_comes_in_intervals_and_the_last_is_not_lost() -> None:
    log, written = make_log()
    now = 100.0
    reporter = JsonReporter(log, interval_seconds=10, clock=lambda: now)
    reporter.update(FIRST)
    now = 105.0
    reporter.update(FULL)
    assert [line["update"] for line in lines(written)] == [0]
    now = 110.0
    reporter.update(FULL)
    reporter.message("checkpoint 1150 saved")
    reporter.update(FIRST)
    reporter.close()
    reporter.close()
    assert [line["event"] for line in lines(written)] == [
        "progress",
        "progress",
        "message",
        "progress",
    ]
    full = lines(written)[1]
    assert full["losses"]["policy"] == 1.034 and full["reuse"] == 3.98


def test_libraries_and_warnings_are_events_too() -> None:
    log, written = make_log()
    root = logging.getLogger()
    before = root.handlers[:]
    with LibraryLogs(log):
        logging.getLogger("orbax").warning("slow %s", "disk")
        logging.getLogger("orbax").debug("nothing")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", DeprecationWarning, stacklevel=1)
        try:
            raise ValueError("bad")
        except ValueError:
            logging.getLogger("x").exception("failed")
    slow, old, failed = lines(written)
    assert (slow["event"], slow["level"], slow["logger"]) == ("log", "warning", "orbax")
    assert slow["message"] == "slow disk"
    assert "DeprecationWarning: old" in old["message"]
    assert "ValueError: bad" in failed["traceback"]
    assert root.handlers == before
    with pytest.warns(DeprecationWarning):
        warnings.warn("as before", DeprecationWarning, stacklevel=1)
