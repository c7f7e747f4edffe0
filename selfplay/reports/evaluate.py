"""How well the networks of checkpoints predict matches that were not learnt from."""

from collections.abc import Callable, Sequence
from typing import Any

from selfplay.arena import load_weights
from selfplay.configuration import check_range
from selfplay.errors import CheckpointError, RunError
from selfplay.evaluation.predictions import ExampleMaker, Predictor
from selfplay.networks import build_network
from selfplay.registry import GameSpec
from selfplay.reports.unseen_matches import held_out_matches, named_matches
from selfplay.run import RunDirectory, find_checkpoint, split_checkpoint_name
from selfplay.settings import Config


def evaluate_checkpoints(
    name: str,
    *,
    data: Sequence[str] = (),
    positions: int = 4096,
    checkpoints: int = 10,
    seed: int = 0,
    game: GameSpec | None = None,
    progress: Callable[[int], None] = lambda update: None,
) -> dict[str, Any]:
    """Returns how well checkpoints predict policies and outcomes of stored matches.

    Keys: `run`, `game`, `data`, `matches` and `positions` that were looked at,
    `learnt_from` (matches of `data` left out because the run has learnt from them), and
    `checkpoints`, each with its `update` and what `selfplay.evaluation.predictions.Quality` says:
    `policy`, `value`, `search_error`. Every checkpoint is given the same positions.

    Args:
        name: "RUN" for the checkpoints that it keeps, or "RUN@UPDATE" for one.
        data: Parquet files, folders of them, and runs; without any the matches that the run
            itself keeps out of training.
        positions: how many to look at, at least 1.
        checkpoints: at most so many of a run, the newest and others evenly spread, at least 1.
        seed: decides which positions.
        game: where the game of the run is now; None for where the run has it.
        progress: told the update of each checkpoint before it is looked at.

    Raises:
        RunError: it is no run, or there are no matches that it has not learnt from.
        CheckpointError: there is no such checkpoint, or it is damaged.
        RecordError: a match is damaged, or of another game.
    """
    check_range("--positions", positions, low=1)
    check_range("--checkpoints", checkpoints, low=1)
    place, newest = find_checkpoint(name)
    run = RunDirectory.open(place)
    updates = [newest]
    if split_checkpoint_name(name)[1] is None:
        updates = _spread(run.checkpoints.updates(), checkpoints)
    metadata = run.checkpoints.metadata(updates[-1])
    if "cursor" not in metadata:
        raise CheckpointError(f"checkpoint {updates[-1]} of {run.url} does not say what it learnt")
    found = (
        named_matches(run, metadata, data, positions=positions)
        if data
        # The same for every checkpoint, so that they can be compared.
        else held_out_matches(run, run.checkpoints.metadata(run.checkpoints.updates()[-1]))
    )
    rules = run.make_game(game)
    config = Config.from_dict(metadata.get("config", run.config.to_dict()))
    maker = ExampleMaker(rules, config.replay, positions=positions, fingerprint=run.fingerprint)
    examples = maker(found.matches, seed=seed)
    if examples is None:
        raise RunError(f"the matches of {' '.join(data) or run.url} have no moves")
    network = build_network(rules, config.network)
    predictor = Predictor(rules, network)
    rows = []
    for update in updates:
        progress(update)
        try:
            weights = load_weights(run.checkpoints, update, network)
        except CheckpointError:
            if update == updates[-1] or update in run.checkpoints.updates():
                raise
            # The trainer has removed it meanwhile.
            continue
        rows.append({"update": update, **predictor.quality(weights, examples).to_dict()})
    return {
        "run": run.url,
        "game": rules.name,
        "data": list(data),
        "matches": int(examples.match_numbers.max()) + 1,
        "positions": len(examples.match_numbers),
        "learnt_from": found.learnt_from,
        "checkpoints": rows,
    }


def _spread(updates: Sequence[int], count: int) -> list[int]:
    """Returns the newest of `updates` and others, evenly spread, `count` at most."""
    if len(updates) <= count:
        return list(updates)
    if count == 1:
        return [updates[-1]]
    last = len(updates) - 1
    return [updates[round(index * last / (count - 1))] for index in range(count)]
