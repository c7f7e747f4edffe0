"""Empty figures, without a display."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from selfplay.errors import MissingExtraError


class NewFigure(NamedTuple):
    """A figure to draw into and to save.

    Attributes:
        figure: of matplotlib.
        axes: its parts, from above.
    """

    figure: Any
    axes: tuple[Any, ...]


def new_figure(what: str, *, heights: Sequence[float]) -> NewFigure:
    """Returns an empty figure of parts that share their x axis.

    Args:
        what: what is drawn, for the error.
        heights: of the parts, from above.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(
            f"{what} needs matplotlib", hint="pip install 'selfplay-jax[dev]'"
        ) from None
    # Not pyplot, which keeps global state and looks for a display.
    figure = Figure(figsize=(8, 1.2 * sum(heights)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    return NewFigure(figure, tuple(axes[:, 0]))
