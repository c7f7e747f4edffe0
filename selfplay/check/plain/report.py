"""Checks a plain-Python game on the host and returns its faults, warnings and measures."""

import contextlib
import copy
import dataclasses
import functools
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.adapters import failures
from selfplay.adapters.python_game import PythonChanceGame, PythonGame
from selfplay.adapters.tree import HostTree, Moves
from selfplay.check.faults import sample_findings
from selfplay.check.laws.law import Sample
from selfplay.check.laws.table import LAWS
from selfplay.check.plain.random_play import PlainRules
from selfplay.check.plain.sides import Sides
from selfplay.check.plain.time_limit import StillRunningError, TimeLimit
from selfplay.check.plain.timed_tree import HangsError, Noting, TimedTree, moves_of, own_states
from selfplay.check.play.sequence import KeptPly, MoveSequence
from selfplay.check.report import Fault
from selfplay.contract import brief
from selfplay.errors import GameContractError

_READ_MATCHES = 4096
_READ_PLIES = 400_000
_FEWEST_READ = 128
_TEXT_MATCHES = 3
_TEXT_POSITIONS = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlainReport:
    """What was found on the host.

    Attributes:
        faults: broken rules.
        warnings: what is allowed, but seldom meant.
        measures: "exchange": how the players were exchanged, in words; "read_matches": random
            matches whose results were guessed from what was seen.
    """

    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...] = ()
    measures: dict[str, Any] = dataclasses.field(default_factory=dict)


