"""Matches that a checkpoint plays against itself for the report, kept in the run."""

import dataclasses
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from selfplay.arena import (
    SearchAgent,
    Standing,
    StoredNetwork,
    default_opening_plies,
    play_matches,
)
from selfplay.arena.stored import agent_inference
from selfplay.errors import RecordError
from selfplay.inference import Inference
from selfplay.parallel import local_mesh
from selfplay.records import MatchCollector, MatchRecord, Provenance, encode_matches
from selfplay.reports.balance.sample import read_file
from selfplay.rollout import Plies, SelfPlayer
from selfplay.run import RunDirectory
from selfplay.settings import settings_hash
from selfplay.settings.sections.rollout import RolloutConfig

FOLDER = "balance"
_MATCHES = "matches"
_PAIRS = "pairs"
_AT_ONCE = 32
_CHUNK_PLIES = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be played.

    Attributes:
        simulations: per move, one level for each.
        matches: at each level, rounded up to whole rounds; None for as many as the time allows.
        minutes: after so long no further round begins; None for no limit.
        seed: of everything random.
    """

    simulations: tuple[int, ...]
    matches: int | None
    minutes: float | None
    seed: int = 0


def default_simulations(usual: int) -> tuple[int, ...]:
    """Returns the levels to play at: a quarter of the usual simulations, as many, four times.

    Args:
        usual: simulations per move of the run's agents in matches.
    """
    return tuple(sorted({max(2, usual // 4), max(2, usual), max(2, 4 * usual)}))


def play_levels(
    run: RunDirectory,
    stored: StoredNetwork,
    plan: Plan,
    *,
    show: Callable[[str], None] = lambda text: None,
    say: Callable[[str], None] = lambda text: None,
    inference: str | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Plays a checkpoint against itself, and each level against the next, and stores the matches.

    Matches begin at the first position of the game. Their first plies are drawn from the policy
    that the search found, the same number that random openings have in an arena; the others are
    the best moves, found without noise. Every round is stored as soon as it is over, and what is
    stored already is not played again.

    Args:
        run: gets the matches.
        stored: the network that plays both sides.
        plan: how many, how hard.
        show: is told how far it is.
        say: is told what else there is to know.
        inference: what computes the network, as for `load_run_agent`.
        clock: seconds.
    """
    deadline = float("inf") if plan.minutes is None else clock() + 60 * plan.minutes
    computed = agent_inference(stored, inference, say)
    levels = [_Level(run, stored, computed, simulations, plan) for simulations in plan.simulations]
    for number in itertools.count():
        wanted = [one for one in levels if one.rounds is None or number < one.rounds]
        if not wanted:
            break
        for level in wanted:
            if clock() >= deadline:
                say(f"the {plan.minutes:g} minutes are over")
                return
            level.play_round(number, show)
    for weaker, stronger in itertools.pairwise(sorted(plan.simulations)):
        if not _play_pair(run, stored, computed, (stronger, weaker), plan, show, clock, deadline):
            say(f"no time was left for {stronger} against {weaker} simulations")
            return


def own_levels(
    run: RunDirectory, on_problem: Callable[[str], None]
) -> dict[tuple[int, int], list[MatchRecord]]:
    """Returns the stored matches by update and simulations; damaged files are told of."""
    levels: dict[tuple[int, int], list[MatchRecord]] = {}
    for name in run.store.names(f"{FOLDER}/{_MATCHES}"):
        numbers = name.rpartition("/")[2].partition(".")[0].split("-")
        try:
            update, simulations = int(numbers[0]), int(numbers[1])
            matches = read_file(run, name)
        except (RecordError, ValueError, IndexError) as error:
            on_problem(str(error))
        except FileNotFoundError:
            continue
        else:
            levels.setdefault((update, simulations), []).extend(matches)
    return dict(sorted(levels.items()))


def own_pairs(run: RunDirectory, on_problem: Callable[[str], None]) -> list[dict[str, Any]]:
    """Returns the stored results of one level against another, by update."""
    found = []
    for name in run.store.names(f"{FOLDER}/{_PAIRS}"):
        try:
            document = json.loads(run.store.read(name))
            _ = document["update"], document["simulations"], document["score"]
        except FileNotFoundError:
            continue
        except (ValueError, LookupError, TypeError) as error:
            on_problem(f"{run.store.label(name)} is damaged: {error}")
            continue
        found.append(document)
    return sorted(found, key=lambda one: (one["update"], one["simulations"]))


