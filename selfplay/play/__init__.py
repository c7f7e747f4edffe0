"""Play: a person and an agent at one board.

In: moves as text, and an agent. Out: positions, the agent's moves, and analyses of positions.
"""

from selfplay.arena.live import LiveMatch, play_text
from selfplay.play.analyze import analyze, describe_analysis, read_positions
from selfplay.play.ink import takes_colour
from selfplay.play.match_file import load_match, match_document, save_match
from selfplay.play.position import describe_position, view_document
from selfplay.play.search_tree import expected_lines, read_tree, tree_svg, tree_text
from selfplay.play.terminal import TerminalMatch, parse_people, play_in_terminal

__all__ = [
    "LiveMatch",
    "TerminalMatch",
    "analyze",
    "describe_analysis",
    "describe_position",
    "expected_lines",
    "load_match",
    "match_document",
    "parse_people",
    "play_in_terminal",
    "play_text",
    "read_positions",
    "read_tree",
    "save_match",
    "takes_colour",
    "tree_svg",
    "tree_text",
    "view_document",
]
