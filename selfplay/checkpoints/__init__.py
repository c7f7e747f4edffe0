"""Checkpoints: written whole or not at all, checked when read.

In: trees of arrays by name (weights, train state, matches in progress) and metadata.
Out: the same, after every byte was compared with the checksums of the manifest.
"""

import lazy_loader

# A name is imported when it is first used: JAX and pyarrow take a second to import, and a health
# probe needs neither. `__init__.pyi` lists the names.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
