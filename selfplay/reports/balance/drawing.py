"""Pictures of a balance report as inline SVG: no script, no file beside the page."""

import html
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

_WIDTH, _HEIGHT = 560, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 34
_ROW = 24
_NAMES = 210

Write = Callable[[float], str]


class Point(NamedTuple):
    """A measured value with its 95 % interval, None where that is unknown."""

    x: float
    mean: float
    low: float | None
    high: float | None


def percent(value: float) -> str:
    """Returns a share for an axis."""
    return f"{100 * value:.3g} %"


def plain(value: float) -> str:
    """Returns a number for an axis."""
    return f"{value:,.4g}"


def line_chart(
    title: str,
    lines: Mapping[str, Sequence[Point]],
    *,
    write: Write = plain,
    x_label: str = "checkpoint",
    middle: float | None = None,
) -> str:
    """Returns lines with dots and intervals over a common axis; "" if there is no point.

    Args:
        title: what is drawn, of the reader's screen too.
        lines: points in the order of x, by the name of the line.
        write: how values are written.
        x_label: what x is.
        middle: a value at which a line goes across.
    """
    points = [point for line in lines.values() for point in line]
    if not points:
        return ""
    values = [v for point in points for v in point[1:] if v is not None]
    values += [] if middle is None else [middle]
    low, high = _padded(min(values), max(values))
    first, last = min(point.x for point in points), max(point.x for point in points)

    def across(value: float) -> float:
        share = (value - first) / (last - first) if last > first else 0.5
        return _LEFT + 10 + (_WIDTH - _LEFT - _RIGHT - 20) * share

    def up(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - (value - low) / (high - low))

    shapes = [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{up(tick):.1f}" '
        f'y2="{up(tick):.1f}"/>' + _text(_LEFT - 6, up(tick) + 4, write(tick), "end")
        for tick in ticks(low, high)
    ]
    if middle is not None:
        shapes.append(
            f'<line class="middle" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{up(middle):.1f}" '
            f'y2="{up(middle):.1f}"/>'
        )
    for tick in ticks(first, last, 4) if last > first else [first]:
        shapes.append(_text(across(tick), _HEIGHT - _BOTTOM + 16, plain(tick), "middle"))
    shapes.append(_text(_WIDTH - _RIGHT, _HEIGHT - 3, x_label, "end"))
    for place, line in enumerate(lines.values()):
        path = " ".join(f"{across(p.x):.1f},{up(p.mean):.1f}" for p in line)
        shapes.append(f'<polyline class="line c{place % 4}" points="{path}"/>')
        for point in line:
            at, where = across(point.x), up(point.mean)
            if point.low is not None and point.high is not None:
                shapes.append(
                    f'<line class="bar c{place % 4}" x1="{at:.1f}" x2="{at:.1f}" '
                    f'y1="{up(point.low):.1f}" y2="{up(point.high):.1f}"/>'
                )
            shapes.append(
                f'<circle class="dot c{place % 4}" cx="{at:.1f}" cy="{where:.1f}" r="4"/>'
            )
    said = ", ".join(f"{name} last {write(line[-1].mean)}" for name, line in lines.items() if line)
    return figure(title, said, _HEIGHT, shapes, legend=list(lines) if len(lines) > 1 else ())


