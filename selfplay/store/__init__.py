"""Stores: named blobs in a directory, a bucket or Redis, which hold everything of a run.

In: the path or URL of a run, and bytes under a name.
Out: the same bytes, the names of a folder, numbered series of blobs, notices of new blobs, locks.
`open.open_store` chooses the store; no other room knows which one it is.
"""

import lazy_loader

# A name is imported when it is first used: JAX and pyarrow take a second to import, and a health
# probe needs neither. `__init__.pyi` lists the names.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
