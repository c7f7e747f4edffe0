"""The table of columns in docs/records.md, made from the table of fields."""

from selfplay.records.match import FIELDS
from selfplay.records.parquet import column_type


def columns_table() -> str:
    """Returns the table of all columns: name, type, version, allowed values and meaning."""
    lines = ["| column | type | since | values | meaning |", "| --- | --- | --- | --- | --- |"]
    for field in FIELDS:
        kind = str(column_type(field)).replace("item: ", "").replace("element: ", "")
        values = " or ".join(filter(None, [field.range, "null" * (field.null is not None)]))
        lines.append(f"| `{field.name}` | {kind} | {field.since} | {values} | {field.meaning} |")
    return "\n".join(lines) + "\n"
