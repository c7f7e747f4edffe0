"""Matches, training and events of a run, as the pages ask for them."""

import asyncio
import dataclasses
import json
import threading
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from selfplay.registry import make
from selfplay.reports.status import run_status
from selfplay.run import RunDirectory, append_evaluation
from selfplay.serve import Library, create_app
from selfplay.serve.errors import RequestError
from selfplay.serve.runs import training as training_module
from selfplay.serve.runs.feed import Feeds
from selfplay.serve.runs.matches import read_match
from selfplay.serve.runs.remembered import Remembered
from selfplay.serve.runs.training import training_document
from selfplay.telemetry import TensorBoardWriter
from tests.records.examples import RandomMatches
from tests.serve.conftest import new_run
from tests.telemetry.samples import FIRST


def run_apart(work: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine in a thread: a browser in other tests may have a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result(timeout=60)


def get(client: TestClient, address: str, **query: Any) -> Any:
    answer = client.get(f"/api/v1/runs/noughts/{address}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_runs_answer_while_a_game_is_made(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(runs=[run.url])
    begun, made, game = threading.Event(), threading.Event(), make("tic_tac_toe")

    def slow(self: Any) -> Any:
        begun.set()
        assert made.wait(60)
        return game

    monkeypatch.setattr("selfplay.serve.served.ServedRun.make_game", slow)
    with ThreadPoolExecutor(3) as pool:
        games = [pool.submit(library.game, None) for _ in range(2)]
        try:
            assert begun.wait(60)
            found = pool.submit(lambda: library.game_of(library.run("noughts")))
            assert found.result(timeout=60) == "tic_tac_toe"
        finally:
            made.set()
        # Whoever asks meanwhile gets the same one.
        assert games[0].result(timeout=60) is games[1].result(timeout=60)


def test_pages_of_matches(client: TestClient) -> None:
    page = get(client, "matches", limit=4)
    assert len(page["matches"]) == 4 and page["next"]
    rest = get(client, "matches", limit=4, cursor=page["next"])
    assert len(rest["matches"]) == 2 and rest["next"] is None
    rows = page["matches"] + rest["matches"]
    assert {row["kind"] for row in rows} == {"selfplay", "evaluation"}
    assert len({row["match"] for row in rows}) == 6
    for row in rows:
        assert row["game"] == "tic_tac_toe" and row["returns"][0] == -row["returns"][1]
        assert row["time"].startswith("20") and len(row["players"]) == 2
    only = get(client, "matches", kind="selfplay", worker="b", first_checkpoint=20)
    assert {row["worker"] for row in only["matches"]} == {"b"} and len(only["matches"]) == 2
    lost = get(client, "matches", opponent="mcts:50")
    assert [row["players"] for row in lost["matches"]] == [
        ["mcts:50", "checkpoint 20"],
        ["checkpoint 20", "mcts:50"],
    ]


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"kind": "x"}, "kind"),
        ({"result": "won"}, "result"),
        ({"typo": 1}, "typo"),
    ],
)
def test_bad_queries(client: TestClient, query: dict[str, Any], place: str) -> None:
    answer = client.get("/api/v1/runs/noughts/matches", params=query)
    assert (answer.status_code, answer.json()["place"]) == (422, place)


def test_every_match_can_be_stepped_through(client: TestClient) -> None:
    for row in get(client, "matches")["matches"]:
        document = get(client, f"matches/{row['match']}")
        while document["pending"]:
            # The network's opinions are being computed; meanwhile the match is shown without.
            document = get(client, f"matches/{row['match']}")
        assert document["format"] == "selfplay-match" and document["ending"] == "finished"
        assert len(document["plies"]) == len(document["names"]) == row["plies"]
        assert document["returns"] == row["returns"] and document["players"] == row["players"]
        line = {key: document[key] for key in ("game", "start", "moves", "outcomes")}
        end = client.post("/api/v1/position", json=line).json()
        assert end["over"] and end["returns"] == row["returns"]
        if row["kind"] == "selfplay":
            ply = document["plies"][0]
            assert ply["player"] == 0 and -1 <= ply["value"] <= 1
            assert abs(sum(ply["policy"].values()) - 1) < 1e-3
            if row["first_checkpoint"] == row["last_checkpoint"]:
                assert abs(sum(ply["raw_policy"].values()) - 1) < 1e-3
                assert all(one["surprise"] >= -1e-6 for one in document["plies"])
            else:
                # Of a match of several checkpoints it is not known which thought about what.
                assert ply["raw_policy"] is None and ply["surprise"] is None


def test_a_resigned_match_is_said_to_be_one(tmp_path: Path) -> None:
    run = new_run(tmp_path / "r", files=0)
    whole = RandomMatches(make("tic_tac_toe")).play(seed=1).record
    record = dataclasses.replace(
        whole, worker="a", match_id="a-00000000-0000", ending="resigned", returns=(-1.0, 1.0)
    )
    run.matches.put("a", 0, [record])
    served = Library(runs=[run.url])
    document = read_match(served.run("r"), served.game(None), "a-00000000-0000")
    assert (document["ending"], document["returns"]) == ("resigned", [-1.0, 1.0])


