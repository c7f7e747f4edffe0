"""Looks for broken laws: breadth-first from the first position, then along random matches."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.check.play.exchange import Exchange, Turn
from selfplay.check.play.move_effects import MoveEffects
from selfplay.check.play.ply import PlyLaws
from selfplay.check.play.probe import batched_begin, batched_init, batched_probe
from selfplay.check.play.rows import (
    facts_now,
    flags_of,
    joined,
    random_action,
    row_of,
    rows_of,
    state_bytes,
)
from selfplay.check.play.sequence import KeptPly, MoveSequence, RandomMatches
from selfplay.game import Game, Symmetry


class Explorer:
    """Compiled laws of one game, and what they found.

    Attributes:
        found: the shortest moves seen that break each law, by "law:part"; for symmetries by
            "law:part/index".
        positions: distinct positions seen breadth-first.
        moves: what moves were seen to do.
        exchange: how the twin of a match comes about; None if it has none.
    """

    def __init__(
        self,
        game: Game[Any],
        *,
        laws: PlyLaws,
        symmetries: Sequence[Symmetry[Any]],
        turn: Turn,
        batch_size: int,
    ) -> None:
        """Prepares; nothing is compiled before the first use."""
        self.game = game
        self._laws = laws
        self.batch_size = batch_size
        self.found: dict[str, MoveSequence] = {}
        self.positions = 0
        self.moves = MoveEffects(game.num_actions)
        self.exchange: Exchange | None = turn.exchanges[0] if turn.exchanges else None
        self._init = batched_init(game)
        seats = jnp.asarray(turn.seats)
        self._begin = batched_begin(game, laws, seats)
        self._probe = batched_probe(
            game, laws, symmetries, turn.movers, turn.counters, seats, turn.hand_over
        )

    def is_of_positions(self, law: str) -> bool:
        """Returns whether a key of `found` is about a position, not about a move."""
        return law.partition("/")[0] in self._laws.of_positions

    def breadth_first(self, start: tuple[int, int], *, max_moves: int) -> None:
        """Tries all moves from the start, level by level, up to `max_moves` in all."""
        match, seen, broken = self.started([MoveSequence(start=start)])
        self._note(broken, [MoveSequence(start=start)], [MoveSequence(start=start)], 1)
        matches, seen = rows_of(match, [0]), rows_of(seen, [0])
        lines = [MoveSequence(start=start)]
        known = {state_bytes(matches.position.state, 0)}
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
            next_lines: list[MoveSequence] = []
            parts: list[tuple[Any, Any]] = []
            for begin in range(0, len(todo), self.batch_size):
                some = todo[begin : begin + self.batch_size]
                rows = [row for row, _ in some]
                actions = [action for _, action in some]
                probe = self.play(
                    rows_of(matches, rows), actions, [-1] * len(some), draw.random(len(some))
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
                        name = state_bytes(probe.match.position.state, index)
                        if name not in known:
                            known.add(name)
                            new.append(index)
                if new:
                    next_lines += [after[index] for index in new]
                    parts.append((rows_of(probe.match, new), rows_of(probe.after, new)))
            if not parts:
                break
            matches, seen = (joined([part[side] for part in parts]) for side in range(2))
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
        lines = [MoveSequence(start=start) for start in starts]
        match, seen, broken = self.started(lines)
        self._note(broken, lines, lines, count)
        result.starts |= {state_bytes(match.position.state, row) for row in range(count)}
        movers = [0] * count
        for ply in range(max_plies + 1):
            # Ended matches are looked at once more: the laws of positions hold there too.
            actions = [
                -1 if seen.over[row] else random_action(seen.mask[row], draw)
                for row in range(count)
            ]
            before_match = match
            probe = self.play(match, actions, [-1] * count, draw.random(count))
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
                        KeptPly(
                            line=lines[row],
                            match=first + row,
                            state=row_of(before_match.position.state, row),
                            action=actions[row],
                            after=row_of(probe.match.position.state, row),
                            before_facts=row_of(probe.before, row),
                        )
                    )
            lines = following
            ended = np.asarray(probe.before.over)[:count] | ~np.asarray(probe.played)[:count]
            match, seen = probe.match, facts_now(probe)
            if ended.all():
                break
        for row in range(count):
            result.lines.append(lines[row])
            result.finished.append(bool(seen.over[row]))
            result.terminal.append(bool(seen.terminal[row]))
            result.returns.append((float(seen.returns[row][0]), float(seen.returns[row][1])))
            result.last_movers.append(movers[row])
            result.behaves.append(bool(match.behaves[row]))
            result.shows.append(bool(match.shows[row]))
            result.finals.append(row_of(match.position.state, row))

    def started(
        self, lines: Sequence[MoveSequence], exchange: Exchange | None = None
    ) -> tuple[Any, Any, dict[str, np.ndarray]]:
        """Returns matches at their start; with the twins of `exchange`, or of the chosen one."""
        data = np.array([line.start for line in lines], np.uint32)
        data = np.resize(data, (self.batch_size, 2))
        states = jax.device_get(self._init(jax.random.wrap_key_data(jnp.asarray(data))))
        exchange = exchange or self.exchange
        twins = states if exchange is None else exchange.apply(states)
        plies = np.zeros(self.batch_size, np.int32)
        return jax.device_get(self._begin(states, twins, plies, exchange is not None))

    def handed_over(self, match: Any, exchange: Exchange) -> Any:
        """Returns matches as they stand, each with a twin that begins here."""
        states = match.position.state
        pairs, _, _ = self._begin(states, exchange.apply(states), match.position.ply, True)
        return jax.device_get(pairs)

    def play(
        self,
        match: Any,
        actions: Sequence[int] | np.ndarray,
        outcomes: Sequence[int],
        shares: np.ndarray,
    ) -> Any:
        """Returns the host copy of `probe.Probe` for rows filled up to the batch size."""
        size = self.batch_size
        padded = jax.tree.map(lambda leaf: np.resize(leaf, (size, *leaf.shape[1:])), match)
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
        before: Sequence[MoveSequence],
        after: Sequence[MoveSequence],
        count: int,
    ) -> None:
        for law, flags in flags_of(broken).items():
            rows = np.flatnonzero(flags[:count]).tolist()
            if not rows:
                continue
            lines = before if self.is_of_positions(law) else after
            line = min((lines[row] for row in rows), key=lambda line: len(line.actions))
            known = self.found.get(law)
            if known is None or len(line.actions) < len(known.actions):
                self.found[law] = line
