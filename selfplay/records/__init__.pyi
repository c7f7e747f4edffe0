from .collect import MatchCollector as MatchCollector
from .collect import Provenance as Provenance
from .match import MatchRecord as MatchRecord
from .match import same_content as same_content
from .parquet import decode_matches as decode_matches
from .parquet import encode_matches as encode_matches
from .parquet import read_matches as read_matches
from .parquet import written_by as written_by