def test_matches_are_counted_while_people_look(client: TestClient) -> None:
    for _ in range(200):
        total = get(client, "matches")["total"]
        if total is not None:
            assert total == 6
            return
    pytest.fail("never counted")


def test_status_is_that_of_the_command(client: TestClient) -> None:
    status = get(client, "status")
    assert status["checkpoint"] == 20 and status["game"] == "tic_tac_toe"
    assert status["problems"] == [] and status["processes"] == []


def test_training_is_drawn_from_the_event_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_module, "MOST_POINTS", 50)
    run = new_run(tmp_path / "drawn")
    known = {**FIRST.metrics, "losses": {"total": 1.5}, "learning_rate": 0.01, "reuse": 4.0}
    writer = TensorBoardWriter(run.tensorboard_path)
    for update in range(150):
        writer.write(dataclasses.replace(FIRST, metrics={**known, "update": update}))
    writer.close()
    app = create_app(Library(runs=[run.url]))
    with TestClient(app, base_url="http://localhost") as client:
        document = client.get("/api/v1/runs/drawn/training").json()
    series = document["series"]
    assert "loss/total" in series and "learning_rate" in series and "reuse" in series
    for curve in series.values():
        assert len(curve["x"]) == len(curve["y"]) <= 50
    assert series["learning_rate"]["x"][-1] == 149
    assert document["strength"][0]["opponent"] == "mcts:50"
    assert document["balance"] is None and document["problems"] == []


def test_checkpoints_are_rated_by_all_stored_matches(tmp_path: Path) -> None:
    run = new_run(tmp_path / "rated", files=0)
    served = Library(runs=[run.url]).run("rated")
    for opponent in ("random", "mcts:50"):
        match = {"opening": 0, "start_key": [0, 0], "outcomes": [], "truncated": False}
        summary = {"update": 10, "opponent": opponent, "score": 0.5, "low": 0.2, "high": 0.8}
        matches = [
            {**match, "actions": [4, 0, 3, 1, 5], "seat": seat, "score": score, "result": result}
            for seat, score, result in ((0, 1.0, 1.0), (1, 0.0, -1.0))
        ]
        append_evaluation(run.store, {**summary, "matches": 2}, matches)
    ratings = training_document(served, game="tic_tac_toe")["ratings"]
    assert {one["update"] for one in ratings} == {10, 20}
    for one in ratings:
        assert one["low"] < one["rating"] < one["high"]
        json.dumps(one, allow_nan=False)
    # Where nothing leads from one to another there are none, and the rest is shown all the same.
    bare = new_run(tmp_path / "bare", files=0)
    for file in (bare.path / "ratings").iterdir():
        file.unlink()
    served = Library(runs=[bare.url]).run("bare")
    assert training_document(served, game="tic_tac_toe")["ratings"] == []


def test_a_run_is_diagnosed(tmp_path: Path) -> None:
    run = new_run(tmp_path / "judged", files=2)
    served = Library(runs=[run.url]).run("judged")
    document = training_document(served, game="tic_tac_toe")
    assert document["diagnosis"]["headline"] == run_status(run.url, diagnosis=True)["diagnosis"]
    named = [one["name"] for one in document["diagnosis"]["problems"]]
    assert all(name in document["diagnosis"]["headline"] for name in named)
    assert document["problems"] == []
    json.dumps(document, allow_nan=False)


def test_what_is_slow_is_asked_once() -> None:
    now = [0.0]
    asked: list[int] = []
    remembered = Remembered(clock=lambda: now[0])

    def ask() -> int:
        asked.append(1)
        return len(asked)

    assert [remembered.get("a", ask) for _ in range(3)] == [1, 1, 1]
    assert remembered.get("b", ask) == 2
    now[0] = 100
    assert remembered.get("a", ask) == 3


async def some(stream: AsyncIterator[str], count: int) -> list[tuple[str, Any]]:
    """Returns the next events of a stream: name and data."""
    found: list[tuple[str, Any]] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            name, _, data = (await anext(stream)).partition("\ndata: ")
            if name.startswith(":"):
                continue
            found.append((name.removeprefix("event: "), json.loads(data)))
    return found


