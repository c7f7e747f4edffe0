"""Requests to processes of a run to end: found by the one that was meant, and by no other."""

from pathlib import Path

import pytest

from selfplay.errors import RunError
from selfplay.run import (
    ask_to_stop,
    is_asked_to_stop,
    read_heartbeats,
    withdraw_request,
    write_heartbeat,
)


def test_only_the_process_that_was_meant_finds_it(tmp_path: Path) -> None:
    write_heartbeat(tmp_path, "worker", "a", {"session": "one"})
    (beat,) = read_heartbeats(tmp_path)
    assert not is_asked_to_stop(tmp_path, "worker", "a", "one")
    ask_to_stop(tmp_path, beat)
    assert is_asked_to_stop(tmp_path, "worker", "a", "one")
    # One that was started later under the same name, and others.
    assert not is_asked_to_stop(tmp_path, "worker", "a", "two")
    assert not is_asked_to_stop(tmp_path, "worker", "b", "one")
    assert not is_asked_to_stop(tmp_path, "trainer", "a", "one")
    withdraw_request(tmp_path, "worker", "a")
    assert not is_asked_to_stop(tmp_path, "worker", "a", "one")
    withdraw_request(tmp_path, "worker", "a")


def test_a_damaged_request_is_none(tmp_path: Path) -> None:
    (tmp_path / "requests").mkdir()
    for text in ("", "[]", "damaged", '"one"', '{"session": null}'):
        (tmp_path / "requests" / "worker-a.json").write_text(text)
        assert not is_asked_to_stop(tmp_path, "worker", "a", "one")


def test_who_has_ended_or_does_not_listen_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_heartbeat(tmp_path, "trainer", "old", {})
    (beat,) = read_heartbeats(tmp_path)
    with pytest.raises(RunError, match="trainer old looks for no requests"):
        ask_to_stop(tmp_path, beat)
    monkeypatch.setattr("selfplay.run.heartbeats.process_exists", lambda pid: False)
    write_heartbeat(tmp_path, "trainer", "old", {"session": "one"})
    (beat,) = read_heartbeats(tmp_path)
    with pytest.raises(RunError, match="trainer old has ended already"):
        ask_to_stop(tmp_path, beat)
    assert not (tmp_path / "requests").exists()
