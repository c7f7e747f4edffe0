"""Match records as Parquet files: one row a match, so that DuckDB or pandas can ask them."""

import importlib.metadata
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from selfplay.errors import RecordError
from selfplay.records.match import MatchRecord


def _software_version() -> str:
    try:
        return importlib.metadata.version("selfplay-jax")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


_MATCH_COLUMNS: dict[str, pa.DataType] = {
    "match_id": pa.string(),
    "game": pa.string(),
    "version": pa.int32(),
    "fingerprint": pa.string(),
    "worker": pa.string(),
    "first_checkpoint": pa.int64(),
    "last_checkpoint": pa.int64(),
    "settings_hash": pa.string(),
    "start_key": pa.list_(pa.uint32(), 2),
    "truncated": pa.bool_(),
    "returns": pa.list_(pa.float32(), 2),
}
_PLY_COLUMNS: dict[str, pa.DataType] = {
    "players": pa.int8(),
    "actions": pa.int32(),
    "outcomes": pa.int32(),
    "simulations": pa.int32(),
    "root_values": pa.float32(),
    "raw_values": pa.float32(),
    "is_target": pa.bool_(),
    "exploratory": pa.bool_(),
}
_POLICY_COLUMNS: dict[str, pa.DataType] = {
    "policy_actions": pa.int32(),
    "policy_probabilities": pa.float32(),
}
SCHEMA = pa.schema(
    [pa.field(name, kind) for name, kind in _MATCH_COLUMNS.items()]
    + [pa.field("plies", pa.int32())]
    + [pa.field(name, pa.list_(kind)) for name, kind in _PLY_COLUMNS.items()]
    + [pa.field(name, pa.list_(pa.list_(kind))) for name, kind in _POLICY_COLUMNS.items()],
    metadata={"selfplay_records": "1", "selfplay": _software_version()},
)
"""Columns of a file of matches; `plies` is the length of the lists."""


def encode_matches(matches: Sequence[MatchRecord]) -> bytes:
    """Returns the matches as the bytes of one Parquet file, compressed with zstd."""
    columns: dict[str, pa.Array] = {
        name: pa.array([getattr(match, name) for match in matches], kind)
        for name, kind in _MATCH_COLUMNS.items()
    }
    columns["plies"] = pa.array([match.plies for match in matches], pa.int32())
    match_offsets = _offsets([match.plies for match in matches])
    for name, kind in _PLY_COLUMNS.items():
        values = pa.array(_concatenated(matches, name), kind)
        columns[name] = pa.ListArray.from_arrays(match_offsets, values)
    ply_offsets = _offsets(
        [length for match in matches for length in np.diff(match.policy_offsets).tolist()]
    )
    for name, kind in _POLICY_COLUMNS.items():
        values = pa.array(_concatenated(matches, name), kind)
        plies = pa.ListArray.from_arrays(ply_offsets, values)
        columns[name] = pa.ListArray.from_arrays(match_offsets, plies)
    table = pa.table([columns[field.name] for field in SCHEMA], schema=SCHEMA)
    sink = io.BytesIO()
    # Without checksums four of ten flipped bits would pass as other numbers.
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()


def decode_matches(data: bytes, *, source: str) -> list[MatchRecord]:
    """Returns the matches in the bytes of a Parquet file.

    Raises:
        RecordError: the bytes are not a complete file of matches; names `source`.
    """
    try:
        table = _read(data)
        if not table.schema.equals(SCHEMA):
            raise RecordError(
                f"{source} does not have the columns of a file of matches",
                hint="it was not written by selfplay, or by a version with another format",
            )
        _check_lists(table)
        return [_record(row) for row in _rows(table)]
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RecordError(
            f"{source} is damaged: {reason}",
            hint="move the file out of the run to go on without its matches",
        ) from error


def _read(data: bytes) -> pa.Table:
    """Returns the table in a Parquet file, read by this thread alone.

    Arrow's own threads would hold `data`, a Python object, and may let go of it only when the
    interpreter has ended already: the process aborts then. The files are small.
    """
    source = pa.BufferReader(data)
    with pq.ParquetFile(source, pre_buffer=False, page_checksum_verification=True) as file:
        return file.read(use_threads=False)


def written_by(data: bytes) -> str:
    """Returns the version of selfplay that wrote a file of matches, or "unknown"."""
    try:
        metadata = pq.read_schema(pa.BufferReader(data)).metadata or {}
    except (pa.ArrowException, OSError):
        return "unknown"
    return metadata.get(b"selfplay", b"unknown").decode(errors="replace")


def read_matches(path: Path) -> list[MatchRecord]:
    """Returns the matches in one file.

    Raises:
        RecordError: the file is missing or damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error
    return decode_matches(data, source=str(path))


def _offsets(lengths: Sequence[int]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]), pa.int32())


def _concatenated(matches: Sequence[MatchRecord], name: str) -> Any:
    return np.concatenate([getattr(match, name) for match in matches]) if matches else []


def _check_lists(table: pa.Table) -> None:
    """Raises `ValueError` if a value is missing or the lists of a match differ in length."""
    for name in SCHEMA.names:
        column = table.column(name)
        nested = name not in _MATCH_COLUMNS
        while not column.null_count and nested and pa.types.is_list(column.type):
            column = pc.list_flatten(column)
        if column.null_count:
            raise ValueError(f"a value of {name} is missing")
    for name in (*_PLY_COLUMNS, *_POLICY_COLUMNS):
        if not pc.list_value_length(table.column(name)).equals(table.column("plies")):
            raise ValueError(f"{name} is not as long as its match")
    actions, probabilities = (
        pc.list_value_length(pc.list_flatten(table.column(name))) for name in _POLICY_COLUMNS
    )
    if not actions.equals(probabilities):
        raise ValueError("policy_actions and policy_probabilities differ in length")


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    """Returns one dictionary a match; lists of plies become NumPy arrays."""
    table = table.combine_chunks()
    rows: list[dict[str, Any]] = [
        dict(zip(_MATCH_COLUMNS, values, strict=True))
        for values in zip(*(table.column(name).to_pylist() for name in _MATCH_COLUMNS), strict=True)
    ]
    for name in (*_PLY_COLUMNS, *_POLICY_COLUMNS):
        column = table.column(name)
        for index, row in enumerate(rows):
            row[name] = column[index].values
    return rows


def _record(row: dict[str, Any]) -> MatchRecord:
    plies = {name: row[name].to_numpy(zero_copy_only=False) for name in _PLY_COLUMNS}
    # A slice of a list column keeps the whole child: flatten() takes the slice's part alone.
    policy_actions, policy_probabilities = (
        row[name].flatten().to_numpy(zero_copy_only=False) for name in _POLICY_COLUMNS
    )
    lengths = row["policy_actions"].value_lengths().to_numpy(zero_copy_only=False)
    return MatchRecord(
        **{name: row[name] for name in _MATCH_COLUMNS if name not in ("start_key", "returns")},
        start_key=tuple(row["start_key"]),
        returns=tuple(row["returns"]),
        **plies,
        policy_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
        policy_actions=policy_actions,
        policy_probabilities=policy_probabilities,
    )