def test_events_reach_everybody_who_listens() -> None:
    looks = 0
    state: dict[str, Any] = {
        "status": {"update": 1, "elapsed_seconds": 1.0},
        "matches": [{"match": "a"}],
        "checkpoint": None,
    }

    async def look(run: str) -> dict[str, Any]:
        nonlocal looks
        looks += 1
        state["status"] = {**state["status"], "elapsed_seconds": float(looks)}
        return dict(state)

    async def listen() -> None:
        feeds = Feeds(look, look_seconds=0.01)
        one, two = feeds.listen("r"), feeds.listen("r")
        assert (await some(one, 1))[0][0] == "status"
        assert (await some(two, 1))[0][0] == "status"
        state["matches"] = [{"match": "c"}, {"match": "b"}, {"match": "a"}]
        state["checkpoint"] = {"update": 5, "agent": "r@5"}
        for stream in (one, two):
            assert await some(stream, 2) == [
                ("matches", {"matches": [{"match": "c"}, {"match": "b"}]}),
                ("checkpoint", {"update": 5, "agent": "r@5"}),
            ]
        assert feeds.listeners == 2
        await one.aclose()  # type: ignore[attr-defined]
        await two.aclose()  # type: ignore[attr-defined]
        assert feeds.listeners == 0
        seen = looks
        await asyncio.sleep(0.05)
        assert looks <= seen + 1, "nobody listens, and it looks all the same"

    run_apart(listen())


def test_a_run_that_is_removed_ends_its_stream() -> None:
    async def look(run: str) -> dict[str, Any]:
        raise RequestError("there is no run 'r' any more", status=404)

    async def listen() -> None:
        stream = Feeds(look, look_seconds=0.01).listen("r")
        assert (await some(stream, 1))[0] == (
            "problem",
            {"error": "there is no run 'r' any more", "hint": ""},
        )
        async with asyncio.timeout(30):
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    run_apart(listen())


def test_a_quiet_stream_stays_open_and_slow_readers_miss_the_oldest() -> None:
    count = 0

    async def look(run: str) -> dict[str, Any]:
        nonlocal count
        count += 1
        return {"status": {"update": count}, "matches": [], "checkpoint": None}

    async def listen() -> None:
        feeds = Feeds(look, look_seconds=0.001, quiet_seconds=0.01)
        stream = feeds.listen("r")
        await some(stream, 1)
        await asyncio.sleep(0.5)
        first = (await some(stream, 1))[0][1]["update"]
        assert first > 2
        await stream.aclose()  # type: ignore[attr-defined]

        async def never(run: str) -> dict[str, Any]:
            await asyncio.sleep(100)
            return {}

        silent = Feeds(never, quiet_seconds=0.01).listen("r")
        assert (await anext(silent)).startswith(":")
        await silent.aclose()  # type: ignore[attr-defined]

    run_apart(listen())


def test_two_checkpoints_share_the_visitors_and_are_counted(run: RunDirectory) -> None:
    from selfplay.serve.analysis.shares import Share

    library = Library(runs=[run.url])
    shares = [Share(agent="noughts@10", share=0.5), Share(agent="noughts@20", share=0.5)]
    app = create_app(library, shares=shares)
    with TestClient(app, base_url="http://localhost") as client:

        def agent_of(visitor: str) -> str:
            body = {"visitor": visitor, "simulations": 8}
            return str(client.post("/api/v1/analyze", json=body).json()["agent"])

        first = {f"visitor {number}": agent_of(f"visitor {number}") for number in range(20)}
        assert set(first.values()) == {"noughts@10", "noughts@20"}
        assert all(agent_of(visitor) == agent for visitor, agent in first.items())
        match = {"moves": [4, 0, 3, 1, 5], "agent": "noughts@10", "seat": 1}
        assert client.post("/api/v1/results", json=match).status_code == 200
        for wrong in ({"moves": [4]}, {"seat": 2}, {"agent": None}, {"seat": None}):
            assert client.post("/api/v1/results", json={**match, **wrong}).status_code == 422
        results = {row["agent"]: row for row in client.get("/api/v1/results").json()}
        assert results["noughts@10"]["losses"] == 1 and results["noughts@10"]["wins"] == 0
        assert sum(row["requests"] for row in results.values()) == 40


def test_the_description_of_the_api_is_valid_and_complete(client: TestClient) -> None:
    from openapi_spec_validator import validate

    document = client.get("/api/v1/openapi.json").json()
    validate(document)
    served = {
        route.path
        for route in client.app.routes  # type: ignore[attr-defined]
        if route.path.startswith("/api/") and not route.path.endswith("openapi.json")
    }
    assert served == {path for path in document["paths"] if path.startswith("/api/")}


def test_answers_are_as_described(client: TestClient) -> None:
    import jsonschema

    document = client.get("/api/v1/openapi.json").json()

    def check(path: str, answer: Any) -> None:
        operation = document["paths"][path]["post" if answer.request.method == "POST" else "get"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert answer.status_code == 200, answer.text
        jsonschema.validate(answer.json(), {**schema, "components": document["components"]})

    names = {"run": "noughts", "game": "tic_tac_toe", "match": "a-00000000-0000"}
    for path, methods in document["paths"].items():
        if "get" in methods and not path.endswith("/events"):
            check(path, client.get(path.format(**names)))
    question = {"game": "tic_tac_toe", "moves": [4], "simulations": 8, "tree": 1}
    for path in ("position", "analyze", "move"):
        body = question if path != "position" else {"moves": [4]}
        check(f"/api/v1/{path}", client.post(f"/api/v1/{path}", json=body))
