"""Files of matches are written once: the same again changes nothing, others are refused."""

import dataclasses
from pathlib import Path

import pytest

from selfplay.errors import RecordError
from selfplay.processes.match_files import MatchFiles
from selfplay.records import MatchRecord, same_content
from tests.records.examples import make_record


def match(number: int) -> MatchRecord:
    return make_record(number, players=[0, 1], actions=[4, 0], policies=[([4], [1.0])] * 2)


def test_what_is_put_can_be_got(tmp_path: Path) -> None:
    files = MatchFiles(tmp_path)
    assert files.put("a", 0, [match(0), match(1)])
    assert same_content(files.get("a", 0), [match(0), match(1)])
    assert files.file("a", 0) == tmp_path / "a" / "00000000.parquet"


def test_the_same_again_is_accepted_and_other_matches_are_not(tmp_path: Path) -> None:
    files = MatchFiles(tmp_path)
    files.put("a", 3, [match(0)])
    before = files.file("a", 3).stat().st_ino, files.file("a", 3).read_bytes()
    assert files.put("a", 3, [match(0)])
    other = dataclasses.replace(match(0), last_checkpoint=99)
    assert not files.put("a", 3, [other])
    assert not files.put("a", 3, [match(0), match(1)])
    assert (files.file("a", 3).stat().st_ino, files.file("a", 3).read_bytes()) == before


def test_a_damaged_file_is_not_overwritten(tmp_path: Path) -> None:
    files = MatchFiles(tmp_path)
    files.put("a", 0, [match(0)])
    files.file("a", 0).write_bytes(b"damaged")
    with pytest.raises(RecordError, match=r"00000000\.parquet is damaged"):
        files.put("a", 0, [match(0)])
    assert files.file("a", 0).read_bytes() == b"damaged"


def test_files_are_listed_without_what_a_killed_writer_left(tmp_path: Path) -> None:
    files = MatchFiles(tmp_path)
    assert files.all() == []
    assert files.next_sequence("a") == 0
    for worker, number in (("b", 0), ("a", 7), ("a", 2)):
        files.put(worker, number, [match(number)])
    (tmp_path / "a" / ".tmp-00000009.parquet-1-abc").write_bytes(b"half")
    assert [str(file.relative_to(tmp_path)) for file in files.all()] == [
        "a/00000002.parquet",
        "a/00000007.parquet",
        "b/00000000.parquet",
    ]
    assert files.next_sequence("a") == 8
    assert files.next_sequence("b") == 1
