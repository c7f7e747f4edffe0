"""The known-answer suite of the search: positions whose exact value and best moves are known.

Run it where something new stands behind the search: another backend, device or evaluator.

    from selfplay.check import known_answers
    print([answer for answer in known_answers() if not answer.right])
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Int32, Key

from selfplay.arena.searcher import Searcher
from selfplay.check.solved.brute_force import BruteForce
from selfplay.check.solved.small_games import Coins, Subtraction
from selfplay.game import Game, Position, Transition, advance, start
from selfplay.mcts import Evaluator, uniform_evaluator
from selfplay.registry import make
from selfplay.settings.sections import SearchConfig

ALGORITHMS = ("gumbel", "puct", "uct")

_TOLERANCE = 1e-5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """A position with its exact solution.

    Attributes:
        moves: how it comes about, from the first position.
        value: the exact result, in [-1, 1], for the player to move.
        good: every action that keeps it.
    """

    moves: tuple[int, ...]
    value: float
    good: tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProblemSet:
    """Problems of one game, and the search that must solve them without any knowledge.

    Attributes:
        name: for messages.
        game: the rules.
        problems: at least one.
        num_simulations: enough for every algorithm.
        max_error: how far the search's value may be from the exact one; it is a mean over what
            was tried, bad moves included.
        settings: of the search, where they differ from the default ones.
    """

    name: str
    game: Game[Any]
    problems: Sequence[Problem]
    num_simulations: int
    max_error: float
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchAnswer:
    """What a search said to a problem.

    Attributes:
        problem_set: name of the set.
        algorithm: of the search.
        problem: the position.
        action: the move it would play.
        value: its value of the position, for the player to move.
        good_share: share of its improved policy on good actions.
        good_share_before: the same of the policy without search.
        right: whether the move is good, the value near enough and of the right sign, and the
            policy no worse than without search.
    """

    problem_set: str
    algorithm: str
    problem: Problem
    action: int
    value: float
    good_share: float
    good_share_before: float
    right: bool


def known_answers(
    *,
    algorithms: Sequence[str] = ALGORITHMS,
    make_evaluator: Callable[[Game[Any]], Evaluator] = uniform_evaluator,
    params: Any = (),
    problem_sets: Sequence[ProblemSet] | None = None,
    mesh: Mesh | None = None,
    seed: int = 0,
) -> tuple[SearchAnswer, ...]:
    """Returns what every search variant says to every problem; each should be `right`.

    Args:
        algorithms: search variants.
        make_evaluator: what stands behind the search, given the game. It should know nothing of
            the games; that all actions look alike is what makes the search prove itself.
        params: handed to the evaluators.
        problem_sets: what to ask; all of `problem_sets()` by default.
        mesh: the devices; by default all local ones.
        seed: decides exact ties.
    """
    return tuple(
        answer
        for problem_set in (all_problem_sets() if problem_sets is None else problem_sets)
        for algorithm in algorithms
        for answer in _answers(
            problem_set, algorithm, make_evaluator(problem_set.game), params, mesh, seed
        )
    )


def all_problem_sets() -> tuple[ProblemSet, ...]:
    """Returns every set of the suite."""
    return (
        subtraction_problems(),
        double_move_problems(),
        coins_problems(),
        tic_tac_toe_problems(),
        connect_four_problems(),
    )


def subtraction_problems() -> ProblemSet:
    """Returns heaps of 1 to 9 stones: players take turns, results are 1 and -1."""
    game = Subtraction(stones=12)
    return ProblemSet(
        name="subtraction",
        game=game,
        problems=_solved(game, [(0,) * taken for taken in range(3, 12)]),
        num_simulations=800,
        max_error=0.5,
    )


def double_move_problems() -> ProblemSet:
    """Returns heaps of 1 to 9 stones of a game in which who takes two stones moves again."""
    game = Subtraction(stones=12, again=2)
    return ProblemSet(
        name="double moves",
        game=game,
        problems=_solved(game, [(0,) * taken for taken in range(3, 12)]),
        num_simulations=800,
        max_error=0.5,
    )


def coins_problems() -> ProblemSet:
    """Returns rows of coins: moves again, graded results, and a match cut by `max_plies`."""
    game = Coins(coins=(3, 8, 2, 7, 5, 4, 6, 1), max_plies=6)
    return ProblemSet(
        name="coins",
        game=game,
        problems=_solved(game, list(_lines(game, range(2, 6)))),
        num_simulations=400,
        max_error=0.1,
        # Weighed as usual, values make Gumbel all but greedy inside the tree, and an evaluator that
        # knows nothing gives it no second thought.
        settings={"value_scale": 0.05},
    )


def tic_tac_toe_problems() -> ProblemSet:
    """Returns wins in one, threats that must be blocked, and forks; solved by the game itself."""
    game = make("tic_tac_toe")
    lines = [
        (0, 3, 1, 4),  # x completes the top row
        (4, 0, 8, 2, 7),  # o completes the top row, though x threatens too
        (0, 4, 8),  # o must take an edge against the two corners
        (4, 1, 0),  # o must block the diagonal
        (0, 4, 1),  # o must block the top row
        (0, 8, 2),  # o must block between the corners
        (0, 1, 3),  # o must block the left column and is lost anyway
        (0, 1),  # x wins by a fork
        (0, 5),  # x wins by a fork
        (4, 1),  # x wins by a fork
        (0, 4, 8, 1, 7),  # o must block the bottom row
        (1, 4, 0, 2, 6),  # o must block the left column
    ]
    return ProblemSet(
        name="tic_tac_toe",
        game=game,
        problems=_solved(game, lines),
        num_simulations=800,
        max_error=0.7,
    )


def connect_four_problems() -> ProblemSet:
    """Returns late positions with one good move among many, labelled by an exact solver."""
    labelled = [
        ("1006622642413122205364", 1, 3),
        ("60325565644002511413045", 1, 3),
        ("432242320415454024300006", 0, 3),
        ("20313414565445562004666242", 1, 3),
        ("433022124554221444235005113", 1, 5),
        ("5526312322531020540556464024", 1, 6),
        ("3555630134456003406032103422", 1, 6),
        ("06460540043126613254220032431", 1, 1),
    ]
    return ProblemSet(
        name="connect_four",
        game=make("connect_four"),
        problems=[
            Problem(moves=tuple(map(int, moves)), value=float(value), good=(good,))
            for moves, value, good in labelled
        ],
        num_simulations=800,
        max_error=0.4,
    )


def _solved(game: Game[Any], lines: Sequence[tuple[int, ...]]) -> list[Problem]:
    """Returns a problem for each line of moves, solved by brute force."""
    brute_force = BruteForce(game)
    problems = []
    for moves in lines:
        values = brute_force.action_values(replay(game, moves))
        best = max(values.values())
        good = tuple(action for action, value in values.items() if value > best - _TOLERANCE)
        problems.append(Problem(moves=moves, value=best, good=good))
    return problems


def _lines(game: Game[Any], plies: range) -> Iterator[tuple[int, ...]]:
    """Yields one line of moves to every distinct position at these plies."""
    level: dict[bytes, tuple[tuple[int, ...], Position[Any]]] = {
        b"": ((), _start(game, jax.random.key(0)))
    }
    for ply in range(plies.stop):
        if ply >= plies.start:
            yield from (moves for moves, _ in level.values())
        following: dict[bytes, tuple[tuple[int, ...], Position[Any]]] = {}
        for moves, position in level.values():
            for action in np.flatnonzero(game.legal_action_mask(position.state)).tolist():
                after = _advance(game, position, jnp.int32(action))
                if not after.over:
                    leaves = jax.tree.leaves(jax.device_get(after.position))
                    name = b"".join(np.asarray(leaf).tobytes() for leaf in leaves)
                    following.setdefault(name, ((*moves, action), after.position))
        level = following


def replay(game: Game[Any], moves: Sequence[int]) -> Position[Any]:
    """Returns the position after `moves`, which are legal, from the first position."""
    position = _start(game, jax.random.key(0))
    for action in moves:
        position = _advance(game, position, jnp.int32(action)).position
    return position


@functools.partial(jax.jit, static_argnums=0)
def _start(game: Game[Any], key: Key[Array, ""]) -> Position[Any]:
    return start(game, key)


@functools.partial(jax.jit, static_argnums=0)
def _advance(game: Game[Any], position: Position[Any], action: Int32[Array, ""]) -> Transition:
    return advance(game, position, action)


def _answers(
    problem_set: ProblemSet,
    algorithm: str,
    evaluate: Evaluator,
    params: Any,
    mesh: Mesh | None,
    seed: int,
) -> Iterator[SearchAnswer]:
    game, problems = problem_set.game, problem_set.problems
    config = SearchConfig(
        algorithm=algorithm, num_simulations=problem_set.num_simulations, **problem_set.settings
    ).for_matches()
    searcher = Searcher(game, evaluate, config, batch_size=len(problems), mesh=mesh)
    positions = jax.tree.map(
        lambda *leaves: jnp.stack(leaves), *[replay(game, problem.moves) for problem in problems]
    )
    found = jax.device_get(searcher(params, positions, key=jax.random.key(seed)))
    for row, problem in enumerate(problems):
        action, value = int(found.actions[row]), float(found.value[row])
        good = list(problem.good)
        share, before = (float(p[row][good].sum()) for p in (found.policy, found.raw_policy))
        yield SearchAnswer(
            problem_set=problem_set.name,
            algorithm=algorithm,
            problem=problem,
            action=action,
            value=value,
            good_share=share,
            good_share_before=before,
            right=action in good
            and abs(value - problem.value) <= problem_set.max_error
            and (abs(problem.value) <= problem_set.max_error or value * problem.value > 0)
            and share >= before - _TOLERANCE,
        )
