"""Match records as Parquet files: one row a match, so that DuckDB or pandas can ask them."""

import functools
import io
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from selfplay.errors import RecordError
from selfplay.records.fields import REQUIRED, Field
from selfplay.records.match import FIELDS, TABLES, VERSION, MatchRecord
from selfplay.version import software_version

_VERSION_KEY = b"selfplay_records"
_TRACE_KEY = b"traceparent"
_log = logging.getLogger(__name__)


def column_type(field: Field) -> pa.DataType:
    """Returns the type of a field's column."""
    value = pa.type_for_alias(field.kind)
    if field.size:
        value = pa.list_(value, field.size)
    for _ in range(("match", "ply", "action").index(field.per)):
        value = pa.list_(value)
    return value


SCHEMA = pa.schema(
    [pa.field(field.name, column_type(field)) for field in FIELDS],
    metadata={_VERSION_KEY: str(VERSION), "selfplay": software_version()},
)
"""Columns of a file of matches, and the version of the format."""


def encode_matches(matches: Sequence[MatchRecord], *, traceparent: str = "") -> bytes:
    """Returns the matches as the bytes of one Parquet file, compressed with zstd.

    Args:
        matches: any number.
        traceparent: names the span of a trace that stores them; "" for none.
    """
    match_offsets = _offsets([match.plies for match in matches])
    ply_offsets = {table: _ply_offsets(matches, table) for table in TABLES}
    columns = []
    for field in FIELDS:
        values = [getattr(match, field.name) for match in matches]
        if field.per == "match":
            columns.append(pa.array(values, column_type(field)))
            continue
        flat = np.concatenate(values) if values else np.zeros(0)
        missing = None if field.null is None else flat == field.null
        column = pa.array(flat, pa.type_for_alias(field.kind), mask=missing)
        if field.per == "action":
            column = pa.ListArray.from_arrays(ply_offsets[field.table], column)
        columns.append(pa.ListArray.from_arrays(match_offsets, column))
    table = pa.table(columns, schema=SCHEMA)
    if traceparent:
        table = table.replace_schema_metadata({**SCHEMA.metadata, _TRACE_KEY: traceparent})
    return _encoded(table)


def _ply_offsets(matches: Sequence[MatchRecord], table: str) -> pa.Array:
    """Returns where the actions of each ply of all matches begin in a table, and where they end."""
    ends = [getattr(match, f"{table}_offsets") for match in matches]
    lengths = [end[1:] - end[:-1] for end in ends]
    return _offsets(np.concatenate(lengths) if lengths else [])


def _offsets(lengths: npt.ArrayLike) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]), pa.int32())


def decode_matches(data: bytes, *, source: str) -> list[MatchRecord]:
    """Returns the matches in the bytes of a Parquet file of any version of the format.

    A field that is newer than the file takes its default. A column that is unknown here, because
    a later version wrote the file, is left out; a warning says so, once per process and column.

    Raises:
        RecordError: the bytes are not a complete file of matches; names `source`.
    """
    try:
        return _matches(_read(data, source))
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RecordError(
            f"{source} is damaged: {reason}",
            hint="move the file out of the run to go on without its matches",
        ) from error


def replace_match_ids(data: bytes, ids: Callable[[int], str], *, source: str) -> bytes:
    """Returns a file of matches with other ids, and everything else as it was.

    That includes columns and metadata of later versions, which a `MatchRecord` does not hold.

    Args:
        data: the bytes of the file.
        ids: returns the new id of a match from its place in the file, 0 for the first.
        source: what to call the file in messages.

    Raises:
        RecordError: the bytes are not a complete file of matches; names `source`.
    """
    decode_matches(data, source=source)
    with pq.ParquetFile(pa.BufferReader(data), pre_buffer=False) as file:
        table = file.read(use_threads=False)
    index = table.schema.get_field_index("match_id")
    column = pa.array(map(ids, range(len(table))), table.schema.field(index).type)
    return _encoded(table.set_column(index, table.schema.field(index), column))


