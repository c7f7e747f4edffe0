"""Checks a game against every law, by looking at its methods and by playing it at random."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.adapters import HostedGame, PythonGame, failures, host
from selfplay.check.faults import FaultFinder, rules_faults
from selfplay.check.laws.compiled import compiled_laws
from selfplay.check.laws.shape import CONTRACT
from selfplay.check.laws.symmetry import usable_symmetries
from selfplay.check.laws.table import LAWS
from selfplay.check.laws.traces import METHODS
from selfplay.check.measures import measure
from selfplay.check.plain.report import fault_of, plain_report
from selfplay.check.play.choose_exchange import choose_exchange
from selfplay.check.play.exchange import Turn, find_turn
from selfplay.check.play.exploration import Exploration
from selfplay.check.play.explorer import Explorer
from selfplay.check.play.look_alikes import look_alikes
from selfplay.check.report import CheckReport, Fault
from selfplay.configuration import check_range
from selfplay.contract import brief
from selfplay.errors import GameContractError, SelfplayError
from selfplay.game import ChanceGame, Game

_BATCH = 64
_MOST_PLIES = 1000
_BREADTH_FIRST_MOVES = 1024
_KEPT_MATCHES = 6
_SURVEY_PLIES = 12
_SURVEY_MATCHES = 3
_FEWEST_MATCHES = 8
_LOOK_SECONDS = 2.0


def check_game(
    game: Game[Any] | PythonGame[Any], *, matches: int = 64, seed: int = 0, measures: bool = False
) -> CheckReport:
    """Checks that `game` keeps the contract, for tests of your own game.

        def test_my_game():
            selfplay.check_game(MyGame())

    Returns:
        The report, with `warnings`, and with `measures` of compilation and speed if asked for.

    Raises:
        GameContractError: a law is broken; the message holds every fault with the moves that show
            it.

    Args:
        game: the rules.
        matches: how many random matches are played, at least 8.
        seed: of the random moves and first positions.
        measures: whether to measure compilation and speed too, which takes longer.
    """
    report = examine(game, matches=matches, seed=seed, measures=measures)
    if not report.ok:
        faults = "\n\n".join(fault.to_text() for fault in report.faults)
        count = len(report.faults)
        raise GameContractError(
            f"{report.game} breaks the contract of a game in {count} "
            f"{'way' if count == 1 else 'ways'}:\n\n{faults}"
        )
    return report


def examine(
    game: Game[Any] | PythonGame[Any],
    *,
    matches: int = 64,
    seed: int = 0,
    measures: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> CheckReport:
    """Returns the faults of `game`, warnings, and measures.

    Args:
        game: the rules, however broken.
        matches: how many random matches are played, at least 8.
        seed: of the random moves and first positions.
        measures: whether to measure compilation and speed.
        say: called with a line of text at each stage.
    """
    check_range("matches", matches, low=_FEWEST_MATCHES)
    check_range("seed", seed, low=0)
    if isinstance(game, HostedGame | PythonGame):
        return _examine_plain(game, matches, seed, measures, say)
    return _examine_compiled(game, matches, seed, measures, say)


def _examine_plain(
    game: HostedGame | PythonGame[Any],
    matches: int,
    seed: int,
    measures: bool,
    say: Callable[[str], None],
) -> CheckReport:
    """Returns what the check on the host finds; if that is no fault, what compiled play finds."""
    rules = game if isinstance(game, PythonGame) else game.rules
    plain = plain_report(rules, _start_keys(matches, seed), seed=seed, say=say)
    faults = list(plain.faults)
    if not faults:
        try:
            hosted = game if isinstance(game, HostedGame) else host(rules)
            report = _examine_compiled(hosted, matches, seed, measures, say)
            return CheckReport(
                game=_name(rules),
                faults=report.faults,
                warnings=(*plain.warnings, *report.warnings),
                measures={**report.measures, **plain.measures} if report.measures else {},
            )
        except GameContractError as error:
            faults = [fault_of(rules, None, error, (0, 0))]
        finally:
            failures.take()
    return CheckReport(
        game=_name(rules), faults=tuple(faults), warnings=plain.warnings, measures={}
    )


def _name(game: Game[Any] | PythonGame[Any]) -> str:
    return game.name if isinstance(getattr(game, "name", None), str) else type(game).__name__


def _examine_compiled(
    game: Game[Any],
    matches: int,
    seed: int,
    measures: bool,
    say: Callable[[str], None],
) -> CheckReport:
    """Returns what compiled play finds."""
    faults, stops = rules_faults(game)
    if stops:
        return CheckReport(game=_name(game), faults=tuple(faults), warnings=(), measures={})
    say("compiling the rules")
    singles = {method: jax.jit(getattr(game, method)) for method in METHODS}
    try:
        exploration = _explored(game, singles, matches, seed, say)
    except Exception as error:
        # JAX reports what a plain-Python game did wrong as an error of its own.
        cause = failures.take() or error
        if isinstance(game, HostedGame) and isinstance(cause, GameContractError):
            raise cause from error
        if isinstance(cause, jax.errors.JaxRuntimeError | MemoryError):
            raise
        text = str(cause) if isinstance(cause, SelfplayError) else brief(error)
        faults.append(CONTRACT.fault(f"the rules fail in play: {text}"))
        return CheckReport(game=_name(game), faults=tuple(faults), warnings=(), measures={})
    finder = FaultFinder(exploration)
    found = list(finder.of_play())
    say("comparing text, boards and single calls")
    found += finder.of_sample(singles)
    sound = not faults and all(one.is_warning for one in found)
    if measures:
        say("measuring")
    measured = measure(game, singles, exploration, full=measures and sound)
    measured |= finder.legal_actions()
    if sound:
        say("looking for positions that look the same")
        pairs = look_alikes(game, seed=seed, seconds=_LOOK_SECONDS)
        found += finder.of_look_alikes(pairs)
    sound = sound and all(one.is_warning for one in found)
    # Of a plain-Python game `plain_report` has read thousands of matches.
    if sound and exploration.unproven and not isinstance(game, HostedGame):
        say("guessing the results of thousands of random matches")
        found += finder.of_guesses()
    broken = {one.rule for one in (*faults, *found)}
    measured["twin"] = exploration.twin(broken)
    found += finder.of_measures(measured, broken)
    return CheckReport(
        game=_name(game),
        faults=tuple(_one_per_rule([*faults, *(one for one in found if not one.is_warning)])),
        warnings=tuple(one for one in found if one.is_warning),
        measures=measured,
    )


def _explored(
    game: Game[Any],
    singles: Mapping[str, Callable[..., Any]],
    matches: int,
    seed: int,
    say: Callable[[str], None],
) -> Exploration:
    """Plays breadth-first and at random, and returns what that has shown."""
    # The compiled state of a plain-Python game only names a position: no number of it can be
    # changed. `plain_report` has exchanged the players in the user's own states.
    turn = Turn(why_none="the state is kept in Python")
    if not isinstance(game, HostedGame):
        turn = find_turn(game, _survey(game, singles, seed))
    symmetries = usable_symmetries(game)
    explorer = Explorer(
        game,
        laws=compiled_laws(LAWS.values()),
        symmetries=symmetries,
        turn=turn,
        batch_size=_BATCH,
    )
    starts = _start_keys(matches, seed)
    explorer.exchange = choose_exchange(explorer, turn.exchanges, symmetries, starts, seed=seed)
    say("trying all first moves")
    explorer.breadth_first(starts[0], max_moves=_BREADTH_FIRST_MOVES)
    say(f"playing {matches} random matches")
    played = explorer.random_matches(
        starts, seed=seed, max_plies=min(game.max_plies, _MOST_PLIES), keep=_KEPT_MATCHES
    )
    return Exploration(
        game=game,
        explorer=explorer,
        played=played,
        symmetries=symmetries,
        turn=turn,
        step=singles["step"],
        seed=seed,
    )


def _start_keys(count: int, seed: int) -> list[tuple[int, int]]:
    keys = jax.random.key_data(jax.random.split(jax.random.key(seed), count))
    return [(int(one), int(other)) for one, other in np.asarray(keys)]


def _survey(game: Game[Any], singles: Mapping[str, Callable[..., Any]], seed: int) -> list[Any]:
    """Returns the states of the first plies of a few random matches, on the host."""
    draw = np.random.default_rng(seed)
    states = []
    for start in _start_keys(_SURVEY_MATCHES, seed):
        state = game.init(jax.random.wrap_key_data(jnp.array(start, jnp.uint32)))
        for _ in range(_SURVEY_PLIES):
            if singles["is_terminal"](state):
                break
            states.append(jax.tree.map(np.asarray, jax.device_get(state)))
            legal = np.flatnonzero(singles["legal_action_mask"](state))
            if not legal.size:
                break
            state = singles["step"](state, jnp.int32(draw.choice(legal)))
            if isinstance(game, ChanceGame):
                if singles["is_terminal"](state) or not game.is_chance(state):
                    continue
                likely = np.asarray(game.chance_probabilities(state), np.float64).clip(0)
                if not likely.sum() > 0:
                    break
                outcome = draw.choice(likely.size, p=likely / likely.sum())
                state = game.resolve(state, jnp.int32(outcome))
    return states


def _one_per_rule(faults: Sequence[Fault]) -> list[Fault]:
    """Returns the fault with the fewest moves for each rule and kind of message."""
    best: dict[str, Fault] = {}
    for fault in faults:
        known = best.get(fault.rule)
        if known is None or len(fault.moves) < len(known.moves):
            best[fault.rule] = fault
    return sorted(best.values(), key=lambda fault: len(fault.moves))
