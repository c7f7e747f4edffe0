"""Looking for broken laws: breadth-first from the start, along random matches, then shorter."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.check.exchange import Exchange, Turn
from selfplay.check.faults import POSITION_LAWS
from selfplay.check.laws import batched_begin, batched_init, batched_probe
from selfplay.check.lines import Kept, Line, RandomMatches
from selfplay.check.moves import Moves
from selfplay.game import Game, Symmetry

_SHRINK_ROUNDS = 40
_LONGEST_TRIAL = 400


class Explorer:
    """Compiled laws of one game, and what they found.

    Attributes:
        found: the first line that breaks each law, by law; symmetries by "part/index".
        positions: distinct positions seen breadth-first.
        moves: what moves were seen to do.
        exchange: how the twin of a match comes about; None if it has none.
    """

    def __init__(
        self,
        game: Game[Any],
        *,
        symmetries: Sequence[Symmetry[Any]],
        turn: Turn,
        batch_size: int,
    ) -> None:
        """Prepares; nothing is compiled before the first use."""
        self.game = game
        self.batch_size = batch_size
        self.found: dict[str, Line] = {}
        self.positions = 0
        self.moves = Moves(game.num_actions)
        self.exchange: Exchange | None = turn.exchanges[0] if turn.exchanges else None
        self._init = batched_init(game)
        seats = jnp.asarray(turn.seats)
        self._begin = batched_begin(game, seats)
        self._probe = batched_probe(
            game, symmetries, turn.movers, turn.counters, seats, turn.hand_over
        )

    def choose_exchange(
        self, exchanges: Sequence[Exchange], starts: Sequence[tuple[int, int]], *, seed: int
    ) -> None:
        """Keeps the exchange under which the rules treat both players alike, if there is one.

        The same random matches are played with the twin of each exchange. If twins go on alike to
        the end under any of them, then the others started from positions that cannot occur. Else
        it is the first.
        """
        if len(exchanges) < 2:
            return
        count = self.batch_size // len(exchanges)
        lines = [Line(start=start) for start in (list(starts) * count)[:count]]
        walks = [self._started(lines, exchange)[0] for exchange in exchanges]
        walk = _joined([_rows(one, range(count)) for one in walks])
        draw = np.random.default_rng(seed)
        over = np.zeros(count, bool)
        actions = np.full(count, -1)
        for _ in range(_LONGEST_TRIAL):
            probe = self._play(walk, np.tile(actions, len(exchanges)), [-1] * len(walk.looks),
                               np.tile(draw.random(count), len(exchanges)))  # fmt: skip
            walk, seen = _rows(probe.walk, range(len(walk.looks))), _merged(probe)
            over = np.asarray(seen.over[:count])
            if over.all():
                break
            actions = np.array(
                [-1 if over[row] else _pick(seen.mask[row], draw) for row in range(count)]
            )
        alike = np.asarray(walk.shows).reshape(len(exchanges), count).all(axis=1)
        behaves = np.asarray(walk.behaves).reshape(len(exchanges), count).all(axis=1)
        for good in (alike, behaves):
            if good.any():
                self.exchange = exchanges[int(np.argmax(good))]
                return

    def breadth_first(self, start: tuple[int, int], *, max_moves: int) -> None:
        """Tries all moves from the start, level by level, up to `max_moves` in all."""
        walk, seen, broken = self._started([Line(start=start)])
        self._note(broken, [Line(start=start)], [Line(start=start)], 1)
        walks, seen = _rows(walk, [0]), _rows(seen, [0])
        lines = [Line(start=start)]
        known = {_name(walks.position.state, 0)}
        draw = np.random.default_rng(0)
        while lines and max_moves > 0:
            over = np.asarray(seen.over)
            todo = [
                (row, action)
                for row in range(len(lines))
                for action in (
                    [-1] if over[row] else np.flatnonzero(seen.mask[row]).tolist() or [-1]
                )
            ][:max_moves]
            max_moves -= len(todo)
            next_lines: list[Line] = []
            parts: list[tuple[Any, Any]] = []
            for begin in range(0, len(todo), self.batch_size):
                some = todo[begin : begin + self.batch_size]
                rows = [row for row, _ in some]
                actions = [action for _, action in some]
                probe = self._play(
                    _rows(walks, rows), actions, [-1] * len(some), draw.random(len(some))
                )
                before = [lines[row] for row in rows]
                after = [
                    line.then(action, int(outcome))
                    for line, action, outcome in zip(before, actions, probe.outcome, strict=False)
                ]
                self._note(probe.broken, before, after, len(some))
                self.moves.add(probe, actions, before, after)
                new = []
                for index in range(len(some)):
                    if probe.played[index]:
                        name = _name(probe.walk.position.state, index)
                        if name not in known:
                            known.add(name)
                            new.append(index)
                if new:
                    next_lines += [after[index] for index in new]
                    parts.append((_rows(probe.walk, new), _rows(probe.after, new)))
            if not parts:
                break
            walks, seen = (_joined([part[side] for part in parts]) for side in range(2))
            lines = next_lines
        self.positions += len(known)

    def random_matches(
        self, starts: Sequence[tuple[int, int]], *, seed: int, max_plies: int, keep: int
    ) -> RandomMatches:
        """Plays one random match from each start.

        Args:
            starts: key data.
            seed: decides every move.
            max_plies: no match goes on for longer.
            keep: how many matches are kept in full (a share of their plies).
        """
        result = RandomMatches()
        for begin in range(0, len(starts), self.batch_size):
            some = starts[begin : begin + self.batch_size]
            self._random_batch(some, seed + begin, max_plies, keep if begin == 0 else 0, result)
        return result

    def _random_batch(
        self,
        starts: Sequence[tuple[int, int]],
        seed: int,
        max_plies: int,
        keep: int,
        result: RandomMatches,
    ) -> None:
        draw = np.random.default_rng(seed)
        count = len(starts)
        first = len(result.lines)
        lines = [Line(start=start) for start in starts]
        walk, seen, broken = self._started(lines)
        self._note(broken, lines, lines, count)
        result.starts |= {_name(walk.position.state, row) for row in range(count)}
        movers = [0] * count
        for ply in range(max_plies + 1):
            # Ended matches are looked at once more: the laws of positions hold there too.
            actions = [
                -1 if seen.over[row] else _pick(seen.mask[row], draw) for row in range(count)
            ]
            before_walk = walk
            probe = self._play(walk, actions, [-1] * count, draw.random(count))
            following = [
                line.then(action, int(outcome)) if played else line
                for line, action, outcome, played in zip(
                    lines, actions, probe.outcome, probe.played, strict=False
                )
            ]
            pointed = [
                line.then(action, int(outcome))
                for line, action, outcome in zip(lines, actions, probe.outcome, strict=False)
            ]
            self._note(probe.broken, lines, pointed, count)
            self.moves.add(probe, actions, lines, following)
            for row in range(count):
                if not probe.before.over[row]:
                    result.players.append(int(probe.before.player[row]))
                    result.legal.append(int(probe.before.mask[row].sum()))
                if not probe.played[row]:
                    continue
                movers[row] = int(probe.before.player[row])
                if not probe.after.over[row]:
                    result.again[1] += 1
                    if int(probe.after.player[row]) == movers[row]:
                        result.again[0] += 1
                        known = result.first_again
                        if known is None or len(following[row].actions) < len(known.actions):
                            result.first_again = following[row]
            for row in range(min(keep, count)):
                if probe.played[row] and (ply < 3 or ply % 4 == row % 4):
                    result.kept.append(
                        Kept(
                            line=lines[row],
                            match=first + row,
                            state=_row(before_walk.position.state, row),
                            action=actions[row],
                            after=_row(probe.walk.position.state, row),
                            before_seen=_row(probe.before, row),
                        )
                    )
            lines = following
            ended = np.asarray(probe.before.over)[:count] | ~np.asarray(probe.played)[:count]
            walk, seen = probe.walk, _merged(probe)
            if ended.all():
                break
        for row in range(count):
            result.lines.append(lines[row])
            result.finished.append(bool(seen.over[row]))
            result.terminal.append(bool(seen.terminal[row]))
            result.returns.append((float(seen.returns[row][0]), float(seen.returns[row][1])))
            result.last_movers.append(movers[row])
            result.behaves.append(bool(walk.behaves[row]))
            result.shows.append(bool(walk.shows[row]))
            result.finals.append(_row(walk.position.state, row))

    def shortened(
        self,
        law: str,
        line: Line | None = None,
        *,
        last: int | None = None,
        tries: int = 4096,
    ) -> Line:
        """Returns a shorter line that breaks the same law, if one is found by leaving moves out.

        Args:
            law: a key of `found`.
            line: the line to shorten; the one of `found` by default.
            last: the move that must break it; any by default.
            tries: how many lines to try at most.
        """
        line = self.found[law] if line is None else line
        for _ in range(_SHRINK_ROUNDS):
            length = len(line.actions)
            candidates = [
                line.without(begin, min(begin + size, length))
                for size in _sizes(length)
                for begin in range(0, length, max(1, size // 2) if size > 2 else 1)
            ][:tries]
            tries -= len(candidates)
            best = line
            for begin in range(0, len(candidates), self.batch_size):
                some = candidates[begin : begin + self.batch_size]
                for shown in self._shown(law, some, last):
                    if len(shown.actions) < len(best.actions):
                        best = shown
                if len(best.actions) < length - 2:
                    break
            if len(best.actions) == length or tries <= 0:
                return best
            line = best
        return line

    def _shown(self, law: str, lines: Sequence[Line], last: int | None) -> Iterator[Line]:
        """Yields for each line that breaks the law its first part that does."""
        walk, _, broken = self._started(lines)
        done = [False] * len(lines)
        draw = np.random.default_rng(0)
        if law in broken:
            for row, line in enumerate(lines):
                if broken[law][row]:
                    done[row] = True
                    yield line.first(0)
        for ply in range(max(len(line.actions) for line in lines) + 1):
            actions = [
                line.actions[ply] if ply < len(line.actions) and not done[row] else -1
                for row, line in enumerate(lines)
            ]
            outcomes = [line.outcomes[ply] if ply < len(line.outcomes) else -1 for line in lines]
            probe = self._play(walk, actions, outcomes, draw.random(len(lines)))
            flags = _flags(probe.broken)[law]
            for row, line in enumerate(lines):
                if not done[row] and flags[row] and last in (None, actions[row]):
                    done[row] = True
                    yield line.first(ply if law in POSITION_LAWS else ply + 1)
                elif not probe.played[row]:
                    done[row] = True
            if all(done):
                return
            walk = probe.walk

    def _started(
        self, lines: Sequence[Line], exchange: Exchange | None = None
    ) -> tuple[Any, Any, dict[str, np.ndarray]]:
        """Returns matches at their start; with the twins of `exchange`, or of the chosen one."""
        data = np.array([line.start for line in lines], np.uint32)
        data = np.resize(data, (self.batch_size, 2))
        states = jax.device_get(self._init(jax.random.wrap_key_data(jnp.asarray(data))))
        exchange = exchange or self.exchange
        twins = states if exchange is None else exchange.apply(states)
        return jax.device_get(self._begin(states, twins, exchange is not None))

    def _play(
        self,
        walk: Any,
        actions: Sequence[int] | np.ndarray,
        outcomes: Sequence[int],
        shares: np.ndarray,
    ) -> Any:
        """Returns the host copy of `laws.Probe` for rows filled up to the batch size."""
        size = self.batch_size
        padded = jax.tree.map(lambda leaf: np.resize(leaf, (size, *leaf.shape[1:])), walk)
        filled = [
            np.concatenate([np.asarray(values, kind), np.full(size - len(values), fill, kind)])
            for values, kind, fill in (
                (actions, np.int32, -1),
                (outcomes, np.int32, -1),
                (shares, np.float32, 0),
            )
        ]
        return jax.device_get(self._probe(padded, *filled))

    def _note(
        self,
        broken: dict[str, np.ndarray],
        before: Sequence[Line],
        after: Sequence[Line],
        count: int,
    ) -> None:
        for law, flags in _flags(broken).items():
            rows = np.flatnonzero(flags[:count]).tolist()
            if not rows:
                continue
            lines = before if law in POSITION_LAWS else after
            line = min((lines[row] for row in rows), key=lambda line: len(line.actions))
            known = self.found.get(law)
            if known is None or len(line.actions) < len(known.actions):
                self.found[law] = line


def _flags(broken: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns one vector per law; symmetries are told apart by "law/index"."""
    flat = {}
    for law, flags in broken.items():
        if flags.ndim == 1:
            flat[law] = flags
        else:
            flat |= {f"{law}/{index}": flags[:, index] for index in range(flags.shape[1])}
    return flat


def _merged(probe: Any) -> Any:
    """Returns what is seen where each match stands now: after the move, or as before."""
    played = np.asarray(probe.played)

    def pick(new: np.ndarray, old: np.ndarray) -> np.ndarray:
        return np.where(played.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return jax.tree.map(pick, probe.after, probe.before)


def _pick(mask: np.ndarray, draw: np.random.Generator) -> int:
    legal = np.flatnonzero(mask)
    return int(draw.choice(legal)) if legal.size else -1


def _sizes(length: int) -> list[int]:
    """Returns how many moves to leave out at once: half of them, a quarter, ... one."""
    sizes = []
    while length > 1:
        length //= 2
        sizes.append(length)
    return sizes or [1]


def _name(states: Any, row: int) -> bytes:
    return b"".join(np.asarray(leaf[row]).tobytes() for leaf in jax.tree.leaves(states))


def _row(tree: Any, row: int) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf[row]), tree)


def _rows(tree: Any, rows: Sequence[int]) -> Any:
    index = np.asarray(rows)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[index], tree)


def _joined(trees: Sequence[Any]) -> Any:
    combine: Callable[..., Any] = lambda *leaves: np.concatenate(leaves)  # noqa: E731
    return jax.tree.map(combine, *trees)
