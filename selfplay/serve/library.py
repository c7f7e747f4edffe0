"""The runs and games that a server offers."""

import contextlib
import dataclasses
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfplay.adapters import PythonChanceGame, PythonGame
from selfplay.arena import EngineAgent, parse_engine
from selfplay.errors import SelfplayError
from selfplay.game import ChanceGame, Game, title_from
from selfplay.registry import GameSpec
from selfplay.run import RunDirectory, is_run
from selfplay.serve.analysis.agents import EngineServed
from selfplay.serve.errors import in_words, not_found
from selfplay.serve.served import LoadedRuns, ServedGame, ServedRun, can_have, default_agent

_RESCAN_SECONDS = 5.0
_RETRY_SECONDS = 30.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may ask for.

    Attributes:
        simulations: of a search.
        milliseconds: of a search.
    """

    simulations: int = 4096
    milliseconds: int = 30_000


class Library:
    """The games and runs of one server. Requests name them; no request contains a path."""

    def __init__(
        self,
        *,
        games: Sequence[tuple[str, GameSpec]] = (),
        runs: Sequence[str] = (),
        awaited: Sequence[str] = (),
        folder: Path | None = None,
        engines: Sequence[str] = (),
        limits: Limits | None = None,
    ) -> None:
        """Opens the runs; loads no rules yet.

        Args:
            games: names and specifications of games that are served without a run.
            runs: paths or URLs of runs.
            awaited: paths or URLs at which a run may appear later.
            folder: a directory whose runs are served, including those that appear later.
            engines: "gtp:COMMAND" or "uci:COMMAND", opponents in every game without chance.
            limits: what one request may ask for.
        """
        self.limits = limits or Limits()
        self._specs = dict(games)
        self._folder = folder
        self._awaited = list(awaited)
        self._engines = tuple(engines)
        self._lock = threading.RLock()
        # Making a game takes a second; meanwhile runs and other games answer.
        self._making = threading.Lock()
        self._runs: dict[str, ServedRun] = {}
        self._loaded = LoadedRuns()
        self._games: dict[str, ServedGame] = {}
        self._rules: dict[str, Game[Any] | PythonGame[Any]] = {}
        self._game_of_run: dict[str, str] = {}
        self._damaged: dict[str, SelfplayError] = {}
        self._unmade: dict[str, tuple[float, SelfplayError]] = {}
        self._scanned = float("-inf")
        for place in runs:
            self._add_run(place)

    def runs(self) -> list[ServedRun]:
        """Returns the current runs, sorted by name."""
        with self._lock:
            self._rescan()
            return [self._runs[id] for id in sorted(self._runs)]

    def damaged_runs(self) -> dict[str, SelfplayError]:
        """Returns the runs of the folder that cannot be opened, with the reason."""
        with self._lock:
            self._rescan()
            return dict(sorted(self._damaged.items()))

    def run(self, id: str) -> ServedRun:
        """Returns a run; raises `RequestError` (404) if there is none of that name."""
        with self._lock:
            self._rescan()
            if id in self._damaged:
                raise self._damaged[id]
            if id not in self._runs:
                raise not_found(f"run {id!r}", "/api/v1/runs lists them")
            found = self._runs[id]
        if not is_run(found.directory.store):
            raise not_found(f"run {id!r} any more", "its directory was removed")
        return found

    def game_names(self) -> list[str]:
        """Returns the identifiers of all games, those of runs first."""
        with self._lock:
            of_runs = [self.game_of(run) for run in self.runs()]
        return list(dict.fromkeys([*of_runs, *self._specs]))

    def game_of(self, run: ServedRun) -> str:
        """Returns the identifier of a run's game; runs with equal rules share one."""
        with self._lock:
            if run.id not in self._game_of_run:
                name, rules = run.directory.game_name, run.directory.fingerprint
                for other, taken in self._game_of_run.items():
                    if other in self._runs and self._runs[other].directory.fingerprint == rules:
                        self._game_of_run[run.id] = taken
                        break
                else:
                    is_taken = name in self._game_of_run.values()
                    self._game_of_run[run.id] = f"{name} {run.id}" if is_taken else name
            return self._game_of_run[run.id]

    def default_game(self) -> str | None:
        """Returns the first game whose rules can be loaded; if there is none, the first game."""
        names = self.game_names()
        sound = (id for id in names if self.problem_of_game(id) is None)
        return next(sound, names[0] if names else None)

    def problem_of_game(self, id: str) -> SelfplayError | None:
        """Returns why the rules of a game cannot be loaded; None if they can."""
        try:
            self._written(id)
        except SelfplayError as error:
            return error
        return None

    def game(self, id: str | None) -> ServedGame:
        """Returns a game, the default one if `id` is None; loads its rules at the first call.

        Raises:
            RequestError: there is none of that name (404).
            SelfplayError: its rules cannot be loaded.
        """
        if id is None:
            id = self.default_game()
        if id is None or id not in self.game_names():
            what = "game yet" if id is None else f"game {id!r}"
            raise not_found(what, "/api/v1/games lists them")
        runs = self._runs_of(id)
        found = self._games.get(id)
        if found is None:
            with self._making:
                found = self._games.get(id) or self._served(id, runs)
                with self._lock:
                    self._games[id] = found
        found.runs = runs
        return found

    def _served(self, id: str, runs: Sequence[ServedRun]) -> ServedGame:
        """Makes a game and its engines."""
        game = self._made(id, runs)
        served = ServedGame(id, game)
        if not isinstance(game, ChanceGame):
            served.engines = [
                _engine(game, number, text) for number, text in enumerate(self._engines)
            ]
        return served

    def close(self) -> None:
        """Ends the programs of the engines."""
        for served in list(self._games.values()):
            for engine in served.engines:
                engine.close()

    def describe_game(self, id: str, *, shares: Sequence[str] = ()) -> dict[str, Any]:
        """Returns the document of a game for pages. It is quick: it compiles nothing.

        If the rules cannot be loaded, `problem` says why, and keys that depend on them are None.

        Args:
            id: identifier of the game.
            shares: agents that answer requests that name none.
        """
        if id not in self.game_names():
            raise not_found(f"game {id!r}", "/api/v1/games lists them")
        runs = self._runs_of(id)
        problem, rules = self.problem_of_game(id), None
        if problem is None:
            rules = self._written(id)
        warning = (
            "the rules hide something from a player, which the search sees all the same"
            if rules is not None and rules.hidden_information
            else ""
        )
        has_board = rules is not None and type(rules).board not in (Game.board, PythonGame.board)
        plies = None if rules is None else rules.max_plies
        return {
            "game": id,
            "name": runs[0].directory.game_name if rules is None else rules.name,
            "title": _title(id, rules),
            "problem": "" if problem is None else in_words(problem),
            "num_actions": None if rules is None else rules.num_actions,
            "max_plies": plies,
            "chance": isinstance(rules, ChanceGame | PythonChanceGame),
            "board": has_board,
            "hidden_information": warning,
            "limits": {**dataclasses.asdict(self.limits), "moves": plies},
            "default_agent": default_agent(runs),
            "shared": any(can_have(runs, agent) for agent in shares),
            "run": runs[0].id if runs else None,
            "docs": None,
        }

    def _runs_of(self, game: str) -> list[ServedRun]:
        return [run for run in self.runs() if self.game_of(run) == game]

    def _made(self, id: str, runs: Sequence[ServedRun]) -> Game[Any]:
        """Returns a game from the first run that can load it; raises the error of the first run."""
        errors: list[SelfplayError] = []
        for make in [run.make_game for run in runs] or [self._specs[id].make]:
            try:
                made = make()
            except SelfplayError as error:
                errors.append(error)
            else:
                self._unmade.pop(id, None)
                return made
        self._unmade[id] = (time.monotonic(), errors[0])
        raise errors[0]

    def _written(self, id: str) -> Game[Any] | PythonGame[Any]:
        """Returns a game as its author wrote it; after a failure it tries again later."""
        with self._lock:
            tried, problem = self._unmade.get(id, (float("-inf"), None))
            if problem is not None and time.monotonic() - tried < _RETRY_SECONDS:
                raise problem
            if id in self._rules:
                return self._rules[id]
            runs = self._runs_of(id)
            spec = runs[0].directory.game_spec if runs else self._specs[id]
            try:
                self._rules[id] = spec.rules()
            except SelfplayError:
                # Its file has moved: a run knows where to look.
                self._rules[id] = self._made(id, runs)
            return self._rules[id]

    def _rescan(self) -> None:
        if time.monotonic() - self._scanned < _RESCAN_SECONDS:
            return
        self._scanned = time.monotonic()
        for place in list(self._awaited):
            with contextlib.suppress(SelfplayError):
                if is_run(place):
                    self._add_run(place)
                    self._awaited.remove(place)
        if self._folder is None:
            return
        try:
            folders = sorted(path for path in self._folder.iterdir() if is_run(path))
        except OSError:
            folders = []
        self._damaged.clear()
        for folder in folders:
            if folder.name not in self._runs:
                try:
                    self._add_run(str(folder))
                except SelfplayError as error:
                    # A damaged run must not hide the others.
                    self._damaged[folder.name] = error
        removed = set(self._runs) - {folder.name for folder in folders}
        for id in removed:
            del self._runs[id]
            self._game_of_run.pop(id, None)
        if removed:
            self._forget_games({self.game_of(run) for run in self._runs.values()})

    def _forget_games(self, of_runs: set[str]) -> None:
        """Forgets the games that are served no more, and ends their engines."""
        for id in (self._games.keys() | self._rules.keys()) - of_runs - self._specs.keys():
            self._rules.pop(id, None)
            served = self._games.pop(id, None)
            for engine in served.engines if served is not None else ():
                engine.close()

    def _add_run(self, place: str) -> None:
        run = RunDirectory.open(place)
        name = re.split(r"[/\\]", run.url.rstrip("/"))[-1] or "run"
        self._runs[name] = ServedRun(name, run, self._loaded)


def _title(id: str, rules: Game[Any] | PythonGame[Any] | None) -> str:
    """Returns what people call a game.

    Games of one name with different rules are told apart by their run, which `id` contains.
    """
    name, space, run = id.partition(" ")
    if rules is None or not rules.title or rules.name != name:
        return title_from(id)
    return rules.title + space + run


def _engine(game: Game[Any], number: int, text: str) -> EngineServed:
    spec = parse_engine(text)
    title = f"{Path(spec.command[0]).name} ({spec.protocol.upper()})"
    return EngineServed(EngineAgent(game, spec), f"engine:{number}", title)
