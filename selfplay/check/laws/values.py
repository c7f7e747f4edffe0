"""Comparing and showing what methods return, on the host."""

from typing import Any

import jax
import numpy as np

TOLERANCE = 1e-4


def equal(found: Any, wanted: Any) -> bool:
    """Returns whether two trees of arrays are the same, floats to within rounding."""
    structure: Any = jax.tree.structure(found)
    if structure != jax.tree.structure(wanted):
        return False
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        left, right = np.asarray(one), np.asarray(other)
        if left.shape != right.shape:
            return False
        if not np.allclose(
            left.astype(np.float64), right.astype(np.float64), atol=TOLERANCE, equal_nan=True
        ):
            return False
    return True


def shortened(value: Any) -> str:
    """Returns a tree of arrays as text of at most 80 characters."""
    text = " ".join(str(jax.tree.map(lambda leaf: np.asarray(leaf).tolist(), value)).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def numbers_text(values: Any) -> str:
    """Returns an array of numbers as text."""
    return "[" + ", ".join(f"{float(value):g}" for value in np.asarray(values)) + "]"
