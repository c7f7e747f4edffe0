"""What a search tree says, for people: expected lines of play, and the tree to some depth."""

import html
from collections.abc import Iterator
from typing import Any

import numpy as np

from selfplay.arena.live import LiveMatch
from selfplay.mcts import SearchTree

LINE_LENGTH = 8
"""Moves of an expected line, where nothing else is asked for."""

MOST_NODES = 400
"""Nodes of a tree that are shown; the least visited ones are left out."""

_ROW = 22
_GAP = 50
_LETTER = 6.5
"""Pixels: height of a row, room for the lines between two plies, width of a letter."""


def expected_lines(
    match: LiveMatch, tree: SearchTree, *, length: int = LINE_LENGTH
) -> dict[int, list[dict[str, Any]]]:
    """Returns the line of play that a search expects after each move that it tried.

    Args:
        match: where it stood.
        tree: what it grew, without a batch axis.
        length: the most moves of a line.

    Returns:
        By action: `[{"action", "name"}, ...]`, which begins with the action itself. After a move
        that chance follows "outcome" and "outcome_name" say what the line goes on with: the
        outcome that was searched most.
    """
    children = _children(tree)
    lines: dict[int, list[dict[str, Any]]] = {}
    # The most visited first: of several outcomes of one move that one counts.
    for first in children.get(0, []):
        action = int(tree.actions[first])
        if action in lines:
            continue
        at = match.fork()
        line: list[dict[str, Any]] = []
        node: int | None = first
        while node is not None and len(line) < length and not at.over:
            action_here, outcome = int(tree.actions[node]), int(tree.outcomes[node])
            line.append({"action": action_here, "name": at.name(action_here)})
            at.play_known(action_here, outcome)
            if outcome >= 0:
                line[-1] |= {
                    "outcome": outcome,
                    "outcome_name": at.outcome_name(len(at.outcomes) - 1),
                }
            node = next(iter(children.get(node, [])), None)
        lines[action] = line
    return lines


def read_tree(
    match: LiveMatch, tree: SearchTree, *, depth: int, most_nodes: int = MOST_NODES
) -> dict[str, Any]:
    """Returns the tree of a search as a JSON document, with the names of its moves.

    A node has `action` and `name`, the move that led to it, with what chance did after it (None at
    the root), `visits`, `value` in [-1, 1] for the player to move at the root and `prior`, the
    probability of the move before the search (None at the root), and `children`, the most visited
    first.

    Args:
        match: where the search stood.
        tree: what it grew, without a batch axis.
        depth: plies below the root that are kept, at least 0.
        most_nodes: the least visited nodes are left out until no more than these remain.
    """
    children = _children(tree)
    kept = _most_visited(tree, children, depth, most_nodes)
    root_player = match.player

    def below(node: int, at: LiveMatch, level: int) -> list[dict[str, Any]]:
        if level == depth or at.over:
            return []
        sign = 1.0 if at.player == root_player else -1.0
        found = []
        for child in children.get(node, []):
            if child not in kept:
                continue
            action, outcome = int(tree.actions[child]), int(tree.outcomes[child])
            after = at.fork()
            after.play_known(action, outcome)
            rolled = after.outcome_name(len(after.outcomes) - 1)
            found.append(
                {
                    "action": action,
                    "name": at.name(action) + ("" if rolled is None else f" ({rolled})"),
                    "visits": int(tree.visits[child]),
                    "value": sign * float(tree.values[child]),
                    "prior": float(tree.priors[child]),
                    "children": below(child, after, level + 1),
                }
            )
        return found

    root: dict[str, Any] = dict.fromkeys(("action", "name", "visits", "value", "prior"))
    return {**root, "visits": int(tree.visits[0]), "children": below(0, match, 0)}


