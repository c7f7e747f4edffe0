"""The agents of a server: searches compiled for fixed sizes, whose weights may change."""

import abc
import collections
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import jax

from selfplay.arena import Analysis, Analyst, SearchAgent, load_network, load_weights
from selfplay.arena.batches import stack
from selfplay.arena.engines import EngineAgent
from selfplay.arena.stored import agent_inference
from selfplay.errors import CheckpointError
from selfplay.game import Game
from selfplay.play import LiveMatch
from selfplay.run import RunDirectory
from selfplay.serve.errors import RequestError
from selfplay.settings import Config

BUDGETS = (0, 2, 8, 16, 32, 64, 100, 128, 200, 256, 400, 512, 800, 1024, 1600, 2048, 4096, 8192)
"""Numbers of simulations that are compiled; a request gets the smallest that suffices."""

SIZES = (1, 8, 32)
"""Batch sizes that are compiled; a smaller batch is padded with copies."""

Kind = Literal["checkpoint", "mcts", "solver", "random", "engine"]

_LOOK_SECONDS = 2.0
_KEPT_WEIGHTS = 4


def budget_for(simulations: int) -> int:
    """Returns the fixed number of simulations that serves a request for `simulations`."""
    return next((budget for budget in BUDGETS if budget >= simulations), BUDGETS[-1])


class ServedAgent:
    """An agent that many visitors use at once: a `Thinker` or an `EngineServed`.

    Attributes:
        id: its identifier in requests.
        title: its name for people.
        kind: its kind.
        run: identifier of its run; None without one.
        update: its checkpoint; None without one.
        analyses: whether it gives values and policies besides its move.
        simulations: per move unless a request says otherwise; None if it does not search.
    """

    analyses: bool = False

    def __init__(
        self,
        id: str,
        title: str,
        kind: Kind,
        *,
        run: str | None = None,
        update: int | None = None,
        simulations: int | None = None,
    ) -> None:
        """Takes its attributes."""
        self.id = id
        self.title = title
        self.kind: Kind = kind
        self.run = run
        self.update = update
        self.simulations = simulations

    def to_dict(self) -> dict[str, Any]:
        """Returns its document for pages."""
        names = ("title", "kind", "run", "update", "analyses", "simulations")
        return {"agent": self.id, **{name: getattr(self, name) for name in names}}


@runtime_checkable
class Programs(Protocol):
    """Compiled searches of one or several agents."""

    def forget(self, simulations: int, size: int) -> None:
        """Frees the program that `Thinker.prepare` has compiled for these numbers, if any."""


class Thinker(ServedAgent, abc.ABC):
    """An agent that analyses positions, several at once."""

    analyses = True

    @property
    def compiled(self) -> Programs:
        """Its compiled programs, which agents with other weights may share."""
        return self

    def forget(self, simulations: int, size: int) -> None:
        """Frees what `prepare` has compiled for it alone."""

    @abc.abstractmethod
    def prepare(self, simulations: int, size: int) -> None:
        """Compiles what `think` needs for batches of `size`; slow, for any thread."""

    @abc.abstractmethod
    def think(
        self, matches: Sequence[LiveMatch], *, simulations: int, size: int, seed: int
    ) -> list[Analysis]:
        """Returns the analyses of positions.

        Args:
            matches: 1 to `size` matches that are not over; their last positions are analysed.
            simulations: one of `BUDGETS`; ignored by an agent that does not search.
            size: one of `SIZES`, for which it was prepared.
            seed: of its random choices.
        """


def as_thinker(agent: ServedAgent) -> Thinker:
    """Returns the agent; raises `RequestError` (422) if it gives no analyses."""
    if not isinstance(agent, Thinker):
        raise RequestError(f"{agent.title} gives no reasons: it only plays", place="agent")
    return agent


class SearchPrograms:
    """Compiled searches of one network or of plain playouts, shared by all its weights."""

    def __init__(self, template: SearchAgent) -> None:
        """Takes an agent with the settings of the search; its weights do not matter."""
        self._template = template
        self._lock = threading.Lock()
        self._programs: dict[tuple[int, int], SearchAgent] = {}

    @property
    def simulations(self) -> int:
        """Simulations per move by default."""
        return self._template.config.num_simulations

    def get(self, simulations: int, size: int) -> SearchAgent:
        """Returns the agent for these numbers; its first use compiles."""
        with self._lock:
            if (simulations, size) not in self._programs:
                self._programs[simulations, size] = self._template.resized(
                    num_simulations=simulations, batch_size=size, keep_trees=True
                )
            return self._programs[simulations, size]

    def forget(self, simulations: int, size: int) -> None:
        """Frees a program; it is compiled anew if it is used again."""
        with self._lock:
            self._programs.pop((simulations, size), None)


class SearchServed(Thinker):
    """A search with fixed weights, or with random playouts."""

    def __init__(self, programs: SearchPrograms, params: Any, *names: Any, **facts: Any) -> None:
        """Takes the programs, the weights (None for those of the template) and its attributes."""
        super().__init__(*names, **facts)
        self._programs = programs
        self._params = params

    @property
    def compiled(self) -> Programs:
        return self._programs

    def _agent(self, simulations: int, size: int) -> SearchAgent:
        agent = self._programs.get(simulations, size)
        return agent if self._params is None else agent.with_params(self.title, self._params)

    def prepare(self, simulations: int, size: int) -> None:
        agent = self._agent(simulations, size)
        start = LiveMatch(agent.game)
        agent.analyse(stack([start.position]), key=jax.random.key(0))

    def think(
        self, matches: Sequence[LiveMatch], *, simulations: int, size: int, seed: int
    ) -> list[Analysis]:
        positions = stack([match.position for match in matches])
        return self._agent(simulations, size).analyse(positions, key=jax.random.key(seed))


