"""How agents have done against visitors: counted over restarts, by one server, never in a run."""

import contextlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from selfplay.cli.main import app as command
from selfplay.errors import StorageError
from selfplay.run import RunDirectory
from selfplay.serve import Library, create_app
from selfplay.serve.analysis.results_file import ResultsFile, default_results_path
from selfplay.serve.analysis.shares import Share, Shares

WON = {"moves": [4, 0, 3, 1, 5], "agent": "random", "seat": 0}


def served(run: RunDirectory, file: Path | None, **more: Any) -> TestClient:
    results = None if file is None else ResultsFile(file)
    app = create_app(Library(runs=[run.url]), results=results, **more)
    return TestClient(app, base_url="http://localhost")


def counts(client: TestClient) -> dict[str, dict[str, int]]:
    rows = client.get("/api/v1/results").json()
    names = ("requests", "wins", "draws", "losses")
    return {row["agent"]: {name: row[name] for name in names} for row in rows}


def test_scores_come_with_their_uncertainty() -> None:
    shares = Shares()
    shares.note_request("a")
    for result in (1.0, 1.0, 0.0, -1.0):
        shares.note_result("b", result)
    unknown, known = shares.to_list()
    assert unknown["score"] is None and unknown["interval"] is None
    low, high = known["interval"]
    assert known["score"] == 0.625 and 0.2 < low < 0.3 and 0.8 < high < 0.95


def test_a_restart_goes_on_counting(run: RunDirectory, tmp_path: Path) -> None:
    before = sorted(path for path in run.path.rglob("*"))
    file = tmp_path / "new" / "results.json"
    for wins in (1, 2):
        with served(run, file) as client:
            assert client.post("/api/v1/results", json=WON).status_code == 200
            assert client.post("/api/v1/move", json={"agent": "random"}).status_code == 200
            # A match that was given up counts too: won by whoever did not.
            for resigned in (0, 1):
                body = {**WON, "moves": [4], "resigned": resigned}
                assert client.post("/api/v1/results", json=body).status_code == 200
            expected = {"requests": wins, "wins": 2 * wins, "draws": 0, "losses": wins}
            assert counts(client)["random"] == expected
            # Results are on disk at once; requests after a moment, at the latest at the end.
            assert json.loads(file.read_text())["agents"]["random"]["wins"] == 2 * wins
        assert json.loads(file.read_text())["agents"]["random"]["requests"] == wins
    assert sorted(path for path in run.path.rglob("*")) == before


def test_two_servers_do_not_count_in_one_file(run: RunDirectory, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    first = ResultsFile(file)
    with pytest.raises(StorageError, match="another server counts results in"):
        ResultsFile(file)
    first.close()
    ResultsFile(file).close()


def test_the_command_says_that_another_server_has_the_file(tmp_path: Path) -> None:
    with contextlib.closing(ResultsFile(tmp_path / "results.json")) as held:
        words = ["serve", "tic_tac_toe", "--port", "0", "--results", str(held.path)]
        result = CliRunner().invoke(command, words, prog_name="selfplay")
    assert result.exit_code == 1 and "another server counts results in" in result.stderr
    assert "--results FILE" in result.stderr


def test_a_file_that_holds_no_counts_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    for text in ("damaged", "[]", '{"format": "x"}', '{"format": "selfplay-results"}'):
        file.write_text(text)
        results = ResultsFile(file)
        shares = Shares((), results)
        shares.note_result("a", -1.0)
        shares.close()
        assert "holds no counts" in results.note
        assert (tmp_path / "results.json.damaged").read_text() == text
        assert json.loads(file.read_text())["agents"]["a"]["losses"] == 1


def test_a_disk_that_refuses_counts_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    results = ResultsFile(tmp_path / "results.json")
    shares = Shares((), results)

    def refuse(counts: Any) -> None:
        raise StorageError("results.json cannot be written: the disk is full")

    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(results, "write", refuse)
        shares.note_result("a", 1.0)
    assert "the disk is full" in caplog.text
    assert shares.to_list()[0]["wins"] == 1
    shares.close()
    assert json.loads(results.path.read_text())["agents"]["a"]["wins"] == 1


def test_every_place_has_a_file_of_its_own() -> None:
    places = ["/a/runs", "/b/runs", "s3://bucket/runs", "tic_tac_toe", "/ü\udcff"]
    files = {default_results_path(place) for place in places}
    assert len(files) == len(places)
    assert all(file.name.isascii() for file in files)


def test_a_page_is_told_that_agents_share_its_visitors(run: RunDirectory) -> None:
    shares = [Share(agent="noughts@10", share=1.0)]
    for given, shared in (([], False), (shares, True)):
        with served(run, None, shares=given) as client:
            assert client.get("/api/v1/games/tic_tac_toe").json()["shared"] is shared
