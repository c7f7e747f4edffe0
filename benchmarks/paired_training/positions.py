"""Sets of labelled positions: files of them, and arrays to ask agents about."""

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from benchmarks.paired_training.labelling import Labelled, label, solver_of
from selfplay.arena import LiveMatch, Opening, OpeningSet, SolvedPositions
from selfplay.arena.view import View, view
from selfplay.errors import ConfigError, GameContractError
from selfplay.game import Game, Position, advance, solver_limit, start
from selfplay.store import atomic_write

STORED = Path(__file__).parents[1] / "data" / "solved"
"""Sets that were labelled before; a set that is missing is labelled when it is asked for."""

_DIGEST_MATCHES = 4
_DIGEST_PLIES = 60


def solved_positions(
    text: str,
    game: Game[Any],
    *,
    which: str,
    limit: int,
    count: int,
    directory: Path,
    say: Callable[[str], None],
) -> SolvedPositions | None:
    """Returns positions of a game with their solutions; None where none can be had.

    Args:
        text: the game with its options, as in a `Plan`.
        game: the same, made.
        which: "choose" or "report"; no position is in both.
        limit: how many positions a solver may look at to label one.
        count: at most so many of the set, spread evenly.
        directory: where newly labelled sets are kept, beside those that come with the benchmark.
        say: is told what takes long.
    """
    rows = None
    for folder in (STORED, directory):
        file = folder / set_name(game, which)
        if rows is None and file.exists():
            rows = read(file, game)
    if rows is None:
        solver = solver_of(game)
        if solver is None:
            return None
        say(f"labelling positions of {text}; this happens once")
        with solver_limit(limit):
            sets = label(game, solver, count=count, say=say)
        for name, found in sets.items():
            write(directory / set_name(game, name), game, found, text=text)
        rows = sets[which]
    if not rows:
        return None
    spread = np.linspace(0, len(rows) - 1, min(count, len(rows)), dtype=int)
    return rebuild(game, [rows[index] for index in spread])


def set_name(game: Game[Any], which: str) -> str:
    """Returns the name of the file of a set: the game, and a digest of its rules.

    Games that differ only in what they show to the network have the same sets.
    """
    digest = hashlib.sha256()
    for seed in range(_DIGEST_MATCHES):
        rng = np.random.default_rng(seed)
        match = LiveMatch(game, seed=seed)
        while not match.over and len(match.actions) < _DIGEST_PLIES:
            digest.update(repr((match.player, match.legal)).encode())
            match.play(int(rng.choice(match.legal)))
        digest.update(repr([round(result, 3) for result in match.returns]).encode())
    return f"{game.name}-{digest.hexdigest()[:8]}-{which}.jsonl"


def write(file: Path, game: Game[Any], rows: Sequence[Labelled], *, text: str) -> None:
    """Writes a set: a line that names the rules, then a line for each position.

    Args:
        file: to write.
        game: the rules.
        rows: the positions.
        text: the game with its options, as in a `Plan`.
    """
    head = {"as": text, **_rules(game)}
    lines = [head, *({**row.opening.to_dict(), "best": list(row.best)} for row in rows)]
    file.parent.mkdir(parents=True, exist_ok=True)
    texts = (json.dumps(line, separators=(",", ":")) for line in lines)
    atomic_write(file, ("\n".join(texts) + "\n").encode())


def _rules(game: Game[Any]) -> dict[str, Any]:
    return {"game": game.name, "version": game.version, "actions": game.num_actions}


def read(file: Path, game: Game[Any]) -> list[Labelled]:
    """Returns the set in a file.

    Raises:
        ConfigError: it is of another game or version.
    """
    head, *lines = map(json.loads, file.read_text().splitlines())
    if head | _rules(game) != head:
        raise ConfigError(
            f"{file} has positions of {head}, but the game is {_rules(game)}",
            hint="remove the file, and the positions are labelled again",
        )
    return [
        Labelled(
            opening=Opening(
                start_key=(line["start_key"][0], line["start_key"][1]),
                actions=tuple(line["actions"]),
                outcomes=tuple(line.get("outcomes", ())),
            ),
            best=tuple(line["best"]),
        )
        for line in lines
    ]


def rebuild(game: Game[Any], rows: Sequence[Labelled]) -> SolvedPositions:
    """Returns the positions of a set, at least one, by playing its moves.

    Raises:
        GameContractError: a match was over before, or a move to keep the value is not legal there:
            the rules have changed.
    """
    openings = tuple(row.opening for row in rows)
    longest = max(len(opening.actions) for opening in openings)
    shape = (len(rows), longest)
    actions, outcomes = np.zeros(shape, np.int32), np.full(shape, -1, np.int32)
    for index, opening in enumerate(openings):
        actions[index, : len(opening.actions)] = opening.actions
        outcomes[index, : len(opening.outcomes)] = opening.outcomes
    lengths = np.array([len(opening.actions) for opening in openings], np.int32)
    keys = np.array([opening.start_key for opening in openings], np.uint32)
    seen = jax.device_get(_play(game, keys, actions, outcomes, lengths))
    best = np.zeros((len(rows), game.num_actions), bool)
    for index, row in enumerate(rows):
        best[index, list(row.best)] = True
    broken = seen.over | (best & ~seen.legal).any(axis=1)
    if broken.any():
        raise GameContractError(
            f"the stored position after {list(openings[int(broken.argmax())].actions)} does not "
            f"follow the rules of {game.name}",
            hint="label the positions again if the rules were changed",
        )
    return SolvedPositions(
        positions=seen.position,
        openings=openings,
        legal=seen.legal,
        best=best,
        position_set=OpeningSet(game=game.name, version=game.version, openings=openings).id,
    )


@functools.partial(jax.jit, static_argnums=0)
def _play(game: Game[Any], keys: Array, actions: Array, outcomes: Array, lengths: Array) -> View:
    """Plays `n` openings of at most `T` plies; returns the views at their ends."""

    def play(key: Array, actions: Array, outcomes: Array, length: Array) -> View:
        def ply(position: Position[Any], move: Any) -> tuple[Position[Any], None]:
            number, action, outcome = move
            after = advance(game, position, action, outcome).position
            keep = number < length
            return jax.tree.map(lambda new, old: jnp.where(keep, new, old), after, position), None

        moves = (jnp.arange(actions.shape[0], dtype=jnp.int32), actions, outcomes)
        first = start(game, jax.random.wrap_key_data(key))
        return view(game, jax.lax.scan(ply, first, moves)[0])

    return jax.vmap(play)(keys, actions, outcomes, lengths)