def _encoded(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    # Without checksums four of ten flipped bits would pass as other numbers. Dictionaries of values
    # would make the files of most games larger: zstd finds what is repeated.
    pq.write_table(table, sink, compression="zstd", use_dictionary=False, write_page_checksum=True)
    return sink.getvalue()


def _read(data: bytes, source: str) -> pa.Table:
    """Returns the known columns of a Parquet file, read by this thread alone.

    Arrow's own threads would hold `data`, a Python object, and may let go of it only when the
    interpreter has ended already: the process aborts then. The files are small.
    """
    stream = pa.BufferReader(data)
    with pq.ParquetFile(stream, pre_buffer=False, page_checksum_verification=True) as file:
        schema = file.schema_arrow
        unknown = _check_columns(schema, source)
        for name in unknown:
            _say_left_out(name)
        names = [name for name in schema.names if name in SCHEMA.names] if unknown else None
        return file.read(columns=names, use_threads=False)


def _check_columns(schema: pa.Schema, source: str) -> list[str]:
    """Returns the columns that are unknown here.

    Raises:
        RecordError: these are not the columns of the version that the file says it has.
    """
    # Other writers may not say a version; the first one had no need for it.
    named = (schema.metadata or {}).get(_VERSION_KEY, b"1").decode(errors="replace")
    if not named.isdecimal() or int(named) < 1:
        raise RecordError(
            f"{source} has version {named!r} of the format of matches, but must have a number",
            hint="it was not written by selfplay",
        )
    version = int(named)
    problem = ""
    for field in FIELDS:
        wanted = column_type(field)
        if field.name not in schema.names:
            # A later version may have given up what has a default.
            if field.since > version or (version > VERSION and field.default is not REQUIRED):
                continue
            problem = f"{field.name} is missing"
        elif (found := schema.field(field.name).type) != wanted:
            problem = f"{field.name} is {found}, but must be {wanted}"
        if problem:
            raise RecordError(
                f"{source} does not have the columns of a file of matches: {problem}",
                hint=f"it says that it has version {version} of the format; docs/records.md lists "
                "the columns of each version"
                if version <= VERSION
                else f"it has version {version} of the format, which this selfplay cannot read: "
                "install the newest one",
            )
    return [name for name in schema.names if name not in SCHEMA.names]


@functools.cache
def _say_left_out(name: str) -> None:
    """Warns of an unknown column, once per process."""
    _log.warning("files of matches have a column that is unknown here and left out: %s", name)


def written_by(data: bytes) -> str:
    """Returns the version of selfplay that wrote a file of matches, or "unknown"."""
    return _metadata(data).get(b"selfplay", b"unknown").decode(errors="replace")


def traceparent_of(data: bytes) -> str:
    """Returns the span of a trace that stored a file of matches; "" if it names none."""
    return _metadata(data).get(_TRACE_KEY, b"").decode(errors="replace")


def _metadata(data: bytes) -> dict[bytes, bytes]:
    try:
        return pq.read_schema(pa.BufferReader(data)).metadata or {}
    except (pa.ArrowException, OSError):
        return {}


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


def _matches(table: pa.Table) -> list[MatchRecord]:
    """Returns the rows of a table; arrays are slices of its columns.

    Raises:
        ValueError: a value is missing, or the lists of a match differ in length.
    """
    for field in FIELDS:
        if field.per == "match" and field.name in table.column_names:
            _check_complete(table.column(field.name), field)
    plies = table.column("plies")
    ends = plies.to_numpy().cumsum()
    begins = ends - plies.to_numpy()
    tables: dict[str, tuple[str, pa.ChunkedArray, npt.NDArray[np.int32]]] = {}
    columns: dict[str, Sequence[Any]] = {}
    for field in FIELDS:
        if field.name not in table.column_names or field.name == "plies":
            continue
        column = table.column(field.name)
        if field.per == "match":
            values = column.to_pylist()
            columns[field.name] = [tuple(value) for value in values] if field.size else values
            continue
        _check_complete(column, field)
        if not pc.list_value_length(column).equals(plies):
            raise ValueError(f"{field.name} is not as long as its match")
        column = pc.list_flatten(column)
        if field.per == "ply":
            columns[field.name] = _sliced(_numbers(column, field), begins, ends)
            continue
        _check_complete(column, field)
        lengths = pc.list_value_length(column)
        if field.table not in tables:
            offsets = np.concatenate([[0], lengths.to_numpy().cumsum()]).astype(np.int32)
            tables[field.table] = field.name, lengths, offsets
            columns[f"{field.table}_offsets"] = [
                offsets[begin : end + 1] - offsets[begin]
                for begin, end in zip(begins, ends, strict=True)
            ]
        first, expected, offsets = tables[field.table]
        if not expected.equals(lengths):
            raise ValueError(f"{first} and {field.name} differ in length")
        numbers = _numbers(pc.list_flatten(column), field)
        columns[field.name] = _sliced(numbers, offsets[begins], offsets[ends])
    rows = zip(*columns.values(), strict=True)
    return [MatchRecord(**dict(zip(columns, row, strict=True))) for row in rows]


def _sliced(numbers: npt.NDArray[Any], begins: Any, ends: Any) -> list[npt.NDArray[Any]]:
    return [numbers[begin:end] for begin, end in zip(begins, ends, strict=True)]


def _numbers(column: pa.ChunkedArray, field: Field) -> npt.NDArray[Any]:
    if field.null is not None:
        column = pc.fill_null(column, field.null)
    _check_complete(column, field)
    return column.to_numpy()


def _check_complete(column: pa.ChunkedArray, field: Field) -> None:
    if column.null_count or (field.size and pc.list_flatten(column).null_count):
        raise ValueError(f"a value of {field.name} is missing")
