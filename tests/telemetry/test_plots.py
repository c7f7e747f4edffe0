"""The picture of a run."""

import sys
from pathlib import Path
from typing import Any

import pytest

from selfplay.errors import MissingExtraError
from selfplay.telemetry import Point
from selfplay.telemetry.plots import plot_training

EVALUATIONS: list[dict[str, Any]] = [
    {"update": u, "opponent": name, "score": s, "low": s - 0.1, "high": s + 0.05}
    for name in ("random", "mcts:100")
    for u, s in ((10, 0.5), (20, 0.7), (30, 0.9))
]
SCALARS = {
    name: [Point(step=step, time=0.0, value=step * scale) for step in range(0, 31, 5)]
    for name, scale in (("time/elapsed_seconds", 6.0), ("loss/total", 0.1), ("loss/policy", 0.05))
}


@pytest.mark.parametrize(
    ("evaluations", "scalars"),
    [
        (EVALUATIONS, SCALARS),
        (EVALUATIONS, {}),
        ([], SCALARS),
        ([{**one, "elapsed_seconds": one["update"] * 6.0} for one in EVALUATIONS], SCALARS),
    ],
)
def test_a_picture_is_drawn(
    tmp_path: Path, evaluations: list[dict[str, Any]], scalars: dict[str, list[Point]]
) -> None:
    output = tmp_path / "curve.png"
    plot_training(evaluations, scalars, output, title="connect_four")
    assert output.read_bytes().startswith(b"\x89PNG")
    assert output.stat().st_size > 10_000


def test_words_and_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "curve.svg"
    monkeypatch.setitem(__import__("matplotlib").rcParams, "svg.fonttype", "none")
    plot_training(EVALUATIONS, SCALARS, output, title="connect_four")
    text = output.read_text()
    for words in (
        "connect_four: strength during training", "against random", "against mcts:100",
        "score, % (band: 95 % interval)", "loss, nats", "training time, minutes", "policy",
    ):  # fmt: skip
        assert words in text
    plot_training(EVALUATIONS, {}, output, title="connect_four")
    assert ">updates<" in output.read_text()
    assert "mistakes" not in output.read_text()


def test_mistakes_have_a_part_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "curve.svg"
    monkeypatch.setitem(__import__("matplotlib").rcParams, "svg.fonttype", "none")
    count = {"share": 0.1, "low": 0.05, "high": 0.2, "random_share": 0.4, "positions": 60}
    mistakes: list[dict[str, Any]] = [
        {**count, "update": update, "raw_share": raw,
         "phases": [{**count, "raw_share": raw, "first_ply": 0, "last_ply": 4},
                    {**count, "raw_share": raw, "first_ply": 5, "last_ply": 5}]}
        for update, raw in ((10, None), (20, 0.3))
    ]  # fmt: skip
    for evaluations in (EVALUATIONS, []):
        plot_training(evaluations, SCALARS, output, title="tic_tac_toe", mistakes=mistakes)
        text = output.read_text()
        for words in ("mistakes, %", "all plies", "plies 0-4", "plies 5<", "without search"):
            assert words in text


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match="needs matplotlib") as caught:
        plot_training(EVALUATIONS, SCALARS, tmp_path / "x.png", title="x")
    assert caught.value.hint == "pip install 'selfplay-jax[dev]'"
