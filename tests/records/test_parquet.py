"""Records survive the disk bit for bit, and a damaged file is an error with its name."""

import dataclasses
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from selfplay.errors import RecordError
from selfplay.records import (
    MatchRecord,
    decode_matches,
    encode_matches,
    read_matches,
    same_content,
)
from selfplay.records.match import VERSION
from selfplay.records.parquet import SCHEMA
from tests.records.examples import make_record

DOCUMENT = Path(__file__).parents[2] / "docs" / "records.md"


def sample(number: int) -> MatchRecord:
    """Returns a match of 1 to 30 plies with policies of 0 to 8 actions, awkward numbers in it."""
    source = np.random.default_rng([3, number])
    plies = int(source.integers(1, 31))
    policies = []
    for _ in range(plies):
        chosen = np.sort(source.choice(400, int(source.integers(0, 9)), replace=False))
        policies.append((chosen, source.random(len(chosen)).astype(np.float32)))
    record = make_record(
        number,
        players=source.integers(0, 2, plies).tolist(),
        actions=source.integers(0, 400, plies).tolist(),
        policies=policies,
        start_key=(0, 2**32 - 1),
        truncated=bool(source.integers(2)),
        returns=(1 / 3, -1 / 3),
        exploratory=[0],
    )
    record.is_target[::3] = False
    record.root_values[0] = np.float32(1e-38)
    record.outcomes[-1] = 5
    record.fast[1::4] = True
    record.reanalysis_checkpoints[::5] = 2**40
    # As a file keeps it: a float32.
    returns = (float(np.float32(1 / 3)), float(np.float32(-1 / 3)))
    return dataclasses.replace(record, returns=returns, worker="a worker, \u00e9")


MATCHES = [sample(number) for number in range(20)]


def bits(value: Any) -> tuple[str, bytes]:
    """Returns the dtype and the bytes of a field."""
    array = np.asarray(value)
    return str(array.dtype), array.tobytes()


@pytest.mark.parametrize("count", [0, 1, 20])
def test_round_trip_bit_for_bit(count: int) -> None:
    matches = MATCHES[:count]
    read = decode_matches(encode_matches(matches), source="here")
    assert same_content(read, matches)
    for got, wanted in zip(read, matches, strict=True):
        for field in dataclasses.fields(MatchRecord):
            assert bits(getattr(got, field.name)) == bits(getattr(wanted, field.name)), field.name
        for ply in range(wanted.plies):
            for left, right in zip(got.policy(ply), wanted.policy(ply), strict=True):
                assert bits(left) == bits(right)


def test_the_sample_has_plies_without_policy() -> None:
    assert any((np.diff(match.policy_offsets) == 0).any() for match in MATCHES)


def test_the_same_matches_make_the_same_bytes() -> None:
    assert encode_matches(MATCHES) == encode_matches(MATCHES)


def test_any_difference_is_seen() -> None:
    match = dataclasses.replace(
        MATCHES[3],
        **{
            f"side_policy_{name}": getattr(MATCHES[3], f"policy_{name}")
            for name in ("offsets", "actions", "probabilities")
        },
    )
    for field in dataclasses.fields(MatchRecord):
        value = getattr(match, field.name)
        if isinstance(value, np.ndarray):
            other: Any = value.copy()
            other[-1] = not other[-1] if other.dtype == np.bool_ else other[-1] + 1
        elif isinstance(value, tuple):
            other = (value[0], value[1] + 1)
        else:
            other = not value if isinstance(value, bool) else value + type(value)(1)
        changed = dataclasses.replace(match, **{field.name: other})
        assert not same_content([changed], [match]), field.name
    assert not same_content(MATCHES[:2], MATCHES[:3])


def test_the_file_has_the_columns_of_the_schema() -> None:
    table = pq.read_table(pa.BufferReader(encode_matches(MATCHES)))
    assert table.schema.equals(SCHEMA)
    assert table.column("plies").to_pylist() == [match.plies for match in MATCHES]
    assert table.schema.metadata[b"selfplay_records"] == str(VERSION).encode()