def interval_chart(
    title: str,
    rows: Sequence[tuple[str, Point]],
    *,
    write: Write = percent,
    middle: float | None = None,
) -> str:
    """Returns a row for each name: a dot, and its interval as a line; "" without rows.

    Args:
        title: what is drawn.
        rows: names and values; x is not used.
        write: how values are written.
        middle: a value at which a line goes down.
    """
    if not rows:
        return ""
    values = [v for _, point in rows for v in point[1:] if v is not None]
    values += [] if middle is None else [middle]
    low, high = _padded(min(values), max(values))
    height = _ROW * len(rows) + _BOTTOM + 4

    def across(value: float) -> float:
        return _NAMES + (_WIDTH - _NAMES - _RIGHT - 6) * (value - low) / (high - low)

    bottom = _ROW * len(rows) + 4
    shapes = [
        f'<line class="grid" x1="{across(tick):.1f}" x2="{across(tick):.1f}" y1="4" '
        f'y2="{bottom}"/>' + _text(across(tick), bottom + 16, write(tick), "middle")
        for tick in ticks(low, high, 4)
    ]
    if middle is not None:
        shapes.append(
            f'<line class="middle" x1="{across(middle):.1f}" x2="{across(middle):.1f}" y1="4" '
            f'y2="{bottom}"/>'
        )
    for number, (name, point) in enumerate(rows):
        y = _ROW * number + _ROW / 2 + 4
        shapes.append(_text(_NAMES - 10, y + 4, name, "end", "name"))
        if point.low is not None and point.high is not None:
            shapes.append(
                f'<line class="bar c0" x1="{across(point.low):.1f}" '
                f'x2="{across(point.high):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            )
        shapes.append(f'<circle class="dot c0" cx="{across(point.mean):.1f}" cy="{y:.1f}" r="4"/>')
    said = "; ".join(f"{name} {write(point.mean)}" for name, point in rows)
    return figure(title, said, height, shapes)


def bar_chart(title: str, bars: Sequence[tuple[str, int]], *, x_label: str) -> str:
    """Returns a histogram: the labels of the bars below it, as many as there is room for.

    Args:
        title: what is drawn.
        bars: label and count of each; counts are shown as shares of all.
        x_label: what the labels are.
    """
    total = sum(count for _, count in bars)
    if not total:
        return ""
    top = max(count for _, count in bars) / total
    room = (_WIDTH - _LEFT - _RIGHT) / len(bars)

    def up(share: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - share / top)

    shapes = [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{up(tick):.1f}" '
        f'y2="{up(tick):.1f}"/>' + _text(_LEFT - 6, up(tick) + 4, percent(tick), "end")
        for tick in ticks(0, top)
    ]
    step = math.ceil(len(bars) / 10)
    for number, (label, count) in enumerate(bars):
        left, height = _LEFT + number * room, up(0) - up(count / total)
        shapes.append(
            f'<rect class="fill c0" x="{left + 1:.1f}" y="{up(count / total):.1f}" '
            f'width="{max(1.0, room - 2):.1f}" height="{height:.1f}"/>'
        )
        if number % step == 0:
            middle = left + room / 2
            shapes.append(_text(middle, _HEIGHT - _BOTTOM + 16, label, "middle"))
    shapes.append(_text(_WIDTH - _RIGHT, _HEIGHT - 3, x_label, "end"))
    said = ", ".join(f"{label}: {percent(count / total)}" for label, count in bars)
    return figure(title, said, _HEIGHT, shapes)


def figure(
    title: str, said: str, height: float, shapes: Sequence[str], legend: Sequence[str] = ()
) -> str:
    """Returns a picture with its title; `said` is what a screen reader says of it."""
    keys = "".join(
        f'<li><span class="key c{place % 4}"></span>{html.escape(name)}</li>'
        for place, name in enumerate(legend)
    )
    return (
        f"<figure><figcaption>{html.escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img" '
        f'aria-label="{html.escape(f"{title}: {said}")}">'
        + "".join(shapes)
        + "</svg>"
        + (f'<ul class="legend">{keys}</ul>' if keys else "")
        + "</figure>"
    )


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Returns round numbers from low to high."""
    raw = (high - low) / count or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(one * power for one in (1, 2, 2.5, 5, 10) if one * power >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def _padded(low: float, high: float) -> tuple[float, float]:
    """Returns bounds with a little room around them, never the same."""
    room = 0.06 * (high - low) or 0.1 * abs(high) or 0.5
    return low - room, high + room


def _text(x: float, y: float, text: Any, anchor: str, kind: str = "tick") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{html.escape(str(text))}</text>"
    )
