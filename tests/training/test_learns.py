"""A training from nothing that must come close to perfect play, and can fail."""

import dataclasses
import importlib
from pathlib import Path
from typing import Any

import pytest

from selfplay.arena import (
    RandomAgent,
    SolvedPositions,
    load_run_agent,
    measure_mistakes,
    solve_positions,
)
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.runtime.components import make_components
from selfplay.settings import Config
from tests.training.runs import SPEC, make_run, train_all

SETTINGS: dict[str, dict[str, Any]] = {
    "network": {"kind": "mlp", "blocks": 2, "channels": 64},
    "search": {
        "num_simulations": 16,
        "max_considered_actions": 9,
        "sampling_plies": 4,
        "inference": "xla",
    },
    "rollout": {"matches_per_device": 32, "plies_per_chunk": 8},
    "replay": {"first_positions": 1_000, "min_window": 4_000, "max_window": 20_000},
    "learner": {"batch_size": 128, "warmup_updates": 20, "learning_rate": 0.003},
    "trainer": {"replay_ratio": 8.0, "updates": 600, "checkpoint_updates": 600},
    "evaluation": {"enabled": False},
}


@pytest.fixture(scope="module")
def solved() -> SolvedPositions:
    return solve_positions(TicTacToe(), num_positions=400)


def mistake_shares(path: Path, solved: SolvedPositions) -> tuple[float, float]:
    """Returns in which share of the positions the agent errs, and the network alone."""
    run, components = make_run(path, make_components(SPEC.make(), Config.from_dict(SETTINGS)))
    train_all(run, components)
    agent = load_run_agent(f"{path}:16", batch_size=128)
    table = measure_mistakes(agent, solved, batch_size=128)
    assert table.all.raw_share is not None
    return table.all.share, table.all.raw_share


def test_it_learns_tic_tac_toe(tmp_path: Path, solved: SolvedPositions) -> None:
    random = measure_mistakes(RandomAgent(TicTacToe()), solved)
    assert random.all.share > 0.2
    searched, raw = mistake_shares(tmp_path / "run", solved)
    assert (searched <= 0.02, raw <= 0.08) == (True, True), (searched, raw)


@pytest.mark.slow
def test_a_wrong_sign_in_the_search_is_seen(
    tmp_path: Path, solved: SolvedPositions, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By name: the package has a function of that name too.
    module: Any = importlib.import_module("selfplay.mcts.search")
    right = module.advance

    def wrong(*arguments: Any, **more: Any) -> Any:
        transition = right(*arguments, **more)
        # What is good for the next player is taken to be good for this one.
        return dataclasses.replace(transition, discount=-transition.discount)

    monkeypatch.setattr(module, "advance", wrong)
    searched, raw = mistake_shares(tmp_path / "run", solved)
    assert (searched > 0.1, raw > 0.1) == (True, True), (searched, raw)