def test_every_column_is_documented_with_its_type() -> None:
    rows = {
        cells[0].strip().strip("`"): cells[1].strip()
        for line in DOCUMENT.read_text().splitlines()
        if line.startswith("| `")
        for cells in [line.strip("|").split("|")]
    }
    assert list(rows) == SCHEMA.names
    for field in SCHEMA:
        named = str(field.type).replace("element: ", "").replace("item: ", "")
        assert rows[field.name] == named, field.name


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"gone\.parquet cannot be read: No such file"):
        read_matches(tmp_path / "gone.parquet")


@pytest.mark.parametrize("length", [0, 1, 4, 1000, -1000, -8, -1])
def test_a_truncated_file_is_named(tmp_path: Path, length: int) -> None:
    file = tmp_path / "00000007.parquet"
    file.write_bytes(encode_matches(MATCHES)[:length])
    with pytest.raises(RecordError, match=r"00000007\.parquet is damaged") as caught:
        read_matches(file)
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_never_passes_as_other_numbers() -> None:
    data = encode_matches(MATCHES)
    source = random.Random(0)
    refused = 0
    for _ in range(600):
        flipped = bytearray(data)
        flipped[source.randrange(len(data))] ^= 1 << source.randrange(8)
        try:
            read = decode_matches(bytes(flipped), source="flipped")
        except RecordError as error:
            assert str(error).startswith("flipped ")
            refused += 1
        else:
            assert same_content(read, MATCHES)
    assert refused > 300


def test_another_parquet_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.parquet"
    pq.write_table(pa.table({"match_id": ["a"], "price": [1.0]}), file)
    with pytest.raises(RecordError, match=r"other\.parquet does not have the columns"):
        read_matches(file)


def inconsistent(name: str, change: Any) -> bytes:
    """Returns a file by a careless writer: one column changed."""
    table = pq.read_table(pa.BufferReader(encode_matches(MATCHES[:2])))
    index = SCHEMA.get_field_index(name)
    values = change(table.column(name).to_pylist())
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.set_column(index, SCHEMA.field(index), pa.array(values, SCHEMA.types[index])), sink
    )
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("plies", lambda rows: [row + 1 for row in rows], "is not as long as its match"),
        ("actions", lambda rows: [row[1:] for row in rows], "actions is not as long"),
        ("policy_actions", lambda rows: [[p[1:] for p in row] for row in rows], "differ in length"),
        ("worker", lambda rows: [None, *rows[1:]], "a value of worker is missing"),
        ("returns", lambda rows: [None, *rows[1:]], "a value of returns is missing"),
        ("root_values", lambda rows: [None, *rows[1:]], "a value of root_values is missing"),
        ("players", lambda rows: [[None, *row[1:]] for row in rows], "a value of players"),
        ("start_key", lambda rows: [[None, 1], *rows[1:]], "a value of start_key is missing"),
        ("fast", lambda rows: [row[1:] for row in rows], "fast is not as long"),
        ("reanalysis_checkpoints", lambda rows: [None, *rows[1:]], "a value of reanalysis"),
    ],
)
def test_lists_that_do_not_fit_together_are_refused(name: str, change: Any, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        decode_matches(inconsistent(name, change), source="careless")


def test_a_directory_of_files_can_be_asked(tmp_path: Path) -> None:
    for number in range(4):
        file = tmp_path / f"worker-{number % 2}" / f"{number:08d}.parquet"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(encode_matches(MATCHES[5 * number : 5 * number + 5]))
    table = pyarrow.dataset.dataset(tmp_path).to_table(
        columns=["match_id", "plies"], filter=pyarrow.dataset.field("plies") > 10
    )
    wanted = {match.match_id for match in MATCHES if match.plies > 10}
    assert set(table.column("match_id").to_pylist()) == wanted
    assert 0 < len(wanted) < len(MATCHES)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_reading_starts_no_thread(tmp_path: Path) -> None:
    """A thread of Arrow that lets go of the bytes while Python ends would abort the process."""
    file = tmp_path / "matches"
    file.write_bytes(encode_matches([sample(1), sample(2)]))
    code = f"""
import os
from selfplay.records import decode_matches
data = open({str(file)!r}, "rb").read()
before = len(os.listdir("/proc/self/task"))
matches = decode_matches(data, source="file")
print(len(matches), len(os.listdir("/proc/self/task")) - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2 0\n"
