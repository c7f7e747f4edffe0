"""Writes the positions that the browser tests draw, as the rules tell them.

Run it when the documents of positions change: python tests/browser/write_documents.py
"""

import json
from pathlib import Path

from selfplay.play import describe_position, play_text
from selfplay.registry import make

HERE = Path(__file__).parent / "documents"
POSITIONS: dict[str, tuple[dict[str, object], str]] = {
    "backgammon": ({}, ""),
    "breakthrough": ({}, "a2b3 d7c6"),
    "clobber": ({}, ""),
    "connect_four": ({}, "4 4 3 5"),
    "dots_and_boxes": ({"rows": 2, "columns": 2}, "b1 a2 c2 b3"),
    "einstein_wuerfelt_nicht": ({}, ""),
    "flagz": ({"rows": 5, "columns": 5}, ""),
    "generals": ({"height": 6, "width": 6}, "wait wait"),
    "go": ({"size": 5}, "C3 D3 pass"),
    "gomoku": ({"size": 9}, "e5 e6"),
    "hex": ({"size": 5}, "c3"),
    "kalah": ({}, "c"),
    "nine_mens_morris": ({}, "a7 d7"),
    "othello": ({"size": 4}, ""),
    "tic_tac_toe": ({}, "b2 a3 a2 b3 c2"),
}


def document(name: str) -> dict[str, object]:
    """Returns the position of a game as a page is told it."""
    options, moves = POSITIONS[name]
    return describe_position(play_text(make(name, **options), moves, seed=3))


def main() -> None:
    """Writes one file a game."""
    for name in POSITIONS:
        text = json.dumps(document(name), separators=(",", ":"))
        (HERE / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
