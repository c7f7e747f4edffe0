"""Plays the same moves in two games, and finds the fewest after which they differ."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.check.laws.tested_elsewhere import AGAINST
from selfplay.check.play.probe import position_facts
from selfplay.check.play.sequence import MoveSequence
from selfplay.check.report import Fault
from selfplay.game import ChanceGame, Game, Position, advance, outcome_probabilities, start

BATCH = 64
"""Matches at once."""

_TOLERANCE = 1e-4
_UNKNOWN = -2
"""Outcome of a last move after which the probabilities differ: none was drawn."""
_ASKED = ("over", "terminal", "player", "mask", "returns")


class SideBySide:
    """Two games of the same sizes, played by the same moves and outcomes."""

    def __init__(self, game: Game[Any], other: Game[Any], observations: bool) -> None:
        """Prepares both; `observations` says whether they must agree too."""
        self._games = (game, other)
        self._asked = (*_ASKED, "observation") if observations else _ASKED
        self._begins = [_begin(one) for one in self._games]
        self._steps = [_step(one) for one in self._games]
        self._likely = [_likely(one) for one in self._games if isinstance(one, ChanceGame)]
        self._partners: dict[tuple[int, int], tuple[int, int]] = {}

    def match_starts(self, starts: list[tuple[int, int]]) -> None:
        """Finds for each random start of the first game one of the second that looks the same.

        Where equal keys give equal starts, or no equal one turns up, a start keeps its own key.
        """
        looks: list[dict[tuple[int, int], bytes]] = [{}, {}]
        for first in range(0, len(starts), BATCH):
            some = starts[first : first + BATCH]
            _, views = self._start(some)
            for known, seen in zip(looks, views, strict=True):
                known.update({key: _look(seen, row) for row, key in enumerate(some)})
        alike = {look: key for key, look in looks[1].items()}
        for key, look in looks[0].items():
            if looks[1][key] != look and look in alike:
                self._partners[key] = alike[look]

    def play(
        self, starts: list[tuple[int, int]], draw: np.random.Generator
    ) -> tuple[tuple[MoveSequence, str] | None, int]:
        """Plays a random match from each start; returns the first difference and the plies."""
        count = len(starts)
        lines = [MoveSequence(start=start) for start in starts]
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
            actions = np.zeros(BATCH, np.int32)
            for row in live:
                legal = np.flatnonzero(seen[0].mask[row])
                if legal.size:
                    actions[row] = draw.choice(legal)
            chances = self._chances(states, actions)
            unlike = self._unlike(chances, live)
            if unlike:
                row = min(unlike)
                return (lines[row].then(int(actions[row]), _UNKNOWN), unlike[row]), plies
            outcomes = np.full(BATCH, -1, np.int32)
            for row in live:
                if chances and chances[0][row].any():
                    likely = chances[0][row].astype(np.float64)
                    outcomes[row] = draw.choice(len(likely), p=likely / likely.sum())
                if seen[0].mask[row].any():
                    lines[row] = lines[row].then(int(actions[row]), int(outcomes[row]))
            states, seen = self._play(states, actions, outcomes)
        return None, plies

    def shortened(self, line: MoveSequence, difference: str) -> tuple[MoveSequence, str]:
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
            for begin in range(0, len(candidates), BATCH):
                for found in self._follow(candidates[begin : begin + BATCH]):
                    if len(found[0].actions) < len(shorter[0].actions):
                        shorter = found
            if shorter is best:
                return best
            best = shorter
        return best

    def fault(self, line: MoveSequence, difference: str) -> Fault:
        """Returns the difference with the boards of both games."""
        boards = []
        spelled: list[str] = []
        starts = (line.start, self._partners.get(line.start, line.start))
        for game, key in zip(self._games, starts, strict=True):
            state = game.init(jax.random.wrap_key_data(jnp.array(key, jnp.uint32)))
            names = []
            for action, outcome in zip(line.actions, line.outcomes, strict=True):
                names.append(game.action_to_string(state, action))
                if outcome == _UNKNOWN:
                    break
                state = game.step(state, jnp.int32(action))
                if isinstance(game, ChanceGame) and outcome >= 0:
                    names.append(f"roll:{game.outcome_to_string(state, outcome)}")
                    state = game.resolve(state, jnp.int32(outcome))
            spelled = spelled or names
            boards.append(f"{game.name}\n{game.render(state)}")
        return AGAINST.fault(
            difference,
            moves=line.actions,
            moves_text=tuple(spelled),
            outcomes=tuple(max(outcome, -1) for outcome in line.outcomes),
            start_key=line.start,
            before=f"{boards[0]}\n\n{boards[1]}",
        )

    def _follow(self, lines: list[MoveSequence]) -> list[tuple[MoveSequence, str]]:
        """Returns for each line that shows a difference its first part that does."""
        found = []
        states, seen = self._start([line.start for line in lines])
        done = [False] * len(lines)
        for ply in range(max(len(line.actions) for line in lines) + 1):
            for row, text in self._different(seen, len(lines)).items():
                if not done[row]:
                    done[row] = True
                    found.append((lines[row].first(ply), text))
            actions = np.zeros(BATCH, np.int32)
            outcomes = np.full(BATCH, -1, np.int32)
            for row, line in enumerate(lines):
                action = line.actions[ply] if ply < len(line.actions) else -1
                if seen[0].over[row] or action < 0 or not seen[0].mask[row][action]:
                    done[row] = True
                else:
                    actions[row] = action
                    outcomes[row] = line.outcomes[ply]
            chances = self._chances(states, actions)
            live = [row for row in range(len(lines)) if not done[row]]
            for row, text in self._unlike(chances, live).items():
                done[row] = True
                shown = lines[row].first(ply).then(int(actions[row]), _UNKNOWN)
                found.append((shown, text))
            for row in live:
                # With moves left out another roll may be due here, or none.
                rolled = chances[0][row] if chances else np.zeros(1)
                outcome = outcomes[row]
                fits = rolled[outcome] > 0 if outcome >= 0 else not rolled.any()
                done[row] = done[row] or not fits
            if all(done):
                break
            states, seen = self._play(states, actions, outcomes)
        return found

    def _start(self, starts: list[tuple[int, int]]) -> tuple[list[Any], list[Any]]:
        paired = [self._partners.get(start, start) for start in starts]
        begun = [
            begin(np.resize(np.array(keys, np.uint32), (BATCH, 2)))
            for begin, keys in zip(self._begins, (starts, paired), strict=True)
        ]
        return [state for state, _ in begun], [jax.device_get(seen) for _, seen in begun]

    def _play(
        self, states: list[Any], actions: np.ndarray, outcomes: np.ndarray
    ) -> tuple[list[Any], list[Any]]:
        stepped = [
            step(state, actions, outcomes) for step, state in zip(self._steps, states, strict=True)
        ]
        return [state for state, _ in stepped], [jax.device_get(seen) for _, seen in stepped]

    def _chances(self, states: list[Any], actions: np.ndarray) -> list[np.ndarray]:
        """Returns how likely each outcome is in both games, [B, C]; nothing without chance."""
        asked = zip(self._likely, states, strict=False)
        return [np.asarray(likely(state, actions)) for likely, state in asked]

    def _unlike(self, chances: list[np.ndarray], rows: list[int]) -> dict[int, str]:
        """Returns where probabilities differ, by row."""
        texts = {}
        for row in rows if chances else []:
            one, two = chances[0][row], chances[1][row]
            names = self._names()
            if one.any() != two.any():
                only = names[0] if one.any() else names[1]
                texts[row] = f"after the last move chance follows in {only} alone"
            elif not np.allclose(one, two, atol=_TOLERANCE):
                outcome = int(np.argmax(np.abs(one - two)))
                texts[row] = (
                    f"the probability of outcome {outcome} after the last move: "
                    f"{one[outcome]:.4g} in {names[0]}, {two[outcome]:.4g} in {names[1]}"
                )
        return texts

    def _names(self) -> tuple[str, str]:
        first, second = (game.name for game in self._games)
        return ("the first game", "the second") if first == second else (first, second)

    def _different(self, seen: list[Any], count: int) -> dict[int, str]:
        """Returns what differs, by row; the first thing that does."""
        texts: dict[int, str] = {}
        for name in self._asked:
            one, two = (np.asarray(getattr(view, name)) for view in seen)
            if one.shape != two.shape:
                shapes = f"{list(one.shape[1:])}, then {list(two.shape[1:])}"
                return {0: f"{name} has the shape {shapes}"}
            close = np.isclose(one.astype(np.float64), two.astype(np.float64), atol=_TOLERANCE)
            unequal = np.asarray(~np.asarray(close).reshape(BATCH, -1).all(axis=1))
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
        first, second = self._names()
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


def _look(seen: Any, row: int) -> bytes:
    """Returns what the player to move sees at a start, to three decimals."""
    observation = np.asarray(seen.observation[row], np.float64)
    return b"".join(
        [
            bytes([int(seen.player[row])]),
            np.asarray(seen.mask[row]).tobytes(),
            np.round(observation * 1000).astype(np.int64).tobytes(),
        ]
    )


def _begin(game: Game[Any]) -> Any:
    def begin(data: Any) -> Any:
        position = start(game, jax.random.wrap_key_data(data))
        return position, position_facts(game, position.state, position.ply)

    return jax.jit(jax.vmap(begin))


def _step(game: Game[Any]) -> Any:
    # Ended matches stay as they are: step need not cope with them.
    def step(position: Position[Any], action: Any, outcome: Any) -> Any:
        after = advance(game, position, action, outcome).position
        return after, position_facts(game, after.state, after.ply)

    return jax.jit(jax.vmap(step))


def _likely(game: ChanceGame[Any]) -> Any:
    return jax.jit(jax.vmap(lambda position, action: outcome_probabilities(game, position, action)))
