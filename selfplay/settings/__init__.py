"""Settings of a run: sections, sources, values and presets.

In: a preset, a TOML file, environment variables, `--set`, and what a run has stored.
Out: a checked, frozen `Config` with one dataclass for each section.
"""

import lazy_loader

# A name is imported when it is first used: JAX and pyarrow take a second to import, and a health
# probe needs neither. `__init__.pyi` lists the names.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
