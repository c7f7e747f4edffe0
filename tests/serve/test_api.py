"""The HTTP API: documents of positions, analyses, moves, games, agents and runs."""

import concurrent.futures
import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.inference.onnx_inference import OnnxInference
from selfplay.play import LiveMatch
from selfplay.registry import GameSpec
from selfplay.run import RunDirectory
from selfplay.serve import Library, create_app
from selfplay.serve import library as library_module
from selfplay.serve.analysis import agents as agents_module
from selfplay.serve.analysis.agents import Thinker, as_thinker
from selfplay.serve.analysis.searches import Searches
from selfplay.serve.errors import RequestError
from selfplay.settings import Config
from tests.serve.conftest import CONFIG, new_run
from tests.serve.test_searches import PATIENCE_SECONDS, Slow, until


def ask(client: TestClient, address: str, **body: Any) -> Any:
    answer = client.post(f"/api/v1/{address}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refusal(client: TestClient, address: str, body: Any) -> tuple[int, str, str | None]:
    """Returns status, message and place of an answer that says no."""
    answer = client.post(f"/api/v1/{address}", json=body)
    document = answer.json()
    assert set(document) == {"error", "hint", "place"}
    return answer.status_code, document["error"], document["place"]


def test_the_first_thing_a_page_asks(client: TestClient) -> None:
    about = client.get("/api/v1/about").json()
    assert about["default_game"] == "tic_tac_toe" and about["default_run"] == "noughts"
    assert about["allow_control"] is False
    games = {game["game"]: game for game in about["games"]}
    assert list(games) == ["tic_tac_toe", "einstein_wuerfelt_nicht", "othello"]
    titles = [game["title"] for game in games.values()]
    assert titles == ["Tic-tac-toe", "EinStein würfelt nicht!", "Othello"]
    assert games["tic_tac_toe"]["default_agent"] == "noughts"
    assert games["othello"]["default_agent"] == "mcts:200"
    assert games["einstein_wuerfelt_nicht"]["chance"] and not games["othello"]["chance"]
    limits = {"simulations": 32, "milliseconds": 2000, "moves": 9}
    assert games["tic_tac_toe"]["limits"] == limits
    (run,) = about["runs"]
    assert (run["run"], run["update"], run["matches"], run["alive"]) == ("noughts", 20, 20, False)


def test_games_agents_and_checkpoints_are_listed(client: TestClient) -> None:
    assert client.get("/api/v1/games").json() == client.get("/api/v1/about").json()["games"]
    game = client.get("/api/v1/games/tic_tac_toe").json()
    assert (game["num_actions"], game["max_plies"], game["board"]) == (9, 9, True)
    agents = client.get("/api/v1/games/tic_tac_toe/agents").json()
    assert agents[0]["agent"] == "noughts@20" and agents[0]["kind"] == "checkpoint"
    assert {agent["agent"] for agent in agents} >= {"mcts:200", "random", "solver"}
    # Every checkpoint can be chosen; the older ones come last.
    assert agents[-1] == {**agents[0], "agent": "noughts@10", "title": "noughts@10", "update": 10}
    assert [agent["update"] for agent in agents if agent["kind"] == "checkpoint"] == [20, 10]
    rows = client.get("/api/v1/runs/noughts/checkpoints").json()
    assert [(row["update"], row["agent"]) for row in rows] == [
        (20, "noughts@20"),
        (10, "noughts@10"),
    ]
    assert client.get("/api/v1/runs").json()[0]["run"] == "noughts"


def test_a_position(client: TestClient) -> None:
    document = ask(client, "position", game="tic_tac_toe", moves=["b2", 0])
    assert document["moves"] == [4, 0] and document["ply"] == 2
    assert document["player"] == 0 and not document["over"] and document["returns"] is None
    assert document["last"]["name"] == "a3" and document["last"]["player"] == 1
    assert document["last"]["outcome"] is None
    names = {one["action"]: one["name"] for one in document["legal"]}
    assert names[8] == "c1" and 4 not in names
    assert {one["action"]: one["clicks"] for one in document["legal"]}[8] == [[8]]
    assert document["view"]["rows"] == 3 and "clicks" not in document["view"]
    assert "o . ." in document["text"]


def test_a_match_that_is_over_is_a_position_too(client: TestClient) -> None:
    document = ask(client, "position", game="tic_tac_toe", moves=[4, 0, 3, 1, 5])
    assert document["over"] and document["returns"] == [1.0, -1.0]
    assert document["player"] is None and document["legal"] == []


def test_chance_is_drawn_once_and_told(client: TestClient) -> None:
    first = ask(client, "position", game="einstein_wuerfelt_nicht", start={"seed": 5})
    action = first["legal"][0]["action"]
    line = {"game": "einstein_wuerfelt_nicht", "start": {"seed": 5}, "moves": [action]}
    drawn = ask(client, "position", **line)
    assert drawn["last"]["outcome"] == drawn["outcomes"][0] >= 0
    assert drawn["last"]["outcome_name"] == str(drawn["outcomes"][0] + 1)
    assert ask(client, "position", **line) == drawn
    other = (drawn["outcomes"][0] + 1) % 6
    assert ask(client, "position", **line, outcomes=[other])["outcomes"] == [other]
    assert refusal(client, "position", {**line, "outcomes": [77]})[::2] == (422, "outcomes[0]")


def test_an_analysis_has_the_keys_of_the_command(client: TestClient) -> None:
    document = ask(client, "analyze", game="tic_tac_toe", moves=["b2"], simulations=8, tree=2)
    assert document["agent"] == "noughts@20" and document["simulations"] == 8
    assert document["action"] in document["legal"] == [0, 1, 2, 3, 5, 6, 7, 8]
    assert sum(document["visits"].values()) == 8
    assert math.isclose(sum(document["policy"].values()), 1, abs_tol=1e-5)
    assert math.isclose(sum(document["raw_policy"].values()), 1, abs_tol=1e-5)
    assert -1 <= document["raw_value"] <= 1 and -1 <= document["value"] <= 1
    assert document["principal_variation"][0]["action"] == document["action"]
    assert document["variations"][str(document["action"])] == document["principal_variation"]
    tree = document["tree"]
    assert tree["action"] is None and len(tree["children"]) >= 2
    assert sum(child["visits"] for child in tree["children"]) == 8
    assert document["milliseconds"] >= 0 and document["player"] == 1


@pytest.mark.parametrize("agent", ["mcts:16", "random", "solver", "noughts@10", "noughts"])
def test_everybody_moves(client: TestClient, agent: str) -> None:
    answer = ask(client, "move", game="tic_tac_toe", moves=[4, 0, 3, 1], agent=agent)
    assert answer["position"]["ply"] == 5 and not answer["resigned"]
    assert answer["analysis"]["action"] == answer["position"]["moves"][-1]
    assert ("raw_policy" in answer["analysis"]) == agent.startswith("noughts")
    if agent == "solver":
        assert answer["position"]["over"] and answer["analysis"]["simulations"] is None


def test_simulations_are_rounded_up_to_a_fixed_number(client: TestClient) -> None:
    for asked, given in ((0, 0), (3, 8), (8, 8), (20, 32), (32, 32)):
        document = ask(client, "analyze", game="tic_tac_toe", simulations=asked)
        assert document["simulations"] == given


def test_a_time_limit_chooses_the_simulations(client: TestClient) -> None:
    document = ask(client, "analyze", game="tic_tac_toe", milliseconds=2000)
    assert 2 <= document["simulations"] <= 32


def test_a_search_deepens_as_events(client: TestClient) -> None:
    answer = client.post(
        "/api/v1/analyze",
        json={"game": "tic_tac_toe", "simulations": 32},
        headers={"accept": "text/event-stream"},
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [block.split("\ndata: ") for block in answer.text.strip().split("\n\n")]
    assert {name for name, _ in events} == {"event: analysis"}
    assert [json.loads(data)["simulations"] for _, data in events] == [16, 32]


@pytest.mark.parametrize("address", ["position", "analyze", "move"])
@pytest.mark.parametrize(
    ("body", "status", "place"),
    [
        ({"game": "chess"}, 404, None),
        ({"game": 5}, 422, "game"),
        ({"moves": [4, 4]}, 422, "moves[1]"),
        ({"moves": ["b2", "z9"]}, 422, "moves[1]"),
        ({"moves": [99]}, 422, "moves[0]"),
        ({"moves": [True]}, 422, "moves[0]"),
        ({"moves": [1.5]}, 422, "moves[0]"),
        ({"moves": {"a": 1}}, 422, "moves"),
        ({"moves": [0] * 1000}, 422, "moves"),
        ({"moves": [0], "outcomes": [3]}, 422, "outcomes"),
        ({"outcomes": [1]}, 422, "outcomes"),
        ({"start": {"seed": -1}}, 422, "start"),
        ({"start": {"key": [1]}}, 422, "start"),
        ({"start": 5}, 422, "start"),
        ({"typo": 1}, 422, "typo"),
        ({"moves": [4, 0, 3, 1, 5, 2]}, 422, "moves[5]"),
    ],
)
def test_bad_input_is_refused_with_its_place(
    client: TestClient, address: str, body: Any, status: int, place: str | None
) -> None:
    assert refusal(client, address, body)[::2] == (status, place)


@pytest.mark.parametrize(
    ("body", "status", "place"),
    [
        ({"moves": [4, 0, 3, 1, 5]}, 422, "moves"),
        ({"agent": "stockfish"}, 404, None),
        ({"agent": "gtp:rm"}, 404, None),
        ({"agent": "../../etc"}, 404, None),
        ({"agent": "noughts@11"}, 404, None),
        ({"agent": "mcts:1"}, 422, "agent"),
        ({"simulations": 33}, 422, "simulations"),
        ({"simulations": "many"}, 422, "simulations"),
        ({"simulations": -1}, 422, "simulations"),
        ({"milliseconds": 99999}, 422, "milliseconds"),
        ({"milliseconds": 10, "simulations": 8}, 422, "milliseconds"),
        ({"tree": 99}, 422, "tree"),
        ({"agent": "mcts:16", "simulations": 0}, 422, "simulations"),
    ],
)
def test_what_cannot_be_thought_about_is_refused(
    client: TestClient, body: Any, status: int, place: str | None
) -> None:
    assert refusal(client, "analyze", body)[::2] == (status, place)


def test_bodies_are_checked_before_they_are_read(client: TestClient) -> None:
    json_type = {"content-type": "application/json"}
    huge = b'{"moves": "' + b" " * 10_000_000 + b'"}'
    for content, headers, status in (
        (huge, json_type, 413),
        (b"{", json_type, 422),
        (b"[1]", json_type, 422),
        (b'{"simulations": NaN}', json_type, 422),
        (b"[" * 100_000, json_type, 422),
        (b"\xff\xfe", json_type, 422),
        (b"{}", {"content-type": "text/plain"}, 415),
    ):
        answer = client.post("/api/v1/analyze", content=content, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]


def test_unknown_addresses_and_methods(client: TestClient) -> None:
    for address in (
        "/api/v1/nothing",
        "/api/v1/runs/other/status",
        "/api/v1/runs/..%2F..%2Fetc/matches",
        "/api/v1/runs/noughts/matches/nobody-00000000-0000",
        "/api/v1/runs/noughts/matches/evaluation:..%2F..%2Frun:0",
        "/static/nothing.js",
        "/static/..%2F..%2F..%2Fpyproject.toml",
    ):
        answer = client.get(address)
        assert (answer.status_code, answer.json()["place"]) == (404, None), address
    assert client.get("/api/v1/analyze").status_code == 405
    assert client.post("/api/v1/about", json={}).status_code == 405


def test_engines_of_the_owner_play_and_nobody_learns_their_command(tmp_path: Path) -> None:
    log = tmp_path / "log"
    stub = Path(__file__).parents[1] / "arena" / "stub_engine.py"
    engines = [f"gtp:{sys.executable} {stub} gtp --log {log}"]
    engines += [
        f"gtp:{sys.executable} {stub} gtp {more}" for more in ("--script resign", "--fault dies")
    ]
    games = [(name, GameSpec(name)) for name in ("tic_tac_toe", "einstein_wuerfelt_nicht")]
    app = create_app(Library(games=games, engines=engines))
    with TestClient(app, base_url="http://localhost") as asked:
        answer = asked.get("/api/v1/games/tic_tac_toe/agents")
        listed = [agent for agent in answer.json() if agent["kind"] == "engine"]
        assert [agent["agent"] for agent in listed] == ["engine:0", "engine:1", "engine:2"]
        assert not any(agent["analyses"] for agent in listed)
        assert listed[0]["title"] == f"{Path(sys.executable).name} (GTP)"
        assert str(stub) not in answer.text and str(log) not in answer.text
        answer = ask(asked, "move", moves=[4, 0, 1], agent="engine:0")
        assert answer["position"]["moves"] == [4, 0, 1, 2] and answer["analysis"] is None
        answer = ask(asked, "move", moves=[], agent="engine:1")
        assert answer["resigned"] and answer["position"]["moves"] == []
        status, message, _ = refusal(asked, "move", {"agent": "engine:2"})
        assert status == 502 and str(stub) not in message
        assert refusal(asked, "analyze", {"agent": "engine:0"})[::2] == (422, "agent")
        assert refusal(asked, "move", {"agent": "engine:3"})[0] == 404
        # Neither protocol has words for dice.
        game = "einstein_wuerfelt_nicht"
        assert refusal(asked, "move", {"game": game, "agent": "engine:0"})[0] == 404
    assert log.read_text().splitlines()[-1].endswith("ended")


def test_names_with_html_in_them_are_text(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>"
    new_run(tmp_path / name, files=1)
    with TestClient(create_app(Library(folder=tmp_path)), base_url="http://localhost") as asked:
        answer = asked.get("/api/v1/runs")
        assert answer.json()[0]["run"] == name
        for address in (f"/api/v1/runs/{quote(name, safe='')}/checkpoints", f"/{name}", "/"):
            answer = asked.get(address)
            # Nothing is ever put into a page; what is not the page is JSON, and stays that.
            assert address == "/" or answer.headers["content-type"] == "application/json"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert address != "/" or name not in answer.text
        assert asked.get(f"/api/v1/runs/{quote(name, safe='')}/status").status_code == 200


def test_runs_that_come_later_appear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_module, "_RESCAN_SECONDS", 0.0)
    awaited = Library(awaited=[str(tmp_path / "late" / "a")])
    folder = Library(folder=tmp_path / "late")
    assert awaited.runs() == folder.runs() == [] and awaited.game_names() == []
    with pytest.raises(RequestError, match="there is no game"):
        awaited.game(None)
    new_run(tmp_path / "late" / "a", files=0)
    (tmp_path / "late" / "b").mkdir()
    (tmp_path / "late" / "b" / "run.toml").write_text("damaged")
    assert [run.id for run in awaited.runs()] == [run.id for run in folder.runs()] == ["a"]
    assert folder.game(None).id == "tic_tac_toe"


def test_a_run_or_game_that_cannot_be_loaded_is_listed_and_hides_no_other(tmp_path: Path) -> None:
    game_file = tmp_path / "mine.py"
    shutil.copy(Path(__file__).parents[1] / "browser" / "counters.py", game_file)
    spec = GameSpec(f"{game_file}:Counters")
    game = spec.make()
    # First by name, so that it would be what the server begins with.
    RunDirectory.create(tmp_path / "runs" / "a_lost", spec, game, CONFIG)
    game_file.unlink()
    new_run(tmp_path / "runs" / "good", files=1)
    (tmp_path / "runs" / "damaged").mkdir()
    (tmp_path / "runs" / "damaged" / "run.toml").write_text("damaged")
    app = create_app(Library(folder=tmp_path / "runs"))
    with TestClient(app, base_url="http://localhost") as asked:
        about = asked.get("/api/v1/about").json()
        assert (about["default_game"], about["default_run"]) == ("tic_tac_toe", "a_lost")
        problems = {run["run"]: run["problem"] for run in about["runs"]}
        assert list(problems) == ["a_lost", "good", "damaged"]
        assert "run.toml" in problems["damaged"] and problems["a_lost"] == problems["good"] == ""
        games = {game["game"]: game for game in about["games"]}
        assert "mine.py" in games["counters"]["problem"] and not games["tic_tac_toe"]["problem"]
        assert games["counters"]["num_actions"] is None
        assert games["counters"]["title"] == "Counters"
        assert asked.get("/api/v1/games").json() == about["games"]
        assert ask(asked, "position", moves=[4])["game"] == "tic_tac_toe"
        status, message, _ = refusal(asked, "position", {"game": "counters"})
        assert status == 404 and "mine.py" in message
        answer = asked.get("/api/v1/runs/damaged/status")
        assert answer.status_code == 404 and "run.toml" in answer.json()["error"]
        # What needs no rules works.
        for address in ("status", "training", "matches", "checkpoints"):
            assert asked.get(f"/api/v1/runs/a_lost/{address}").status_code == 200, address


@pytest.mark.parametrize("checkpoints", [7, pytest.param(20, marks=pytest.mark.slow)])
def test_what_was_loaded_for_old_checkpoints_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoints: int
) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    monkeypatch.setattr(agents_module, "_LOOK_SECONDS", 0.0)
    loaded: list[object] = []
    released: list[object] = []

    class Counting(OnnxInference):
        def load(self, weights: Any) -> Any:
            loaded.append(weights)
            return super().load(weights)

        def release(self, params: Any) -> None:
            released.append(params)
            super().release(params)

    monkeypatch.setattr("selfplay.inference.onnx_backend.OnnxInference", Counting, raising=False)
    monkeypatch.setattr("selfplay.inference.onnx_inference.OnnxInference", Counting)
    config = Config.from_dict(
        {
            "network": {"blocks": 1, "channels": 8},
            "search": {"num_simulations": 4, "max_considered_actions": 4, "inference": "onnx"},
        }
    )
    run = new_run(tmp_path / "r", files=0, config=config)
    weights = run.checkpoints.load(20, "weights")
    served = Library(runs=[run.url]).game(None)
    searches = Searches()
    match = LiveMatch(served.game)
    try:
        for update in range(30, 30 + checkpoints):
            run.checkpoints.save(update, {"weights": weights}, metadata={})
            agent = served.agent("r")
            assert agent.update == update and isinstance(agent, Thinker)
            found = searches.submit(agent, match, simulations=2).result(PATIENCE_SECONDS)
            assert found.analysis.visits is not None and found.analysis.visits.sum() == 2
            assert len(loaded) - len(released) <= agents_module._KEPT_WEIGHTS + 2
    finally:
        searches.close()
    assert len(loaded) == checkpoints


def test_a_checkpoint_is_taken_up_as_it_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents_module, "_LOOK_SECONDS", 0.0)
    run = new_run(tmp_path / "r", files=0)
    served = Library(runs=[run.url]).game(None)
    first = served.agent(None)
    assert (first.id, served.agent("r").id) == ("r@20", "r@20")
    weights = run.checkpoints.load(10, "weights")
    run.checkpoints.save(30, {"weights": weights}, metadata={})
    newest = served.agent("r")
    assert newest.id == "r@30"
    assert as_thinker(newest).compiled is as_thinker(first).compiled
    assert served.agent("r@20") is first


