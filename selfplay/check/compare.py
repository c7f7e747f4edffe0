"""Are two games the same? Random matches through both, compared at every ply."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.check.faults import Fault
from selfplay.check.laws import see
from selfplay.check.lines import Line
from selfplay.configuration import check_range
from selfplay.errors import ConfigError
from selfplay.game import ChanceGame, Game

_BATCH = 64
_TOLERANCE = 1e-4
_ASKED = ("over", "terminal", "player", "mask", "returns")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """What random matches through two games showed.

    Attributes:
        game: name of the first.
        other: name of the second.
        matches: how many were played.
        plies: positions compared.
        fault: the first difference; None if there is none.
        observations: whether observations were compared.
    """

    game: str
    other: str
    matches: int
    plies: int
    fault: Fault | None
    observations: bool

    def to_dict(self) -> dict[str, Any]:
        """Returns the document that `selfplay check --against --json` prints."""
        return {
            "game": self.game,
            "against": self.other,
            "ok": self.fault is None,
            "problems": [self.fault.to_dict()] if self.fault else [],
            "measures": {
                "matches": self.matches,
                "positions": self.plies,
                "observations_compared": self.observations,
            },
        }


def compare(
    game: Game[Any],
    other: Game[Any],
    *,
    matches: int = 256,
    seed: int = 0,
    observations: bool = False,
) -> Comparison:
    """Plays the same random matches in both games until something differs.

    Compared are, at every ply: whether the match is over, who is to move, which actions are
    legal, and the results; on request the observations. Actions have the same numbers in both.

    Args:
        game: its legal moves are played.
        other: must agree.
        matches: how many, at least 1.
        seed: of the moves and the first positions.
        observations: whether what the player to move sees must be the same too.

    Raises:
        ConfigError: the games cannot be compared.
    """
    check_range("matches", matches, low=1)
    chance = [isinstance(one, ChanceGame) for one in (game, other)]
    if any(chance):
        raise ConfigError(
            f"{(game if chance[0] else other).name} is a game of chance, but --against compares "
            "games without",
        )
    if game.num_actions != other.num_actions:
        fault = Fault(
            rule="against",
            message=f"{game.name} has {game.num_actions} actions, {other.name} {other.num_actions}",
        )
        return Comparison(
            game=game.name,
            other=other.name,
            matches=0,
            plies=0,
            fault=fault,
            observations=observations,
        )
    pair = _Pair(game, other, observations)
    plies = 0
    found: tuple[Line, str] | None = None
    keys = np.asarray(jax.random.key_data(jax.random.split(jax.random.key(seed), matches)))
    draw = np.random.default_rng(seed)
    played = 0
    while played < matches and found is None:
        some = [(int(one), int(two)) for one, two in keys[played : played + _BATCH]]
        played += len(some)
        found, more = pair.play(some, draw)
        plies += more
    shown = None if found is None else pair.fault(*pair.shortened(*found))
    return Comparison(
        game=game.name,
        other=other.name,
        matches=played,
        plies=plies,
        fault=shown,
        observations=observations,
    )


class _Pair:
    """Two games side by side."""

    def __init__(self, game: Game[Any], other: Game[Any], observations: bool) -> None:
        self._games = (game, other)
        self._asked = (*_ASKED, "observation") if observations else _ASKED
        self._begins = [_begin(one) for one in self._games]
        self._steps = [_step(one) for one in self._games]

    def play(
        self, starts: list[tuple[int, int]], draw: np.random.Generator
    ) -> tuple[tuple[Line, str] | None, int]:
        """Plays a random match from each start; returns the first difference and the plies."""
        count = len(starts)
        lines = [Line(start=start) for start in starts]
        states, seen = self._start(starts)
        plies = 0
        for _ in range(max(game.max_plies for game in self._games) + 1):
            different = self._different(seen, count)
            live = [row for row in range(count) if not seen[0].over[row]]
            plies += len(live)
            if different:
                row = min(different)
                return (lines[row], different[row]), plies
            if not live:
                break
            actions = np.zeros(_BATCH, np.int32)
            for row in live:
                legal = np.flatnonzero(seen[0].mask[row])
                if not legal.size:
                    continue
                actions[row] = draw.choice(legal)
                lines[row] = lines[row].then(int(actions[row]), -1)
            states, seen = self._play(states, seen, actions)
        return None, plies

    def shortened(self, line: Line, difference: str) -> tuple[Line, str]:
        """Returns a shorter line that shows a difference, if leaving out moves gives one."""
        best = (line, difference)
        while best[0].actions:
            length = len(best[0].actions)
            candidates = [
                best[0].without(begin, begin + size)
                for size in range(min(4, length), 0, -1)
                for begin in range(length - size + 1)
            ]
            shorter = best
            for begin in range(0, len(candidates), _BATCH):
                for found in self._follow(candidates[begin : begin + _BATCH]):
                    if len(found[0].actions) < len(shorter[0].actions):
                        shorter = found
            if shorter is best:
                return best
            best = shorter
        return best

    def fault(self, line: Line, difference: str) -> Fault:
        """Returns the difference with the boards of both games."""
        boards = []
        spelled: list[str] = []
        for index, game in enumerate(self._games):
            state = game.init(jax.random.wrap_key_data(jnp.array(line.start, jnp.uint32)))
            names = []
            for action in line.actions:
                names.append(game.action_to_string(state, action))
                state = game.step(state, jnp.int32(action))
            spelled = spelled or names
            boards.append(f"{self._games[index].name}\n{game.render(state)}")
        return Fault(
            rule="against",
            message=difference,
            moves=line.actions,
            moves_text=tuple(spelled),
            outcomes=line.outcomes,
            start_key=line.start,
            before=f"{boards[0]}\n\n{boards[1]}",
        )

    def _follow(self, lines: list[Line]) -> list[tuple[Line, str]]:
        """Returns for each line that shows a difference its first part that does."""
        found = []
        states, seen = self._start([line.start for line in lines])
        done = [False] * len(lines)
        for ply in range(max(len(line.actions) for line in lines) + 1):
            for row, text in self._different(seen, len(lines)).items():
                if not done[row]:
                    done[row] = True
                    found.append((lines[row].first(ply), text))
            actions = np.zeros(_BATCH, np.int32)
            for row, line in enumerate(lines):
                action = line.actions[ply] if ply < len(line.actions) else -1
                if seen[0].over[row] or action < 0 or not seen[0].mask[row][action]:
                    done[row] = True
                else:
                    actions[row] = action
            if all(done):
                break
            states, seen = self._play(states, seen, actions)
        return found

    def _start(self, starts: list[tuple[int, int]]) -> tuple[list[Any], list[Any]]:
        data = np.resize(np.array(starts, np.uint32), (_BATCH, 2))
        begun = [begin(data) for begin in self._begins]
        return [state for state, _ in begun], [jax.device_get(seen) for _, seen in begun]

    def _play(
        self, states: list[Any], seen: list[Any], actions: np.ndarray
    ) -> tuple[list[Any], list[Any]]:
        # Ended matches stay as they are, in both games: step need not cope with them.
        over = np.asarray(seen[0].over)
        stepped = [
            step(state, actions, over) for step, state in zip(self._steps, states, strict=True)
        ]
        return [state for state, _ in stepped], [jax.device_get(seen) for _, seen in stepped]

    def _different(self, seen: list[Any], count: int) -> dict[int, str]:
        """Returns what differs, by row; the first thing that does."""
        texts: dict[int, str] = {}
        for name in self._asked:
            one, two = (np.asarray(getattr(view, name)) for view in seen)
            if one.shape != two.shape:
                shapes = f"{list(one.shape[1:])}, then {list(two.shape[1:])}"
                return {0: f"{name} has the shape {shapes}"}
            close = np.isclose(one.astype(np.float64), two.astype(np.float64), atol=_TOLERANCE)
            unequal = np.asarray(~np.asarray(close).reshape(_BATCH, -1).all(axis=1))
            over = np.asarray(seen[0].over)
            if name in ("player", "mask", "observation"):
                unequal = np.asarray(unequal & ~over)
            elif name == "returns":
                # Before the end they only count at max_plies.
                unequal = np.asarray(unequal & over)
            for row in np.flatnonzero(unequal[:count]).tolist():
                texts.setdefault(row, self._told(name, np.asarray(one[row]), np.asarray(two[row])))
        return texts

    def _told(self, name: str, one: np.ndarray, two: np.ndarray) -> str:
        first, second = (game.name for game in self._games)
        if first == second:
            first, second = "the first game", "the second"
        if name == "mask":
            only = [np.flatnonzero(one & ~two).tolist(), np.flatnonzero(two & ~one).tolist()]
            parts = [
                f"legal in {who} alone: {actions}"
                for who, actions in zip((first, second), only, strict=True)
                if actions
            ]
            return "; ".join(parts)
        names = {
            "over": "the match is over",
            "terminal": "the rules end the match",
            "player": "the player to move",
            "returns": "the results",
            "observation": "the observation",
        }
        if name == "observation":
            place = np.unravel_index(int(np.argmax(one != two)), one.shape)
            where = ", ".join(map(str, map(int, place)))
            return f"observation[{where}] is {one[place]:g} in {first}, {two[place]:g} in {second}"
        return f"{names[name]}: {one.tolist()} in {first}, {two.tolist()} in {second}"


def _begin(game: Game[Any]) -> Any:
    def begin(data: Any) -> Any:
        state = game.init(jax.random.wrap_key_data(data))
        position = (state, jnp.int32(0))
        return position, see(game, *position)

    return jax.jit(jax.vmap(begin))


def _step(game: Game[Any]) -> Any:
    def step(position: Any, action: Any, over: Any) -> Any:
        state, ply = position
        stepped = (game.step(state, action), ply + 1)
        position = jax.tree.map(lambda new, old: jnp.where(over, old, new), stepped, position)
        return position, see(game, *position)

    return jax.jit(jax.vmap(step))
