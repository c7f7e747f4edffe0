"""What an agent thinks of given positions, as documents for scripts."""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from selfplay.arena.agents import Analysis, Analyst
from selfplay.arena.batches import stack
from selfplay.arena.live import LiveMatch, play_text
from selfplay.errors import ConfigError, IllegalActionError
from selfplay.game import ChanceGame, Game
from selfplay.play.search_tree import LINE_LENGTH, expected_lines, read_tree

_POSITIONS_AT_ONCE = 256


def read_positions(game: Game[Any], lines: Iterable[str], *, seed: int = 0) -> Iterator[LiveMatch]:
    """Yields the position that each line of moves leads to; an empty line is the start.

    Args:
        game: the rules.
        lines: of a file; see `play_text` for how moves are written.
        seed: chooses the first position in games with random starts.

    Raises:
        IllegalActionError: a move is not legal; the message names its line and ply.
    """
    for number, line in enumerate(lines, start=1):
        try:
            match = play_text(game, line, seed=seed)
            _refuse_finished(match)
        except (ConfigError, IllegalActionError) as error:
            raise type(error)(f"line {number}: {error}", hint=error.hint) from error
        yield match


def analyze(
    agent: Analyst,
    matches: Iterable[LiveMatch],
    *,
    seed: int = 0,
    tree_depth: int = 0,
    thinking: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
) -> Iterator[dict[str, Any]]:
    """Yields one document per position, in order; many positions are searched at once.

    Keys: `moves` (action numbers from the start), in a game of chance `outcomes` (what followed
    each, -1 for nothing), `player` to move, `action` and `action_name`
    of the best move, `value` in [-1, 1] for the player to move, `policy` and `visits` by action
    number (as text, as JSON has it) over the `legal` actions, `agent`, and where the agent has
    them `qvalues`, `raw_value` and `raw_policy`: the network's opinion without search. Where
    `value` is exact, `proven` is true. An agent
    that keeps its search tree also gives `variations` (by action number: the line of play that it
    expects, see `expected_lines`), `principal_variation`, that of the best move, and if asked for
    `tree`, see `read_tree`.

    Args:
        agent: who thinks.
        matches: positions, none of them over.
        seed: of the agent's random choices.
        tree_depth: plies of the search tree to show; 0 for none.
        thinking: its context is entered each time the agent thinks, to show that it does.

    Raises:
        ConfigError: a match is over, so that there is nothing to analyse.
    """
    remaining = iter(matches)
    key = jax.random.key(seed)
    for part in itertools.count():
        chunk = list(itertools.islice(remaining, _POSITIONS_AT_ONCE))
        if not chunk:
            return
        for match in chunk:
            _refuse_finished(match)
        positions = stack([match.position for match in chunk])
        with thinking():
            analyses = agent.analyse(positions, key=jax.random.fold_in(key, part))
        for match, analysis in zip(chunk, analyses, strict=True):
            yield describe_analysis(agent.name, match, analysis, tree_depth=tree_depth)


def _refuse_finished(match: LiveMatch) -> None:
    if match.over:
        raise ConfigError(
            "the match is over after these moves",
            hint="there is no move left to analyse; leave the last one out",
        )


def describe_analysis(
    name: str,
    match: LiveMatch,
    analysis: Analysis,
    *,
    line_length: int = LINE_LENGTH,
    tree_depth: int = 0,
) -> dict[str, Any]:
    """Returns the document of one position; its keys are those of `analyze`.

    Args:
        name: of the agent.
        match: the position, not over.
        analysis: what the agent thinks of it.
        line_length: the most moves of an expected line.
        tree_depth: plies of the search tree to show; 0 for none.
    """
    legal = match.legal
    document: dict[str, Any] = {
        "moves": list(match.actions),
        "player": match.player,
        "action": analysis.action,
        "action_name": match.name(analysis.action),
        "value": analysis.value,
        "policy": _by_action(analysis.policy, legal),
        "visits": _by_action(analysis.visits, legal),
        "legal": legal,
        "agent": name,
    }
    if analysis.proven:
        document["proven"] = True
    if isinstance(match.game, ChanceGame):
        document["outcomes"] = list(match.outcomes)
    if analysis.qvalues is not None:
        document["qvalues"] = _by_action(analysis.qvalues, legal)
    if analysis.tree is not None:
        lines = expected_lines(match, analysis.tree, length=line_length)
        document["variations"] = {str(action): line for action, line in sorted(lines.items())}
        document["principal_variation"] = lines.get(analysis.action, [])
        if tree_depth > 0:
            document["tree"] = read_tree(match, analysis.tree, depth=tree_depth)
    if analysis.raw_value is not None and analysis.raw_policy is not None:
        document["raw_value"] = analysis.raw_value
        document["raw_policy"] = _by_action(analysis.raw_policy, legal)
    return document


def _by_action(numbers: np.ndarray | None, legal: list[int]) -> dict[str, Any]:
    return {} if numbers is None else {str(action): numbers[action].item() for action in legal}