def plain_report(
    rules: PythonGame[Any],
    starts: Sequence[tuple[int, int]],
    *,
    seed: int,
    say: Callable[[str], None],
    cpu_seconds: float = 10.0,
) -> PlainReport:
    """Returns what is wrong with a plain-Python game.

    Args:
        rules: the user's game.
        starts: key data of first positions, one for each random match that is looked at closely.
        seed: decides the moves.
        say: called with a line of text at each stage.
        cpu_seconds: of computing after which a call counts as one that never returns.
    """
    with TimeLimit(cpu_seconds=cpu_seconds) as limit:
        say("trying all first moves, and playing random matches, in Python")
        plain = PlainRules(rules, limit)
        sides = Sides(plain, limit)
        keys = _keys_of(starts)
        plain.look(list(keys), seed=seed)
        if not plain.errors and plain.tree is not None:
            longest = max(1, rules.max_plies)
            count = max(_FEWEST_READ, min(_READ_MATCHES, _READ_PLIES // longest))
            say(f"reading up to {count:,} random matches")
            more = _keys_of(_more_starts(count, seed))
            keys |= more
            readings = plain.read(list(more), seed=seed)
            if not plain.errors:
                with contextlib.suppress(HangsError):
                    sides.exchange(plain.tree, readings)
                    _look_at_texts(plain, plain.tree, limit, readings.matches)
        faults, warnings = (
            [
                fault_of(rules, plain.tree, error, keys.get((error.start or (0,))[0], (0, 0)))
                for error in errors
            ]
            for errors in (_causes(plain.errors), sides.warnings)
        )
        failures.take()
        return PlainReport(
            faults=tuple(sorted(faults, key=lambda fault: len(fault.moves))),
            warnings=tuple(warnings),
            measures=sides.measures,
        )


def _causes(errors: Mapping[str, GameContractError]) -> list[GameContractError]:
    """Returns the broken rules without those that may be broken because of others."""
    first = [errors[rule] for rule in ("mutation", "randomness") if rule in errors]
    return first or list(errors.values())


def fault_of(
    rules: PythonGame[Any],
    tree: TimedTree | None,
    error: GameContractError,
    key: tuple[int, int],
) -> Fault:
    """Returns a broken rule with the moves and the position that show it."""
    name = f"{getattr(rules, 'name', '')}: "
    position, spelled = "", list(map(str, error.moves))
    with contextlib.suppress(StillRunningError):
        if tree is not None:
            position, spelled = _shown(rules, tree, moves_of(tree, error))
    return LAWS[error.rule or "contract"].fault(
        str(error).removeprefix(name),
        python=True,
        moves=error.moves,
        moves_text=tuple(spelled),
        outcomes=error.outcomes,
        start_key=key,
        before=position,
    )


def _look_at_texts(
    plain: PlainRules, tree: HostTree, limit: TimeLimit, matches: Sequence[Moves]
) -> None:
    """Notes what names of moves, texts, boards and solutions get wrong along a few matches."""
    rules = plain.rules
    some, ends = _kept(tree, matches[:_TEXT_MATCHES])
    limited = copy.copy(rules)
    for name in ("action_to_string", "string_to_action", "render", "board"):
        setattr(limited, name, functools.partial(_limited, limit, name, getattr(rules, name)))
    sample = Sample(game=limited, singles={}, some=some, ends=ends, matches=None)
    for law, finding in sample_findings(sample, in_python=True):
        with Noting(plain.errors):
            line = finding.line or MoveSequence(start=(0, 0))
            tree.refuse(moves_of(tree, line), finding.message, rule=law.name)
    for one in some if type(rules).solve is not PythonGame.solve else ():
        with Noting(plain.errors):
            tree.call(moves_of(tree, one.line), "solve", one.state)


def _limited(limit: TimeLimit, name: str, method: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return limit.run(functools.partial(method, *arguments))
    except StillRunningError:
        seconds = f"{limit.cpu_seconds:g} seconds"
        raise RuntimeError(f"{name} has not returned after {seconds}") from None


def _shown(rules: PythonGame[Any], tree: TimedTree, moves: Moves) -> tuple[str, list[str]]:
    """Returns the position after `moves`, or the last one there is, and the moves as written."""
    position = ""
    spelled: list[str] = []
    before: Moves = (moves[0], b"")
    listed = tree.listed(moves)
    with contextlib.suppress(GameContractError):
        for entry, state in zip([*listed, None], own_states(tree, moves), strict=True):
            position = _rendered(tree.limit, rules, state) or "(nothing)"
            if entry is not None:
                rolled = tree.node(before).chance is not None
                spelled.append(_spelled(tree.limit, rules, state, entry, rolled))
                before = tree.extend(before, entry)
    return position, spelled


def _rendered(limit: TimeLimit, rules: PythonGame[Any], state: Any) -> str:
    try:
        return str(_limited(limit, "render", rules.render, state))
    except Exception as error:
        return f"(render fails: {brief(error)})"


def _spelled(limit: TimeLimit, rules: PythonGame[Any], state: Any, entry: int, rolled: bool) -> str:
    try:
        if rolled and isinstance(rules, PythonChanceGame):
            told = _limited(limit, "outcome_to_string", rules.outcome_to_string, state, entry)
            return f"roll:{told}"
        return str(_limited(limit, "action_to_string", rules.action_to_string, state, entry))
    except Exception:
        return f"roll:#{entry}" if rolled else str(entry)


def _kept(
    tree: HostTree, matches: Sequence[Moves]
) -> tuple[list[KeptPly], list[tuple[MoveSequence, Any]]]:
    """Returns a few positions of some matches, and where these ended."""
    some: list[KeptPly] = []
    ends = []
    for number, moves in enumerate(matches):
        before: Moves = (moves[0], b"")
        listed = tree.listed(moves)
        for index, entry in enumerate(listed):
            node = tree.node(before)
            if node.chance is None and index % max(1, len(listed) // _TEXT_POSITIONS) == 0:
                mask = np.unpackbits(np.frombuffer(node.legal, np.uint8))
                seen = types.SimpleNamespace(mask=mask[: tree.rules.num_actions])
                some.append(
                    KeptPly(
                        line=_line(tree, before),
                        match=number,
                        state=node.state,
                        action=entry,
                        after=None,
                        before_facts=seen,
                    )
                )
            before = tree.extend(before, entry)
        ends.append((_line(tree, moves), tree.node(moves).state))
    return some, ends


def _line(tree: HostTree, moves: Moves) -> MoveSequence:
    actions, outcomes = tree.split(moves)
    return MoveSequence(start=(0, moves[0]), actions=actions, outcomes=outcomes)


def _keys_of(starts: Sequence[tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """Returns key data by the seed that a plain-Python game draws from it."""
    keys = jax.random.wrap_key_data(jnp.array(starts, jnp.uint32))
    seeds = jax.vmap(lambda key: jax.random.bits(key, dtype=jnp.uint32))(keys)
    return dict(zip(np.asarray(seeds).tolist(), starts, strict=True))


def _more_starts(count: int, seed: int) -> list[tuple[int, int]]:
    # Others than those that are looked at closely.
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1), count)
    return [(int(one), int(other)) for one, other in np.asarray(jax.random.key_data(keys))]