def test_visitors_are_searched_together(client: TestClient) -> None:
    searches = client.app.state.searches  # type: ignore[attr-defined]
    body = {"game": "tic_tac_toe", "simulations": 16}
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        for _ in range(20):
            # Somebody else is searched for until all of them wait.
            other = Slow()
            running = searches.submit(other, LiveMatch(TicTacToe()), simulations=8)
            assert other.started.acquire(timeout=PATIENCE_SECONDS)
            before = searches.searched, searches.batches
            asked = [pool.submit(ask, client, "analyze", **body) for _ in range(24)]
            until(lambda: searches.waiting == 24)
            other.go.release()
            answers = [one.result(PATIENCE_SECONDS) for one in asked]
            running.result(PATIENCE_SECONDS)
            # Each has a search of its own: where moves are about as good, they may differ.
            assert all(sum(answer["visits"].values()) == 16 for answer in answers)
            assert searches.searched - before[0] == 25
            if searches.batches - before[1] == 2:
                return
    pytest.fail("the batch was never compiled")


def test_a_checkpoint_and_a_run_that_are_removed_meanwhile(
    tmp_path: Path, client: TestClient
) -> None:
    new_run(tmp_path / "a")
    other: RunDirectory = new_run(tmp_path / "b")
    library = Library(folder=tmp_path)
    with TestClient(create_app(library), base_url="http://localhost") as asked:
        assert [run["run"] for run in asked.get("/api/v1/runs").json()] == ["a", "b"]
        assert len(asked.get("/api/v1/games").json()) == 1
        shutil.rmtree(tmp_path / "a" / "checkpoints" / "10")
        body = {"agent": "a@10", "simulations": 8}
        status, message, _ = refusal(asked, "analyze", body)
        assert status == 404 and "no checkpoint 10" in message
        shutil.rmtree(other.url)
        for address in ("status", "matches", "training", "checkpoints"):
            answer = asked.get(f"/api/v1/runs/b/{address}")
            assert answer.status_code == 404, address
            assert "run 'b'" in answer.json()["error"]
