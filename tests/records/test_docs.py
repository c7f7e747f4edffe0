"""The queries on the page about records run as they are printed there."""

import re
from pathlib import Path

import duckdb
import pytest

from selfplay.records import encode_matches
from tests.records.examples import make_record

DOCUMENT = Path(__file__).parents[2] / "docs" / "records.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


def run_example(number: int, run: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Returns what an example prints for a run of six matches in three files."""
    for file in range(3):
        matches = [
            make_record(
                2 * file + index,
                players=[0, 1, 0],
                actions=[4, 0, 8],
                policies=[([4, 5], [0.75, 0.25])] * 3,
                returns=(1.0, -1.0) if file else (0.0, 0.0),
            )
            for index in range(2)
        ]
        path = run / "matches" / f"worker-{file % 2}" / f"{file:08d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_matches(matches))
        # What a killed writer leaves is no part of the run.
        (path.parent / f".tmp-{file}.parquet-1-abc").write_bytes(b"half")
    exec(compile(EXAMPLES[number], str(DOCUMENT), "exec"), {"run": str(run)})
    return capsys.readouterr().out


def test_the_query_over_all_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = run_example(0, tmp_path, capsys)
    assert printed.splitlines() == [
        "6 matches",
        "mean length 3.0",
        "won by the first player 0.6666666666666666",
    ]


def test_pandas_and_duckdb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_checkpoint, mean = run_example(1, tmp_path, capsys).splitlines()
    # The matches of this run ended with six different checkpoints.
    assert by_checkpoint == str(dict.fromkeys(range(1, 7), 3.0))
    assert mean == "[(3.0,)]"


def test_duckdb_joins_matches_with_their_newer_targets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_example(0, tmp_path, capsys)
    (source,) = re.findall(r"`(FROM 'runs/x/matches[^`]*)`", DOCUMENT.read_text())
    again = tmp_path / "reanalyses" / "r" / "00000000.parquet"
    again.parent.mkdir(parents=True)
    again.write_bytes((tmp_path / "matches" / "worker-1" / "00000001.parquet").read_bytes())
    query = f"SELECT old.match_id {source.replace('runs/x', str(tmp_path))} ORDER BY 1"
    with duckdb.connect() as database:
        found = database.execute(query).fetchall()
    assert [match_id for (match_id,) in found] == ["test-00000002-0000", "test-00000003-0000"]


def test_reading_file_by_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = run_example(2, tmp_path, capsys).splitlines()
    assert len(lines) == 6
    assert lines[0] == "test-00000000-0000 (0.0, 0.0) [4, 0, 8] [4, 5]"


def test_every_example_is_run() -> None:
    assert len(EXAMPLES) == 3
