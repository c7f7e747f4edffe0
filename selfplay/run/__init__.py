"""Runs: the layout of a run directory, and everything in it but checkpoints.

In: a game, settings, finished matches, results of evaluations, heartbeats.
Out: the same, read back by any process. `RunDirectory` opens or makes a run.
"""

import lazy_loader

# A name is imported when it is first used: JAX and pyarrow take a second to import, and a health
# probe needs neither. `__init__.pyi` lists the names.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