class PlainServed(Thinker):
    """Random moves or the game's solver: nothing is compiled."""

    def __init__(self, agent: Analyst, id: str, kind: Kind) -> None:
        """Takes the agent."""
        super().__init__(id, agent.name, kind)
        self._agent = agent

    def prepare(self, simulations: int, size: int) -> None:
        """Does nothing."""

    def think(
        self, matches: Sequence[LiveMatch], *, simulations: int, size: int, seed: int
    ) -> list[Analysis]:
        positions = stack([match.position for match in matches])
        return self._agent.analyse(positions, key=jax.random.key(seed))


class EngineServed(ServedAgent):
    """A GTP or UCI program from the command line of the server; it gives no analyses."""

    def __init__(self, agent: EngineAgent, id: str, title: str) -> None:
        """Takes the engine; its program starts with the first move.

        Args:
            agent: the engine.
            id: its identifier in requests.
            title: its name for visitors, which does not show the command.
        """
        super().__init__(id, title, "engine")
        self._agent = agent
        self._lock = threading.Lock()

    def choose(self, match: LiveMatch, *, seed: int) -> int:
        """Returns the engine's move, or `selfplay.arena.agents.RESIGN`; may take seconds."""
        with self._lock:
            positions, key = stack([match.position]), jax.random.key(seed)
            return int(self._agent.follow(positions, [match.history], key=key)[0])

    def close(self) -> None:
        """Ends the program."""
        self._agent.close()


class RunAgents:
    """The checkpoints of one run as agents."""

    def __init__(self, id: str, title: str, run: RunDirectory, game: Game[Any]) -> None:
        """Takes a run; loads nothing yet.

        Args:
            id: identifier of the run.
            title: name of the run, for people.
            run: the run.
            game: its rules.
        """
        self._id = id
        self._title = title
        self._run = run
        self._game = game
        self._lock = threading.Lock()
        self._programs: SearchPrograms | None = None
        self._loaded: collections.OrderedDict[int, SearchServed] = collections.OrderedDict()
        self._network: Any = None
        self._inference: Any = None
        self._newest: tuple[float, int | None] = (float("-inf"), None)

    def newest_update(self) -> int | None:
        """Returns the newest checkpoint; looks again every two seconds."""
        looked, update = self._newest
        if time.monotonic() - looked >= _LOOK_SECONDS:
            update = self._run.checkpoints.latest()
            self._newest = (time.monotonic(), update)
        return update

    def to_dicts(self) -> list[dict[str, Any]]:
        """Returns the documents of the checkpoints for pages, the newest first.

        Unlike `get`, it does not load the weights.
        """
        newest = self.newest_update()
        if newest is None:
            return []
        settings = self._run.checkpoints.metadata(newest).get("config")
        config = self._run.config if settings is None else Config.from_dict(settings)
        older = (update for update in self._run.checkpoints.updates() if update < newest)
        return [
            ServedAgent(
                f"{self._id}@{update}",
                f"{self._title}@{update}",
                "checkpoint",
                run=self._id,
                update=update,
                # The checkpoints of a run share what is compiled, and so the default.
                simulations=config.search_for_matches().num_simulations,
            ).to_dict()
            | {"analyses": True}
            for update in (newest, *sorted(older, reverse=True))
        ]

    def get(self, update: int | None = None) -> SearchServed:
        """Returns the agent of a checkpoint, by default of the newest; slow, it may read files.

        Raises:
            CheckpointError: there is none, it was removed, or is damaged.
        """
        wanted = self.newest_update() if update is None else update
        if wanted is None:
            raise CheckpointError(
                f"{self._title} has no checkpoint yet",
                hint="the first one comes within a minute of training",
            )
        with self._lock:
            if wanted not in self._loaded:
                self._loaded[wanted] = self._load(wanted)
                while len(self._loaded) > _KEPT_WEIGHTS:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(wanted)
            return self._loaded[wanted]

    def _load(self, update: int) -> SearchServed:
        if self._programs is None:
            stored = load_network(f"{self._run.url}@{update}", game=self._game)
            # Instead of "auto": the first visitor should not wait for measurements of backends.
            inference = agent_inference(stored, "xla" if stored.inference == "auto" else None)
            params = inference.load(stored.weights)
            template = SearchAgent(
                self._id,
                self._game,
                inference.evaluate,
                params,
                stored.config.search_for_matches(),
                batch_size=1,
            )
            self._network, self._inference = stored.network, inference
            self._programs = SearchPrograms(template)
        else:
            weights = load_weights(self._run.checkpoints, update, self._network)
            params = self._inference.load(weights)
        agent = SearchServed(
            self._programs,
            params,
            f"{self._id}@{update}",
            f"{self._title}@{update}",
            "checkpoint",
            run=self._id,
            update=update,
            simulations=self._programs.simulations,
        )
        # Only when nobody uses the agent: a waiting search may need the weights.
        weakref.finalize(agent, self._inference.release, params).atexit = False
        return agent
