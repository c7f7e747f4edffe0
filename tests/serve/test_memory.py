"""What a server keeps in memory is bounded, whatever visitors ask for."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.play import LiveMatch
from selfplay.run import RunDirectory
from selfplay.serve import Library, create_app
from selfplay.serve import library as library_module
from selfplay.serve.analysis import searches as searches_module
from selfplay.serve.analysis.searches import Searches
from selfplay.serve.recent import Recent
from selfplay.serve.served import LoadedRuns, ServedRun
from tests.serve.conftest import new_run
from tests.serve.test_searches import Slow, results, until


class Noted(Slow):
    """Also notes what is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.held: set[tuple[int, int]] = set()
        self.go.release(1000)

    def prepare(self, simulations: int, size: int) -> None:
        super().prepare(simulations, size)
        self.held.add((simulations, size))

    def forget(self, simulations: int, size: int) -> None:
        self.held.discard((simulations, size))


def test_programs_that_are_unused_are_freed_and_compiled_again_when_wanted() -> None:
    match, agents = LiveMatch(TicTacToe()), [Noted(), Noted()]
    searches = Searches(sizes=(1, 4), most_programs=3)
    try:
        for budget in (2, 8, 16, 32, 64, 100):
            for agent in agents:
                results([searches.submit(agent, match, simulations=budget)])
                assert agents[0].held | agents[1].held
                assert sum(len(agent.held) for agent in agents) <= 3
        assert not searches.is_ready(agents[0], 2)
        results([searches.submit(agents[0], match, simulations=2)])
        assert agents[0].prepared.count((2, 1)) == 2
        assert (2, 1) in agents[0].held and searches.compiling == 0
    finally:
        searches.close()


@pytest.mark.parametrize(
    ("memory", "programs"),
    [(None, 32), (0, 4), (2**30, 5), (4 * 2**30, 21), (64 * 2**30, 64)],
)
def test_the_number_of_programs_follows_the_memory(
    memory: int | None, programs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searches_module, "available_memory", lambda: memory)
    match, agent = LiveMatch(TicTacToe()), Noted()
    searches = Searches(sizes=(1,))
    try:
        for simulations in range(programs + 8):
            results([searches.submit(agent, match, simulations=simulations)])
        assert len(agent.held) == programs
    finally:
        searches.close()


def test_a_program_that_somebody_waits_for_is_not_freed() -> None:
    match, slow, other = LiveMatch(TicTacToe()), Slow(), Noted()
    searches = Searches(sizes=(1, 4), most_programs=1)
    try:
        running = searches.submit(slow, match, simulations=8)
        assert slow.started.acquire(timeout=30)
        waiting = searches.submit(slow, match, simulations=8)
        later = searches.submit(other, match, simulations=2)
        until(lambda: (2, 1) in other.prepared)
        assert searches.is_ready(slow, 8), "it is in use"
        slow.go.release(2)
        results([running, waiting, later])
        assert slow.prepared == [(8, 1)], "it was not compiled twice"
    finally:
        searches.close()


def test_a_recent_table_drops_what_was_unused_the_longest() -> None:
    dropped: list[int] = []
    recent: Recent[str, int] = Recent(2, on_drop=dropped.append)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a", lambda: 9) == 1
    assert recent.get("c", lambda: 3) == 3
    assert dropped == [2] and len(recent) == 2


def test_only_some_runs_are_loaded_at_once(run: RunDirectory) -> None:
    loaded = LoadedRuns(most=1)
    runs = [ServedRun(name, run, loaded) for name in ("one", "two")]
    first = runs[0].agent(20)
    assert runs[0].agent(20) is first
    runs[1].agent()
    assert runs[0].agent(20) is not first, "it was unloaded for the other run"


def test_removed_runs_leave_nothing_behind(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "_RESCAN_SECONDS", 0.0)
    library = Library(folder=tmp_path)
    with TestClient(create_app(library), base_url="http://localhost") as client:
        for number in range(2):
            shutil.copytree(run.path, tmp_path / f"run{number}")
            asked: dict[str, Any] = {"game": "tic_tac_toe", "moves": [4]}
            assert client.post("/api/v1/position", json=asked).status_code == 200
            assert client.get(f"/api/v1/runs/run{number}/matches").json()["matches"]
            shutil.rmtree(tmp_path / f"run{number}")
            until(lambda: client.get("/api/v1/games").json() == [])
    assert not library._games and not library._rules and not library._runs


@pytest.mark.slow
def test_memory_does_not_grow_with_the_searches(tmp_path: Path) -> None:
    library = Library(runs=[new_run(tmp_path / "run").url])
    with TestClient(create_app(library), base_url="http://localhost") as client:

        def ask(count: int) -> int:
            for seed in range(count):
                moves = [seed % 9]
                body = {"moves": moves, "simulations": 8, "seed": seed, "tree": 4}
                assert client.post("/api/v1/analyze", json=body).status_code == 200
            return _resident_bytes()

        before = ask(200)
        time.sleep(0.5)
        after = ask(1500)
    assert after - before < 15e6, "it grows by less than 10 kB a request"


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return 4096 * pages
