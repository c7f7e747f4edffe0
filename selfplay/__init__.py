"""selfplay: bring the rules of a two-player game, get an agent that plays it.

The names in `__all__` are the public ones; everything else may change without notice. See
docs/library.md for a script that uses most of them.
"""

import warnings
from typing import Any

import lazy_loader

# JAX takes a second to import: a name is imported when it is first used, so that the command
# line can answer `--help` at once. `__init__.pyi` lists the names.
_lazy, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

_RENAMED = {"Parts": "Components", "make_parts": "make_components"}
"""Public names of 0.1.0 and what they are called now."""


def __getattr__(name: str) -> Any:
    """Returns a public name, importing what it takes."""
    if name == "__version__":
        from selfplay.version import software_version

        return software_version()
    if name in _RENAMED:
        new = _RENAMED[name]
        warnings.warn(
            f"selfplay.{name} is called selfplay.{new} now", DeprecationWarning, stacklevel=2
        )
        return _lazy(new)
    return _lazy(name)
