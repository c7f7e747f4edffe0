"""Match records: finished matches as moves, in Parquet.

In: plies as self-play returns them. Out: `MatchRecord`s, and files of them that any tool reads.
"""

import lazy_loader

# A name is imported when it is first used: self-play needs the table of fields, but not pyarrow.
# `__init__.pyi` lists the names.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