class _Level:
    """A checkpoint that plays both sides with one number of simulations."""

    def __init__(
        self,
        run: RunDirectory,
        stored: StoredNetwork,
        computed: Inference,
        simulations: int,
        plan: Plan,
    ) -> None:
        self._run, self._stored, self._plan = run, stored, plan
        self.simulations = simulations
        mesh = local_mesh()
        # Rounds of about the same size, so that hardly more is played than was asked for.
        rounds = -(-(plan.matches or _AT_ONCE) // _AT_ONCE)
        each = -(-(plan.matches or _AT_ONCE) // rounds)
        self.rounds = None if plan.matches is None else rounds
        search = dataclasses.replace(
            stored.config.search.for_matches(simulations),
            sampling_plies=default_opening_plies(stored.game),
            temperature=1.0,
            sampling_share=1.0,
        )
        config = RolloutConfig(
            matches_per_device=-(-each // mesh.size),
            plies_per_chunk=_CHUNK_PLIES,
            random_opening_share=0.0,
        )
        self._player = SelfPlayer(stored.game, computed.evaluate, search, config, mesh=mesh)
        self._computed = computed
        self._search = search
        self._playing: Iterator[list[MatchRecord]] | None = None
        self._show: Callable[[str], None] = lambda text: None

    def play_round(self, number: int, show: Callable[[str], None]) -> None:
        """Plays and stores a round, unless it is there."""
        self._show = show
        name = self._name(number)
        if self._run.store.exists(name):
            return
        if self._playing is None:
            self._playing = self._rounds(number)
        matches = next(self._playing)
        self._run.store.write_new(name, encode_matches(matches))

    def _name(self, number: int) -> str:
        what = (self._stored.update, self.simulations, self._plan.seed, self._player.num_matches)
        update, simulations, seed, size = what
        return f"{FOLDER}/{_MATCHES}/{update:08d}-{simulations}-{seed}-{size}-{number:04d}.parquet"

    def _rounds(self, first: int) -> Iterator[list[MatchRecord]]:
        """Yields the matches of one round after the other: in each row the next one.

        A row that is ahead plays on for the next round. Which matches belong to a round does not
        depend on how long they take, so short ones are not preferred.
        """
        player, stored = self._player, self._stored
        key = jax.random.key(self._plan.seed)
        for number in (stored.update, self.simulations, player.num_matches, first):
            key = jax.random.fold_in(key, number)
        start_key, play_key = jax.random.split(key)
        collector = MatchCollector(self._provenance(), player.num_matches)
        finished: list[list[MatchRecord]] = [[] for _ in range(player.num_matches)]
        done = 0
        params = self._computed.load(stored.weights)
        matches = player.start(key=start_key)
        for chunk in itertools.count():
            ready = sum(len(row) > done for row in finished)
            self._show(
                f"{self.simulations} simulations, round {first + done + 1}: {ready} of "
                f"{len(finished)} matches, {chunk * _CHUNK_PLIES} plies each"
            )
            chunk_key = jax.random.fold_in(play_key, chunk)
            matches, on_device = player.play(params, matches, key=chunk_key)
            plies: Plies = jax.device_get(on_device)
            ended = collector.add(plies, checkpoint=stored.update, sequence=chunk)
            slots = np.argwhere(np.asarray(plies.over))[:, 1].tolist()
            for slot, match in zip(slots, ended, strict=True):
                finished[slot].append(match)
            while all(len(row) > done for row in finished):
                done += 1
                yield [row[done - 1] for row in finished]

    def _provenance(self) -> Provenance:
        config = dataclasses.replace(self._stored.config, search=self._search)
        return Provenance(
            game=self._stored.game.name,
            version=self._stored.game.version,
            fingerprint=self._run.fingerprint,
            worker=f"balance-{self._stored.update}-{self.simulations}",
            settings_hash=settings_hash(config),
            simulations=self.simulations,
        )


class _OverError(Exception):
    """The time is over."""


def _play_pair(
    run: RunDirectory,
    stored: StoredNetwork,
    computed: Inference,
    simulations: Sequence[int],
    plan: Plan,
    show: Callable[[str], None],
    clock: Callable[[], float],
    deadline: float,
) -> bool:
    """Plays the stronger level against the weaker one in paired matches; False without time."""
    stronger, weaker = simulations
    count = max(2, 2 * (-(-(plan.matches or _AT_ONCE) // 2)))
    name = f"{FOLDER}/{_PAIRS}/{stored.update:08d}-{stronger}-{weaker}-{plan.seed}-{count}.json"
    if run.store.exists(name):
        return True
    params = computed.load(stored.weights)
    agents = [
        SearchAgent(
            f"{one} simulations",
            stored.game,
            computed.evaluate,
            params,
            stored.config.search.for_matches(one),
            batch_size=max(1, min(_AT_ONCE, count // 2)),
        )
        for one in (stronger, weaker)
    ]

    def go_on(standing: Standing) -> None:
        show(f"{stronger} against {weaker} simulations: {standing}")
        if clock() >= deadline:
            raise _OverError

    try:
        table = play_matches(
            stored.game, *agents, num_matches=count, seed=plan.seed, progress=go_on
        )
    except _OverError:
        return False
    document = {
        **table.to_dict(),
        "update": stored.update,
        "simulations": stronger,
        "against_simulations": weaker,
    }
    run.store.write_new(name, (json.dumps(document) + "\n").encode())
    return True
