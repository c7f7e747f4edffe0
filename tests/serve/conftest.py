"""A run of tic-tac-toe with two checkpoints and some matches, served without a port."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from starlette.testclient import TestClient

from selfplay.networks import build_network
from selfplay.registry import GameSpec, make
from selfplay.run import RunDirectory, append_evaluation
from selfplay.serve import Library, Limits, create_app
from selfplay.settings import Config
from tests.records.examples import RandomMatches

CONFIG = Config.from_dict(
    {
        "network": {"kind": "mlp", "blocks": 1, "channels": 8},
        "search": {"num_simulations": 8, "max_considered_actions": 4},
    }
)


def new_run(path: Path, *, files: int = 4, config: Config = CONFIG) -> RunDirectory:
    """Returns a run with checkpoints 10 and 20, `files` files of one match, and an evaluation."""
    game = make("tic_tac_toe")
    run = RunDirectory.create(path, GameSpec("tic_tac_toe"), game, config)
    network = build_network(game, config.network)
    played = RandomMatches(game)
    for update in (10, 20):
        weights = network.init(key=jax.random.key(update))
        run.checkpoints.save(update, {"weights": weights}, metadata={"cursor": {"matches": update}})
    for number in range(files):
        worker = "ab"[number % 2]
        record = dataclasses.replace(
            played.play(seed=number).record,
            match_id=f"{worker}-{number // 2:08d}-0000",
            worker=worker,
            first_checkpoint=10,
            last_checkpoint=10 + 10 * (number % 2),
            fingerprint=run.fingerprint,
        )
        run.matches.put(worker, number // 2, [record])
    actions = [4, 0, 3, 1, 5]
    match = {
        "opening": 0,
        "start_key": [0, 0],
        "actions": actions,
        "outcomes": [],
        "score": 1.0,
        "result": 1.0,
        "truncated": False,
    }
    summary = {"update": 20, "opponent": "mcts:50", "score": 0.5, "low": 0.2, "high": 0.8}
    lost = {**match, "seat": 1, "score": 0.0, "result": -1.0}
    append_evaluation(run.store, {**summary, "matches": 2}, [{**match, "seat": 0}, lost])
    return run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run that no test changes."""
    return new_run(tmp_path_factory.mktemp("serve") / "noughts")


@pytest.fixture(scope="session")
def library(run: RunDirectory) -> Library:
    """The run, and a game of chance and one without a board beside it."""
    games = [(name, GameSpec(name)) for name in ("einstein_wuerfelt_nicht", "othello")]
    return Library(games=games, runs=[run.url], limits=Limits(simulations=32, milliseconds=2000))


@pytest.fixture(scope="session")
def client(library: Library) -> Iterator[TestClient]:
    """Who asks the server; what was compiled once serves all tests."""
    with TestClient(create_app(library), base_url="http://localhost") as client:
        yield client
