"""The version of this selfplay."""

import importlib.metadata


def software_version() -> str:
    """Returns the version of the installed package, "unknown" in a checkout not installed."""
    try:
        return importlib.metadata.version("selfplay-jax")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
