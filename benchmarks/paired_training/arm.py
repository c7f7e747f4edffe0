"""One process of a comparison: trains one arm on one core, or measures both arms."""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.paired_training.cores import pin
from benchmarks.paired_training.plan import ARMS, Cell, Plan, game_spec
from selfplay.store import atomic_write

TRAINED = "training-{arm}.json"
MEASURED = "strength-{set}.json"


def train_arm(directory: Path, cell: Cell, arm: str, core: int | None, *, warm_up: bool) -> None:
    """Trains an arm until its budget is spent; goes on with an interrupted training.

    Args:
        directory: of the comparison.
        cell: game and seed.
        arm: "a" or "b".
        core: to run on.
        warm_up: makes a few updates in a run of its own instead, so that what is compiled for
            this arm is in the cache before any time is counted.
    """
    plan = _begin(directory, core)
    from selfplay.settings import merged, read_sources
    from selfplay.training.session import open_session
    from selfplay.training.trainer import train

    folder = cell.folder(directory)
    settings = plan.settings(arm, cell.seed)
    place = folder / f"run-{arm}"
    if warm_up:
        place = directory / "warm" / f"{folder.parent.name}-{arm}"
        settings += ["trainer.minutes=0", "trainer.updates=30", "replay.first_positions=1"]
    spec = game_spec(cell.game)
    sources = read_sources(preset=plan.preset, environ={}, overrides=settings)
    session = open_session(place, spec, spec.make(), merged(sources))
    begin = time.monotonic()
    clock = time.process_time if plan.clock == "cpu" else time.monotonic
    trainer = train(session.run, session.components, clock=clock)
    result = {
        "update": trainer.update,
        "positions": trainer.cursor.positions,
        "matches": trainer.cursor.matches,
        "budget_seconds": trainer.elapsed,
        "updates_per_second": trainer.update / trainer.elapsed,
        "positions_per_second": trainer.cursor.positions / trainer.elapsed,
        # Of this session alone, start and compilation included.
        "wall_seconds": time.monotonic() - begin,
        "cpu_seconds": time.process_time(),
        "peak_memory_bytes": _peak_memory(),
        "core": core,
    }
    file = (
        directory / "warm" / f"{place.name}.json" if warm_up else folder / TRAINED.format(arm=arm)
    )
    atomic_write(file, json.dumps(result, indent=1).encode())


def label_positions(directory: Path, cell: Cell, core: int | None) -> None:
    """Labels the positions of a game, if it can be solved and they are not there yet."""
    plan = _begin(directory, core)
    _positions(plan, cell.game)


def measure(directory: Path, cell: Cell, core: int | None) -> None:
    """Measures both arms of a cell, whose trainings have ended.

    What is stored of it: for each arm the mistakes in every position, and the mean score of each
    pair of matches; and of the matches between the arms those of arm B.
    """
    plan = _begin(directory, core)
    from selfplay.arena import choose_moves, load_run_agent, make_agent, play_matches

    game = game_spec(cell.game).make()
    solved = _positions(plan, cell.game)
    folder = cell.folder(directory)
    agents = {
        arm: load_run_agent(f"{folder / f'run-{arm}'}:{plan.simulations}", game=game)
        for arm in ARMS
    }
    document: dict[str, Any] = {"simulations": plan.simulations, "mistakes": None, "scores": {}}
    if solved is not None:
        _say(f"{cell.game}: asks both arms about {len(solved.openings)} positions")
        losing = (solved.legal & ~solved.best).sum(axis=1) / solved.legal.sum(axis=1)
        document["mistakes"] = {
            "position_set": solved.position_set,
            "plies": [len(opening.actions) for opening in solved.openings],
            "random": losing.tolist(),
        }
        for arm, agent in agents.items():
            choices = choose_moves(agent, solved)
            raw = choices.raw_mistakes(solved)
            document["mistakes"][arm] = {
                "search": choices.mistakes(solved).astype(int).tolist(),
                "raw": None if raw is None else raw.astype(int).tolist(),
            }
    opponents = plan.opponents or (() if solved is not None else ("mcts:200",))
    # The openings of the sets are different ones, too, and the same for every seed of the runs.
    seed = 1 + 1_000_000 * (plan.positions_of == "report")
    for opponent in opponents:
        rival = make_agent(opponent, game, batch_size=plan.matches // 2)
        scores = {}
        for arm, agent in agents.items():
            _say(f"{cell.game}: arm {arm} plays {opponent}")
            table = play_matches(game, agent, rival, num_matches=plan.matches, seed=seed)
            scores[arm] = table.pair_scores
        document["scores"][opponent] = scores
    if plan.versus or solved is None:
        _say(f"{cell.game}: the arms play each other")
        table = play_matches(game, agents["b"], agents["a"], num_matches=plan.matches, seed=seed)
        document["versus"] = table.pair_scores
    atomic_write(folder / MEASURED.format(set=plan.positions_of), json.dumps(document).encode())


def _positions(plan: Plan, game: str) -> Any:
    """Returns the `SolvedPositions` of a game; None if it has none, or none are wanted."""
    from benchmarks.paired_training.positions import solved_positions
    from selfplay.startup import cache_directory

    if not plan.positions:
        return None
    return solved_positions(
        game,
        game_spec(game).make(),
        which=plan.positions_of,
        limit=plan.solver_limit,
        count=plan.positions,
        # Not beside the results: the next comparison asks about the same positions.
        directory=cache_directory() / "solved",
        say=_say,
    )


def _begin(directory: Path, core: int | None) -> Plan:
    """Prepares this process for one core; before anything of JAX."""
    pin(core)
    for name in ("OMP_NUM_THREADS", "NPROC"):
        os.environ[name] = "1"
    from selfplay.startup import prepare

    prepare(cpu_devices=1)
    return Plan.from_json((directory / "plan.json").read_text())


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
