"""Matches that `selfplay ladder` has played: one small file each round, in `RUN/ratings`."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.errors import RunError
from selfplay.run.ratings import FOLDER, OnDamage, result_digest, sound
from selfplay.store.open import open_store
from selfplay.store.place import Place
from selfplay.store.store import Store

_NAME = re.compile(rf"{FOLDER}/[0-9]+-ladder-[0-9a-f]+\.json")


def append_ladder_matches(
    run: Place | Store, round: Mapping[str, Any], matches: Sequence[Mapping[str, Any]]
) -> str:
    """Adds the matches of one round between two agents: a JSON file.

    The same round given twice is stored once.

    Args:
        run: the run that keeps them.
        round: "agents" is required: two objects with "agent", the text that names it, and for a
            checkpoint "update" and "simulations", and "run" and "created" if it is of another
            run. Usual are "seed", "opening_set" and "seconds".
        matches: two in a row have the same opening, seats swapped; each with "score", of the
            first agent, and "actions".

    Returns:
        Its name in the store.

    Raises:
        StorageError: the disk is full or refuses the write.
    """
    content = {**round, "matches": [dict(match) for match in matches]}
    own = [agent["update"] for agent in round["agents"] if "update" in agent and "run" not in agent]
    # The update first, as in every name here: `storage.max_bytes` thins the files by it.
    name = f"{FOLDER}/{max(own, default=0):08d}-ladder-{result_digest([content])}.json"
    text = json.dumps({**content, "time": time.time()}) + "\n"
    open_store(run).write_new(name, text.encode())
    return name


def read_ladder_matches(run: Place | Store, on_damage: OnDamage = None) -> list[dict[str, Any]]:
    """Returns every round with its matches, in the order in which they were played.

    Args:
        run: the run.
        on_damage: is told of every damaged file.

    Raises:
        RunError: one of the files is damaged, and there is no `on_damage`.
    """
    store = open_store(run)
    names = [name for name in store.names(FOLDER) if _NAME.fullmatch(name)]
    rounds = [found for name in names if (found := sound(_read, store, name, on_damage))]
    return sorted(rounds, key=lambda found: found["time"])


def _read(store: Store, name: str) -> dict[str, Any]:
    """Returns a round; an empty one if it was removed since it was listed."""
    try:
        found: dict[str, Any] = json.loads(store.read(name).decode())
        # What every reader relies on.
        first, second = (str(agent["agent"]) for agent in found["agents"])
        _ = first, second, float(found["time"])
        for match in found["matches"]:
            _ = match["score"], match["actions"]
    except FileNotFoundError:
        return {}
    except (ValueError, LookupError, TypeError) as error:
        raise RunError(
            f"{store.label(name)} is damaged: {error}",
            hint="remove the file: only these matches are lost",
        ) from None
    return found
