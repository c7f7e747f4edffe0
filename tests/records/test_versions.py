"""Files of other versions of the format: older ones take defaults, newer ones lose what is new."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfplay.errors import RecordError
from selfplay.records import (
    MatchRecord,
    decode_matches,
    encode_matches,
    read_matches,
    same_content,
    written_by,
)
from selfplay.records.match import FIELDS, VERSION
from selfplay.records.parquet import SCHEMA
from selfplay.registry import make
from selfplay.replay import Rebuilder
from tests.records.examples import make_record

GOLDEN = Path(__file__).parent / "golden"
NEWER = [field.name for field in FIELDS if field.since > 1]


def record() -> MatchRecord:
    return make_record(3, players=[0, 1], actions=[4, 0], policies=[([4, 5], [0.75, 0.25])] * 2)


def changed(change: Callable[[pa.Table], pa.Table], version: str | None) -> bytes:
    """Returns a file with other columns, and another version in its metadata."""
    table = change(pq.read_table(pa.BufferReader(encode_matches([record()]))))
    metadata = {"selfplay": "some"} if version is None else {"selfplay_records": version}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink)
    return bytes(sink.getvalue())


def without(*names: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns(list(names))


def test_a_file_of_the_first_version_is_read() -> None:
    """Written by selfplay at commit a96794d: three matches with dice in every move."""
    path = GOLDEN / "einstein_wuerfelt_nicht-1.parquet"
    table = pq.read_table(path)
    assert table.schema.metadata[b"selfplay_records"] == b"1"
    assert not set(NEWER) & set(table.column_names)
    matches = read_matches(path)
    assert len(matches) == len(table) > 0
    for index, match in enumerate(matches):
        for name in table.column_names:
            if not name.startswith("policy_"):
                found = np.asarray(getattr(match, name))
                np.testing.assert_array_equal(found, table.column(name)[index].as_py())
        assert match.ending == "played_out"
        assert not match.fast.any()
        assert (match.reanalysis_checkpoints == -1).all()
    assert np.unique(np.concatenate([match.outcomes for match in matches])).size > 3
    assert written_by(path.read_bytes()) == "0.1.0"
    # It follows the rules of today, roll by roll.
    Rebuilder(make("einstein_wuerfelt_nicht"))(matches)
    assert same_content(decode_matches(encode_matches(matches), source="memory"), matches)


@pytest.mark.parametrize("version", [None, "1"])
def test_a_writer_need_not_give_what_is_new(version: str | None) -> None:
    read = decode_matches(changed(without(*NEWER), version), source="elsewhere")
    assert same_content(read, [record()])


def test_the_columns_may_come_in_any_order() -> None:
    data = changed(lambda table: table.select(sorted(table.column_names)), str(VERSION))
    assert same_content(decode_matches(data, source="sorted"), [record()])


def test_a_file_has_all_columns_of_its_version() -> None:
    for name in NEWER:
        with pytest.raises(RecordError, match=f"does not have the columns.*{name} is missing"):
            decode_matches(changed(without(name), str(VERSION)), source="careless")
    for field in FIELDS:
        if field.since == 1:
            with pytest.raises(RecordError, match=f": {field.name} is missing"):
                decode_matches(changed(without(field.name), "1"), source="careless")


def test_a_column_of_another_type_is_refused() -> None:
    index = SCHEMA.get_field_index("simulations")

    def change(table: pa.Table) -> pa.Table:
        values = pa.array([["a", "b"]], pa.list_(pa.string()))
        return table.set_column(index, "simulations", values)

    with pytest.raises(RecordError, match=r"simulations is list<.*string>, but must be list<"):
        decode_matches(changed(change, "1"), source="careless")


def with_more(table: pa.Table) -> pa.Table:
    clock = pa.array([[1.5, 2.5]], pa.list_(pa.float32()))
    return table.append_column("clock", clock)


def test_columns_of_a_later_version_are_left_out_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(3):
        data = changed(with_more, str(VERSION + 1))
        assert same_content(decode_matches(data, source="later"), [record()])
    said = [line for line in caplog.messages if "clock" in line]
    assert said == ["files of matches have a column that is unknown here and left out: clock"]


def test_a_later_version_may_have_given_up_what_has_a_default() -> None:
    data = changed(without("fast", "ending"), str(VERSION + 1))
    assert same_content(decode_matches(data, source="later"), [record()])
    with pytest.raises(RecordError, match="actions is missing") as caught:
        decode_matches(changed(without("actions"), str(VERSION + 1)), source="later")
    assert "install the newest" in str(caught.value.hint)


@pytest.mark.parametrize("version", ["0", "-1", "1.5", "two", ""])
def test_a_version_is_a_number(version: str) -> None:
    with pytest.raises(RecordError, match=r"strange has version '.*' of the format"):
        decode_matches(changed(lambda table: table, version), source="strange")


def test_values_that_are_missing_are_null_in_the_file() -> None:
    match: Any = record()
    match.reanalysis_checkpoints[1] = 70
    table = pq.read_table(pa.BufferReader(encode_matches([match])))
    assert table.column("reanalysis_checkpoints").to_pylist() == [[None, 70]]
    assert table.column("ending").to_pylist() == ["played_out"]
