"""Evaluation results on disk."""

from pathlib import Path

import pytest

from selfplay.errors import RunError
from selfplay.run import (
    append_evaluation,
    append_mistakes,
    newest_results,
    read_evaluation_matches,
    read_evaluations,
    read_mistake_moves,
    read_mistakes,
)


def test_append_and_read(tmp_path: Path) -> None:
    matches = [{"opening": [3], "result": 1.0}, {"opening": [4], "result": 0.5}]
    append_evaluation(tmp_path, {"update": 20, "opponent": "mcts:100", "score": 0.75}, matches)
    append_evaluation(tmp_path, {"update": 3, "opponent": "random", "score": 1.0})
    first, second = read_evaluations(tmp_path)
    assert (first["update"], first["opponent"]) == (3, "random")
    assert (second["update"], second["opponent"], second["score"]) == (20, "mcts:100", 0.75)
    assert second["time"] > 0
    assert read_evaluation_matches(tmp_path) == [
        {"update": 20, "opponent": "mcts:100", "opening": [3], "result": 1.0},
        {"update": 20, "opponent": "mcts:100", "opening": [4], "result": 0.5},
    ]


def test_of_earlier_checkpoints_the_one_played_last_is_the_newest_result(tmp_path: Path) -> None:
    for update, opponent in ((8, "@0"), (8, "random"), (16, "@8"), (24, "random"), (24, "mcts:9")):
        append_evaluation(tmp_path, {"update": update, "opponent": opponent, "score": 0.5})
    newest = newest_results(read_evaluations(tmp_path))
    assert [(row["update"], row["opponent"]) for row in newest] == [
        (16, "@8"), (24, "random"), (24, "mcts:9")
    ]  # fmt: skip
    assert newest_results([]) == []


def test_a_repetition_adds_nothing(tmp_path: Path) -> None:
    result = {"update": 20, "opponent": "random", "score": 0.75}
    one = append_evaluation(tmp_path, {**result, "elapsed_seconds": 10.0})
    two = append_evaluation(tmp_path, {**result, "elapsed_seconds": 11.0})
    append_evaluation(tmp_path, {**result, "score": 0.5})
    assert one == two
    assert [summary["score"] for summary in read_evaluations(tmp_path)] == [0.75, 0.5]


def test_opponents_that_are_no_file_names(tmp_path: Path) -> None:
    name = append_evaluation(tmp_path, {"update": 1, "opponent": "../runs/a@3:16"})
    assert (tmp_path / name).parent == tmp_path / "ratings"
    assert read_evaluations(tmp_path)[0]["opponent"] == "../runs/a@3:16"


@pytest.mark.parametrize("text", ["", "{", '{"update": 1}\n', "[]\n"])
def test_damage_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / append_evaluation(tmp_path, {"update": 1, "opponent": "random"})
    file.write_text(text)
    with pytest.raises(RunError, match=f"{file} is damaged"):
        read_evaluations(tmp_path)
    append_evaluation(tmp_path, {"update": 2, "opponent": "random"})
    told: list[RunError] = []
    assert [one["update"] for one in read_evaluations(tmp_path, told.append)] == [2]
    assert len(told) == 1 and str(file) in str(told[0]) and "remove the file" in told[0].hint


def test_none(tmp_path: Path) -> None:
    assert read_evaluations(tmp_path) == []


def test_mistakes_lie_beside_the_evaluations(tmp_path: Path) -> None:
    assert read_mistakes(tmp_path) == [] == read_mistake_moves(tmp_path)
    append_evaluation(tmp_path, {"update": 20, "opponent": "mistakes", "score": 0.75})
    record = {"update": 20, "share": 0.1, "positions": 60, "phases": [], "by_ply": []}
    made = [{"ply": 1, "actions": [4], "action": 1, "best": [0, 2]}]
    name = append_mistakes(tmp_path, {**record, "elapsed_seconds": 10.0}, made)
    # A repetition takes another time, but is the same.
    assert append_mistakes(tmp_path, {**record, "elapsed_seconds": 11.0}, made) == name
    append_mistakes(tmp_path, {**record, "update": 3})
    assert (tmp_path / name).parent == tmp_path / "ratings"
    first, second = read_mistakes(tmp_path)
    assert (first["update"], second["update"], second["share"]) == (3, 20, 0.1)
    assert "made" not in second and second["elapsed_seconds"] == 10.0
    assert read_mistake_moves(tmp_path) == [{"update": 20, **made[0]}]
    # Neither is taken for the other.
    assert [row["opponent"] for row in read_evaluations(tmp_path)] == ["mistakes"]


def test_damaged_mistakes_are_named(tmp_path: Path) -> None:
    file = tmp_path / append_mistakes(tmp_path, {"update": 1, "phases": []})
    for text in ("", "{", "[]", '{"update": 1}'):
        file.write_text(text)
        with pytest.raises(RunError, match=f"{file} is damaged"):
            read_mistakes(tmp_path)
