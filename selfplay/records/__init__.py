"""Match records: finished matches as moves, in Parquet.

In: plies as self-play returns them. Out: `MatchRecord`s, and files of them that any tool reads.
"""

from selfplay.records.collect import MatchCollector as MatchCollector
from selfplay.records.collect import Provenance as Provenance
from selfplay.records.match import MatchRecord as MatchRecord
from selfplay.records.match import same_content as same_content
from selfplay.records.parquet import decode_matches as decode_matches
from selfplay.records.parquet import encode_matches as encode_matches
from selfplay.records.parquet import read_matches as read_matches
from selfplay.records.parquet import written_by as written_by
