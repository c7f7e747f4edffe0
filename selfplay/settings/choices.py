"""What settings choose by name, and where each choice is implemented.

To add a search algorithm or an inference backend, write its object and enter it here; nothing else
lists the names. An entry is the object itself or "package.module:NAME". The names are imported
when they are used, so that settings can be read without JAX.
"""

import importlib
from collections.abc import Mapping

ALGORITHMS: dict[str, object] = {
    "gumbel": "selfplay.mcts.gumbel:GUMBEL",
    "puct": "selfplay.mcts.most_visited:PUCT",
    "uct": "selfplay.mcts.most_visited:UCT",
}
"""Values of `search.algorithm`: each is a `selfplay.mcts.algorithm.SearchAlgorithm`."""

BACKENDS: dict[str, object] = {
    "xla": "selfplay.inference.xla_backend:XLA",
    "onnx": "selfplay.inference.onnx_backend:FLOAT32",
    "onnx-int8": "selfplay.inference.onnx_backend:INT8",
}
"""Values of `search.inference`, beside "auto": each is a `selfplay.inference.backend.Backend`."""


def implementation(table: Mapping[str, object], name: str) -> object:
    """Returns what `table` has under `name`, imported if need be.

    Raises:
        KeyError: the table has no such name.
    """
    entry = table[name]
    if not isinstance(entry, str):
        return entry
    module, _, attribute = entry.partition(":")
    return getattr(importlib.import_module(module), attribute)
