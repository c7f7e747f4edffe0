"""The table of fields: a field that is added to it is known everywhere."""

import subprocess
import sys
from pathlib import Path

import pytest

from selfplay.records import fields, read_matches
from selfplay.records.match import FIELDS, VERSION
from tests.records.examples import make_record

# Puts three lines into the source of the table, and uses all that is made from it.
MADE_UP = '''
import sys
import types
from pathlib import Path

import numpy as np

import selfplay.records

path = Path(selfplay.records.__file__).with_name("match.py")
place = "    policy_offsets: npt.NDArray[np.int32]"
source = path.read_text()
assert source.count(place) == 1
new = """
    moods: npt.NDArray[np.float32] = ply_field("float32", "how it felt", since=9, default=0.5)
    visits: npt.NDArray[np.int32] = action_field("int32", "how often", since=9, default=0,
        played="visits")
    weather: str = match_field("string", "of that day", since=9, default="fair",
        choices=("fair", "rain"), played="weather")
"""
module = types.ModuleType("selfplay.records.match")
module.__file__ = str(path)
sys.modules["selfplay.records.match"] = module
exec(compile(source.replace(place, new + place), path, "exec"), module.__dict__)

from selfplay.records import MatchCollector, Provenance, decode_matches, encode_matches
from selfplay.records import same_content
from selfplay.records.reference import columns_table
from selfplay.records.parquet import SCHEMA
from selfplay.rollout import Plies

def played(**more):
    over = np.zeros((3, 1), bool)
    over[-1] = True
    return Plies(
        over=over, start_keys=np.zeros((3, 1, 2), np.uint32), players=np.zeros((3, 1), int),
        actions=np.zeros((3, 1), int), policy=np.array([[[0.5, 0, 0.5]]] * 3, np.float32),
        root_values=np.zeros((3, 1)), raw_values=np.zeros((3, 1)),
        truncated=np.zeros((3, 1), bool), returns=np.zeros((3, 1, 2)), **more)

origin = Provenance(game="g", version=1, fingerprint="f", worker="w", settings_hash="s",
    simulations=1)
moods = np.array([[0.25], [0.75], [-1]], np.float32)
visits = np.arange(9).reshape(3, 1, 3)
weather = np.ones((3, 1), np.int8)
told = played(moods=moods, visits=visits, weather=weather)
silent = played()
records = MatchCollector(origin, 1).add(told, checkpoint=0, sequence=0)
records += MatchCollector(origin, 1).add(silent, checkpoint=0, sequence=1)
read = decode_matches(encode_matches(records), source="memory")
assert same_content(read, records)
assert read[0].moods.tolist() == [0.25, 0.75, -1] and read[0].weather == "rain"
assert read[0].visits.tolist() == [0, 2, 3, 5, 6, 8]
assert read[1].moods.tolist() == [0.5, 0.5, 0.5] and read[1].weather == "fair"
assert read[1].visits.tolist() == [0] * 6
assert read[0].values("ply", 2)["moods"] == -1 and read[0].values("match")["weather"] == "rain"
assert SCHEMA.metadata[b"selfplay_records"] == b"9"
for name in ("moods", "visits", "weather"):
    assert name in SCHEMA.names and f"`{name}`" in columns_table()
Path(sys.argv[1]).write_bytes(encode_matches(records))
'''


def test_a_field_that_is_added_to_the_table_travels_to_the_file_and_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "newer.parquet"
    done = subprocess.run(
        [sys.executable, "-c", MADE_UP, str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # The table without that field reads the file as one of a later version, and says so once.
    for _ in range(2):
        read = read_matches(file)
    assert len(read) == 2 and read[0].plies == 3
    assert not hasattr(read[0], "moods")
    left_out = [line for line in caplog.messages if "unknown here and left out" in line]
    assert sorted(line.split()[-1] for line in left_out) == ["moods", "visits", "weather"]


def test_fields_that_are_left_out_take_their_defaults() -> None:
    made = make_record(0, players=[0, 1], actions=[1, 2], policies=[([1], [1.0])] * 2)
    assert made.ending == "played_out"
    assert made.fast.tolist() == [False, False]
    assert made.reanalysis_checkpoints.tolist() == [-1, -1]
    assert (
        make_record(0, players=[0], actions=[1], policies=[([1], [1.0])], truncated=True).ending
        == "length"
    )


def test_every_field_is_declared_completely() -> None:
    names = [field.name for field in FIELDS]
    assert len(set(names)) == len(names)
    for field in FIELDS:
        assert field.meaning and field.shown
        assert 1 <= field.since <= VERSION
        # A file of an older version must be readable.
        assert field.since == 1 or field.default is not fields.REQUIRED
