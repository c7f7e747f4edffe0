"""Evaluation results: one small file each under `RUN/ratings`, never changed afterwards."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from selfplay.errors import RunError
from selfplay.store.open import open_store
from selfplay.store.place import Place
from selfplay.store.store import Store

FOLDER = "ratings"

T = TypeVar("T")

OnDamage = Callable[[RunError], None] | None
"""What is told of a damaged file, which is then left out; None to raise the error."""


def append_evaluation(
    run: Place | Store,
    evaluation: Mapping[str, Any],
    matches: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Adds one evaluation: a JSON Lines file, the summary first, then a line per match.

    The same evaluation given twice is stored once, so a repetition after a restart adds nothing.

    Args:
        run: the run.
        evaluation: the summary. "update" and "opponent" are required; usual are "matches",
            "distinct_matches", "wins", "draws", "losses", "score" in [0, 1], its 95 % interval
            "low" and "high", "simulations", "elapsed_seconds" of training.
        matches: every match, with its opening.

    Returns:
        Its name in the store.

    Raises:
        StorageError: the disk is full or refuses the write.
    """
    content = [dict(evaluation), *map(dict, matches)]
    digest = result_digest(content)
    opponent = re.sub(r"[^A-Za-z0-9.]+", "-", str(evaluation["opponent"])).strip("-.")[-40:]
    name = f"{FOLDER}/{int(evaluation['update']):08d}-{opponent}-{digest}.jsonl"
    content[0] = {**content[0], "time": time.time()}
    text = "".join(json.dumps(line) + "\n" for line in content)
    open_store(run).write_new(name, text.encode())
    return name


def result_digest(content: Sequence[Mapping[str, Any]]) -> str:
    """Returns 12 hex digits that name a result.

    The times of a repetition differ, its result does not: what is measured in seconds is left out.
    """
    identity = [{k: v for k, v in line.items() if "second" not in k} for line in content]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def read_evaluations(run: Place | Store, on_damage: OnDamage = None) -> list[dict[str, Any]]:
    """Returns the summaries of all evaluations, by update and then time.

    Args:
        run: the run.
        on_damage: is told of every damaged file.

    Raises:
        RunError: one of the files is damaged, and there is no `on_damage`.
    """
    summaries = [summary for summary, _ in read_played_evaluations(run, on_damage)]
    return sorted(summaries, key=lambda line: (line["update"], line["time"]))


def read_newest_results(run: Place | Store, on_damage: OnDamage = None) -> list[Mapping[str, Any]]:
    """Returns `newest_results` of a run; reads only the first and the newest of each opponent.

    So it takes as many requests after a week as after an hour.

    Args:
        run: the run.
        on_damage: is told of every damaged file that is read.

    Raises:
        RunError: one of these files is damaged, and there is no `on_damage`.
    """
    store = open_store(run)
    kinds: dict[str, dict[int, list[str]]] = {}
    for name in store.names(FOLDER):
        if parts := _NAME.fullmatch(name):
            # Opponents that are earlier checkpoints, "@UPDATE", are of one kind.
            kind = "@" if parts["opponent"].isdecimal() else parts["opponent"]
            kinds.setdefault(kind, {}).setdefault(named_update(name), []).append(name)
    firsts: list[dict[str, Any]] = []
    lasts: list[dict[str, Any]] = []
    for by_update in kinds.values():
        updates = sorted(by_update)
        # The first says in which order the opponents appeared.
        firsts += _first_summaries(store, [by_update[update] for update in updates], on_damage)
        updates.reverse()
        lasts += _first_summaries(store, [by_update[update] for update in updates], on_damage)
    firsts.sort(key=_by_update_and_time)
    lasts.sort(key=_by_update_and_time)
    return newest_results([*firsts, *lasts])


def _first_summaries(
    store: Store, groups: Sequence[Sequence[str]], on_damage: OnDamage
) -> list[dict[str, Any]]:
    """Returns the summaries of the first group of files that has any."""
    for names in groups:
        files = [sound(_read, store, name, on_damage) for name in names]
        if found := [lines[0] for lines in files if lines]:
            return found
    return []


def _by_update_and_time(row: Mapping[str, Any]) -> tuple[int, float]:
    return int(row["update"]), float(row["time"])


_NAME = re.compile(rf"{FOLDER}/\d+-(?P<opponent>.+)-[0-9a-f]+\.jsonl")


def named_update(name: str) -> int:
    """Returns the update with which the name of a file under `FOLDER` begins."""
    return int(name.removeprefix(f"{FOLDER}/").partition("-")[0])


def newest_results(evaluations: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the newest evaluation against each opponent, in order of first appearance.

    Of the earlier checkpoints of the run, "@UPDATE", only the one played last counts as one: there
    are ever more of them.

    Args:
        evaluations: by update and then time, as `read_evaluations` returns them.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for row in evaluations:
        name = str(row["opponent"])
        found["@" if name.startswith("@") else name] = row
    return list(found.values())


def read_evaluation_matches(run: Place | Store) -> list[dict[str, Any]]:
    """Returns every evaluation match, each with its evaluation's "update" and "opponent".

    Raises:
        RunError: one of the files is damaged.
    """
    return [
        {"update": summary["update"], "opponent": summary["opponent"], **match}
        for summary, matches in read_played_evaluations(run)
        for match in matches
    ]


def read_played_evaluations(
    run: Place | Store, on_damage: OnDamage = None
) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Returns the summary and the matches of every evaluation, by their names.

    Args:
        run: the run.
        on_damage: is told of every damaged file.

    Raises:
        RunError: one of the files is damaged, and there is no `on_damage`.
    """
    store = open_store(run)
    names = [name for name in store.names(FOLDER) if name.endswith(".jsonl")]
    files = (sound(_read, store, name, on_damage) for name in names)
    return [(lines[0], lines[1:]) for lines in files if lines]


def sound(
    read: Callable[[Store, str], T], store: Store, name: str, on_damage: OnDamage
) -> T | None:
    """Returns what a file holds; None if it is damaged, which `on_damage` is then told.

    Args:
        read: reads the file; raises `RunError` if it is damaged.
        store: of the run.
        name: of the file.
        on_damage: is told of the damage; without it the error is raised.
    """
    try:
        return read(store, name)
    except RunError as error:
        if on_damage is None:
            raise
        on_damage(error)
        return None


def _read(store: Store, name: str) -> list[dict[str, Any]]:
    """Returns the lines of a file; none if it was removed since it was listed."""
    try:
        lines = [json.loads(line) for line in store.read(name).decode().splitlines()]
        # What every reader relies on.
        _ = lines[0]["update"], lines[0]["opponent"], lines[0]["time"]
    except FileNotFoundError:
        return []
    except (ValueError, LookupError, TypeError) as error:
        raise RunError(
            f"{store.label(name)} is damaged: {error}",
            hint="remove the file: only this evaluation is lost",
        ) from None
    return lines
