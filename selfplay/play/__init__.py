"""Play: a person and an agent at one board.

In: moves as text, and an agent. Out: positions, the agent's moves, and analyses of positions.
"""

from selfplay.play.analyze import analyze, read_positions
from selfplay.play.live import LiveMatch, play_text
from selfplay.play.position import describe_position, view_document
from selfplay.play.terminal import Session, parse_people, play_in_terminal

__all__ = [
    "LiveMatch",
    "Session",
    "analyze",
    "describe_position",
    "parse_people",
    "play_in_terminal",
    "play_text",
    "read_positions",
    "view_document",
]
