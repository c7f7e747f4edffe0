"""Settings of a new run that fit the machine which trains it."""

from collections.abc import Sequence

from selfplay.settings.sources import Overlay, Source

ON_ACCELERATOR: Overlay = {"learner": {"batch_size": 1024, "learning_rate": 4e-3}}
"""An accelerator takes twice as long for an update with 1024 positions as with 128.

The learning rate grows with the square root of a batch, and a little less here. See "On a GPU" in
docs/benchmarks.md.
"""


def fitted(platform: str, sources: Sequence[Source]) -> list[Source]:
    """Returns `sources` after those settings of a new run that suit the devices it trains on.

    They belong together: if a person, a file or a preset sets one of them, the defaults hold for
    the others.

    Args:
        platform: of the devices, as JAX names it: "cpu", "gpu" or "tpu".
        sources: what else sets something, see `read_sources`; they win.

    >>> [source.name for source in fitted("gpu", [Source("command line", {})])]
    ['fitted to the gpu', 'command line']
    >>> [source.name for source in fitted("cpu", [Source("command line", {})])]
    ['command line']
    """
    asked = {
        (section, key)
        for source in sources
        for section, values in source.settings.items()
        for key in values
    }
    fitting = {(section, key) for section, values in ON_ACCELERATOR.items() for key in values}
    if platform == "cpu" or asked & fitting:
        return list(sources)
    return [Source(f"fitted to the {platform}", ON_ACCELERATOR), *sources]