def tree_text(root: dict[str, Any]) -> str:
    """Returns a tree of `read_tree` as lines of text, each ply indented below the one before."""
    lines = [f"{root['visits']} visits; values are for the player to move at the root"]
    for node, level in _walk(root):
        if level > 0:
            lines.append(
                f"{'  ' * level}{node['name']}  {node['visits']} visits  "
                f"value {node['value']:+.2f}  prior {100 * node['prior']:.1f} %"
            )
    return "\n".join(lines)


def tree_svg(root: dict[str, Any]) -> str:
    """Returns a tree as an SVG picture: a column for each ply, a row for each end of a line."""
    shapes: list[str] = []
    rows = 0
    lengths: dict[int, int] = {}
    for node, level in _walk(root):
        lengths[level] = max(lengths.get(level, 0), len(_label(node)))
    # Lines part behind the longest label of a ply, so that none crosses a label.
    columns: list[tuple[float, float]] = []
    right = 12.0
    for level in sorted(lengths):
        columns.append((right, right + 12 + _LETTER * lengths[level]))
        right = columns[-1][1] + _GAP

    def place(node: dict[str, Any], level: int) -> float:
        """Draws a node and all behind it; returns its height."""
        nonlocal rows
        heights = [place(child, level + 1) for child in node["children"]]
        if heights:
            height = (heights[0] + heights[-1]) / 2
        else:
            height = (rows + 1) * _ROW
            rows += 1
        left, end_of_labels = columns[level]
        bend = end_of_labels + _GAP / 2
        for child, end in zip(node["children"], heights, strict=True):
            width = 1 + 5 * child["visits"] / max(1, root["visits"])
            shapes.append(
                f'<path d="M{left + 4:g} {height:g}H{end_of_labels:g}C{bend:g} {height:g} '
                f'{bend:g} {end:g} {end_of_labels + _GAP - 6:g} {end:g}" fill="none" '
                'stroke="#8a8f98" '
                f'stroke-width="{width:.1f}"/>'
            )
        # Blue is good for the player to move at the root, orange for the other one.
        colour = "#8a8f98" if not node["value"] else "#2b6cb0" if node["value"] > 0 else "#c05621"
        shapes.append(f'<circle cx="{left:g}" cy="{height:g}" r="5" fill="{colour}"/>')
        shapes.append(
            f'<text x="{left + 8:g}" y="{height - 5:g}" font-size="11">'
            f"{html.escape(_label(node))}</text>"
        )
        return height

    place(root, 0)
    width, height = right, (rows + 1) * _ROW
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" '
        f'width="{width:g}" '
        f'height="{height}" font-family="sans-serif" role="img">'
        "<title>Search tree: a dot for each position, wider lines for more visits</title>"
        + "".join(shapes)
        + "</svg>\n"
    )


def _label(node: dict[str, Any]) -> str:
    if node["name"] is None:
        return f"{node['visits']} visits"
    return f"{node['name']}  {node['visits']}  {node['value']:+.2f}"


def _walk(node: dict[str, Any], level: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    yield node, level
    for child in node["children"]:
        yield from _walk(child, level + 1)


def _children(tree: SearchTree) -> dict[int, list[int]]:
    """Returns the nodes below each node, the most visited first."""
    found: dict[int, list[int]] = {}
    order = np.argsort(-np.asarray(tree.visits), kind="stable")
    for node in order.tolist():
        parent = int(tree.parents[node])
        if parent >= 0 and tree.visits[node] > 0:
            found.setdefault(parent, []).append(node)
    return found


def _most_visited(
    tree: SearchTree, children: dict[int, list[int]], depth: int, most: int
) -> set[int]:
    """Returns the nodes to show; with a node all nodes above it."""
    level, reached = [0], [0]
    for _ in range(depth):
        level = [child for node in level for child in children.get(node, [])]
        reached += level
    # A node above is visited at least as often and has a lower number, so it comes first.
    ranked = sorted(reached, key=lambda node: (-int(tree.visits[node]), node))
    return set(ranked[:most])
