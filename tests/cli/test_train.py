"""selfplay train: what it says at the end."""

from types import SimpleNamespace
from typing import Any

import pytest

from selfplay.cli.training.summary import reached


@pytest.mark.parametrize("update", [0, 3])
def test_a_run_without_an_update_is_said_to_have_learnt_nothing(update: int) -> None:
    trainer: Any = SimpleNamespace(
        elapsed=5.0,
        update=update,
        saved=update,
        evaluates=True,
        run=SimpleNamespace(url="runs/a"),
        strength=SimpleNamespace(
            results={}, mistakes=SimpleNamespace(rates=()), suite=SimpleNamespace(scores=())
        ),
    )
    text = " ".join(" ".join(pair) for pair in reached(trainer, finished=True))
    assert f"at update {update}" in text
    assert ("this run has learnt nothing" in text) == (update == 0)
    # Nothing was measured: it says so, and which command does.
    assert ("strength not measured in this time; selfplay arena" in text) == (update == 3)
