"""Rounds of a ladder on disk."""

from pathlib import Path

import pytest

from selfplay.errors import RunError
from selfplay.run import (
    append_evaluation,
    append_ladder_matches,
    read_evaluations,
    read_ladder_matches,
    read_mistakes,
)

AGENTS = [{"agent": "@20:8", "update": 20, "simulations": 8}, {"agent": "random"}]
MATCHES = [{"score": 1.0, "actions": [1, 2]}, {"score": 0.5, "actions": [2, 1]}]


def test_rounds_lie_beside_the_evaluations(tmp_path: Path) -> None:
    assert read_ladder_matches(tmp_path) == []
    append_evaluation(tmp_path, {"update": 20, "opponent": "ladder", "score": 0.75})
    name = append_ladder_matches(tmp_path, {"agents": AGENTS, "seconds": 1.0}, MATCHES)
    # The same again took another time, but is the same.
    assert append_ladder_matches(tmp_path, {"agents": AGENTS, "seconds": 2.0}, MATCHES) == name
    append_ladder_matches(tmp_path, {"agents": AGENTS[::-1]}, MATCHES)
    first, second = read_ladder_matches(tmp_path)
    assert (first["agents"], first["matches"], first["seconds"]) == (AGENTS, MATCHES, 1.0)
    assert second["agents"] == AGENTS[::-1]
    assert name.startswith("ratings/00000020-ladder-")
    # None is taken for another.
    assert [row["opponent"] for row in read_evaluations(tmp_path)] == ["ladder"]
    assert read_mistakes(tmp_path) == []


def test_a_round_without_an_own_checkpoint_has_update_0(tmp_path: Path) -> None:
    other = {"agent": "runs/b@30:8", "run": "runs/b", "update": 30, "simulations": 8}
    name = append_ladder_matches(tmp_path, {"agents": [other, {"agent": "random"}]}, MATCHES)
    assert name.startswith("ratings/00000000-ladder-")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"agents": []}', '{"agents": [{}, {}]}'])
def test_damage_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / append_ladder_matches(tmp_path, {"agents": AGENTS}, MATCHES)
    file.write_text(text)
    with pytest.raises(RunError, match=f"{file} is damaged"):
        read_ladder_matches(tmp_path)
