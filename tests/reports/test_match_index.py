"""Pages of the matches of a run: order, filters, cursors, and what is not read for them."""

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

import pytest

from selfplay.errors import RecordError
from selfplay.records import MatchRecord
from selfplay.registry import GameSpec, make
from selfplay.reports import match_index
from selfplay.reports.match_filter import MatchFilter
from selfplay.reports.match_index import MatchIndex
from selfplay.run import RunDirectory, append_evaluation
from selfplay.settings import Config
from selfplay.store.directory_store import DirectoryStore
from tests.records.examples import RandomMatches

FILES, IN_FILE = 12, 5


def record(played: MatchRecord, worker: str, sequence: int, index: int) -> MatchRecord:
    return dataclasses.replace(
        played,
        match_id=f"{worker}-{sequence:08d}-{index:04d}",
        worker=worker,
        first_checkpoint=10 * sequence,
        last_checkpoint=10 * sequence + 5,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run with 12 files of 5 matches, a second apart; not to be changed."""
    game = make("tic_tac_toe")
    path = tmp_path_factory.mktemp("index") / "run"
    run = RunDirectory.create(path, GameSpec("tic_tac_toe"), game, Config())
    played = RandomMatches(game)
    matches = [played.play(seed=seed).record for seed in range(20)]
    for number in range(FILES):
        worker, sequence = "ab"[number % 2], number // 2
        chosen = [matches[(number * IN_FILE + index) % 20] for index in range(IN_FILE)]
        run.matches.put(
            worker,
            sequence,
            [record(one, worker, sequence, index) for index, one in enumerate(chosen)],
        )
        file = path / "matches" / worker / f"{sequence:08d}.parquet"
        os.utime(file, (1_000_000 + number, 1_000_000 + number))
    return run


def every_page(index: MatchIndex, wanted: MatchFilter, limit: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = index.page(wanted, limit=limit, cursor=cursor)
        assert len(page.rows) <= limit
        rows += page.rows
        if page.next is None:
            return rows
        cursor = page.next


@pytest.mark.parametrize("limit", [1, 4, 5, 7, 60, 200])
def test_pages_follow_each_other_newest_first(run: RunDirectory, limit: int) -> None:
    rows = every_page(MatchIndex(run), MatchFilter(), limit)
    assert [row["match"] for row in rows] == [
        f"{'ab'[number % 2]}-{number // 2:08d}-{index:04d}"
        for number in reversed(range(FILES))
        for index in reversed(range(IN_FILE))
    ]


@pytest.mark.parametrize(
    "wanted",
    [
        MatchFilter(worker="a"),
        MatchFilter(worker="nobody"),
        MatchFilter(first_checkpoint=30),
        MatchFilter(last_checkpoint=30),
        MatchFilter(first_checkpoint=20, last_checkpoint=40, result="draw"),
        MatchFilter(result="first"),
        MatchFilter(result="second", min_plies=7),
        MatchFilter(max_plies=6),
        MatchFilter(min_plies=9, max_plies=9),
        MatchFilter(kind="evaluation"),
        MatchFilter(opponent="mcts:50"),
    ],
)
def test_filters_take_what_they_say(run: RunDirectory, wanted: MatchFilter) -> None:
    rows = every_page(MatchIndex(run), wanted, 7)
    everything = every_page(MatchIndex(run), MatchFilter(), 100)
    assert rows == [row for row in everything if wanted.takes(row)]
    if wanted.kind is None and wanted.opponent is None and wanted.worker != "nobody":
        assert 0 < len(rows) < len(everything)


def test_a_page_reads_only_the_files_it_needs(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = MatchIndex(run)
    read: list[str] = []
    reading = index._read_records

    def noted(file: Any, wanted: Any) -> Any:
        rows = reading(file, wanted)
        read.append(f"{file.name}{file.sequence}" + (" whole" if rows is not None else ""))
        return rows

    monkeypatch.setattr(index, "_read_records", noted)
    index.page(limit=6)
    assert read == ["b5 whole", "a5 whole"]
    del read[:]
    # By the footers alone these can hold no such match.
    index.page(MatchFilter(last_checkpoint=5), limit=50)
    assert [name for name in read if "whole" in name] == ["b0 whole", "a0 whole"]


def test_a_page_asks_for_the_times_of_only_the_files_it_needs(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = MatchIndex(run)
    asked: list[str] = []
    reading = DirectoryStore.entry

    def noted(store: DirectoryStore, name: str) -> Any:
        asked.append(name)
        return reading(store, name)

    monkeypatch.setattr(DirectoryStore, "entry", noted)
    monkeypatch.setattr(run.matches, "entries", None)  # It reads all times.
    page = index.page(limit=6)
    # Two files are read; of each worker the next one is compared with the other's.
    assert len(page.rows) == 6 and len(asked) <= 4
    index.page(limit=6)
    assert len(set(asked)) == len(asked), "a time is read once"


def test_the_files_of_a_worker_stay_in_order_when_a_copy_has_lost_their_times(
    tmp_path: Path,
) -> None:
    game = make("tic_tac_toe")
    run = RunDirectory.create(tmp_path / "run", GameSpec("tic_tac_toe"), game, Config())
    one = RandomMatches(game).play(seed=1).record
    for worker, sequence, moment in (
        ("a", 0, 50), ("a", 1, 20), ("a", 2, 40), ("b", 0, 30), ("b", 1, 60),
    ):  # fmt: skip
        run.matches.put(worker, sequence, [record(one, worker, sequence, 0)])
        os.utime(tmp_path / f"run/matches/{worker}/{sequence:08d}.parquet", (moment, moment))
    for limit in (1, 2, 9):
        names = [row["match"][:10] for row in every_page(MatchIndex(run), MatchFilter(), limit)]
        assert names == ["b-00000001", "a-00000002", "b-00000000", "a-00000001", "a-00000000"]


def test_counting_stops_for_somebody_who_wants_a_page(run: RunDirectory) -> None:
    index = MatchIndex(run)
    asked = iter([False, False, True])
    assert not index.count(60.0, interrupted=lambda: next(asked))
    assert len(index._counts) == 2
    assert index.count(60.0)


def test_matches_read_for_pages_are_forgotten(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match_index, "_KEPT_ROWS", 2 * IN_FILE)
    index = MatchIndex(run)
    every_page(index, MatchFilter(), 3)
    assert sum(map(len, index._rows.values())) <= 2 * IN_FILE


def test_matches_are_counted_by_the_footers(run: RunDirectory) -> None:
    index = MatchIndex(run)
    assert index.page(limit=1).total is None
    while not index.count(0.01):
        pass
    assert index.page(limit=1).total == FILES * IN_FILE
    assert index.page(MatchFilter(worker="a"), limit=1).total is None


def test_a_page_ends_when_its_time_is_over_and_goes_on(run: RunDirectory) -> None:
    ticks = iter(range(10**6))
    index = MatchIndex(run, clock=lambda: float(next(ticks)))
    page = index.page(MatchFilter(last_checkpoint=5), limit=50, seconds=2)
    assert page.rows == [] and page.next is not None
    rows: list[dict[str, Any]] = []
    while page.next is not None:
        page = index.page(MatchFilter(last_checkpoint=5), limit=50, cursor=page.next, seconds=3)
        rows += page.rows
    assert len(rows) == 2 * IN_FILE


def test_new_and_removed_files_do_not_disturb_the_pages(tmp_path: Path) -> None:
    game = make("tic_tac_toe")
    run = RunDirectory.create(tmp_path / "run", GameSpec("tic_tac_toe"), game, Config())
    one = RandomMatches(game).play(seed=1).record
    for sequence in range(4):
        run.matches.put("a", sequence, [record(one, "a", sequence, index) for index in (0, 1)])
        os.utime(tmp_path / f"run/matches/a/{sequence:08d}.parquet", (sequence + 1,) * 2)
    now = [0.0]
    index = MatchIndex(run, clock=lambda: now[0])
    page = index.page(limit=3)
    assert page.rows[-1]["match"] == "a-00000002-0001"
    run.matches.put("b", 0, [record(one, "b", 0, 0)])
    run.matches.remove("a", 2)
    run.store.write("matches/a/00000001.parquet", b"damaged")
    os.utime(tmp_path / "run/matches/a/00000001.parquet", (2, 2))
    now[0] += 100
    rest = index.page(limit=10, cursor=page.next)
    assert [row["match"] for row in rest.rows] == ["a-00000000-0001", "a-00000000-0000"]
    assert index.page(limit=1).rows[0]["match"] == "b-00000000-0000"


def test_evaluation_matches_are_among_them(tmp_path: Path) -> None:
    game = make("tic_tac_toe")
    run = RunDirectory.create(tmp_path / "run", GameSpec("tic_tac_toe"), game, Config())
    match = {"start_key": [0, 0], "actions": [4, 0, 3, 1, 5], "truncated": False}
    append_evaluation(
        run.store,
        {"update": 7, "opponent": "mcts:50"},
        [{**match, "seat": 0, "result": 1.0}, {**match, "seat": 1, "result": -1.0}],
    )
    rows = MatchIndex(run).page().rows
    assert [row["returns"] for row in rows] == [[1.0, -1.0], [1.0, -1.0]]
    assert [row["players"][0] for row in rows] == ["mcts:50", "checkpoint 7"]
    assert {row["opponent"] for row in rows} == {"mcts:50"}
    assert MatchIndex(run).page(MatchFilter(opponent="mcts:9")).rows == []


@pytest.mark.parametrize("cursor", ["", "x", "[]", "[1,2,3,4,5]", '[1,"selfplay","a",0,"b"]'])
def test_a_cursor_that_is_none(run: RunDirectory, cursor: str) -> None:
    with pytest.raises(RecordError, match="cursor"):
        MatchIndex(run).page(cursor=cursor)


@pytest.mark.slow
def test_the_first_page_of_ten_thousand_files_is_quick(tmp_path: Path) -> None:
    game = make("tic_tac_toe")
    run = RunDirectory.create(tmp_path / "run", GameSpec("tic_tac_toe"), game, Config())
    one = RandomMatches(game).play(seed=1).record
    run.matches.put("a", 0, [record(one, "a", 0, index) for index in range(100)])
    data = (tmp_path / "run/matches/a/00000000.parquet").read_bytes()
    for sequence in range(1, 10_000):
        (tmp_path / f"run/matches/a/{sequence:08d}.parquet").write_bytes(data)
    begin = time.monotonic()
    page = MatchIndex(run).page(limit=50)
    assert len(page.rows) == 50 and time.monotonic() - begin < 5
