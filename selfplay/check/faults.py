"""Tests every law on a game, and shows what breaks it with moves and boards."""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import jax
import numpy as np

from selfplay.check.guessing.guesses import Guesses
from selfplay.check.laws.law import (
    Finding,
    GuessesTest,
    Law,
    LookAlikeTest,
    MatchesTest,
    MeasuresTest,
    PlyTest,
    RulesTest,
    Sample,
    SampleTest,
    StartTest,
)
from selfplay.check.laws.table import LAWS
from selfplay.check.laws.values import numbers_text
from selfplay.check.play.exploration import Exploration
from selfplay.check.play.look_alikes import LookAlike
from selfplay.check.play.sequence import KeptPly, MoveSequence
from selfplay.check.play.shorten import shortened
from selfplay.check.report import Fault
from selfplay.contract import brief
from selfplay.game import Game, Symmetry

_NAMED_ACTIONS = 6
_SAMPLE = 12
_ENDS = 2


def rules_faults(game: Game[Any]) -> tuple[list[Fault], bool]:
    """Returns what is wrong with a game at first sight, and whether it cannot be played at all."""
    faults: list[Fault] = []
    stops = False
    for law in LAWS.values():
        for test in law.tests:
            if isinstance(test, RulesTest):
                found = [law.fault(message) for message in test.find(game)]
                faults += found
                stops = stops or (test.stops and bool(found))
                if found and law.name == "contract":
                    return found, True  # no other test could be made
    return faults, stops


def sample_findings(sample: Sample, *, in_python: bool = False) -> Iterator[tuple[Law, Finding]]:
    """Yields what is wrong in some positions, at most one finding of each test."""
    for law in LAWS.values():
        for test in law.tests:
            if isinstance(test, SampleTest) and (test.in_python or not in_python):
                for finding in test.find(sample):
                    yield law, finding
                    break


def guesses_findings(guesses: Guesses) -> dict[str, str]:
    """Returns what guessing the results of random matches shows, by the name of the law."""
    return {
        law.name: message
        for law in LAWS.values()
        for test in law.tests
        if isinstance(test, GuessesTest) and (message := test.find(guesses))
    }


class FaultFinder:
    """Tests the laws on what playing a game has shown."""

    def __init__(self, exploration: Exploration) -> None:
        self._exploration = exploration
        self._game = exploration.game

    def of_play(self) -> Iterator[Fault]:
        """Yields what breadth-first search and random matches have shown."""
        for key in sorted(self._exploration.found):
            name, _, part = key.partition("/")[0].partition(":")
            law = LAWS[name]
            for test in law.tests:
                if isinstance(test, StartTest | PlyTest) and part in test.messages:
                    if test.proven(part, self._exploration):
                        yield self._broken(law, test, part, key)
                    break
        for law in LAWS.values():
            for test in law.tests:
                if isinstance(test, MatchesTest):
                    for finding in test.find(self._exploration):
                        yield self._shown(law, finding)

    def of_sample(self, singles: Mapping[str, Any]) -> Iterator[Fault]:
        """Yields what some positions show on the host; `singles` are methods of one state."""
        played = self._exploration.played
        sample = Sample(
            game=self._game,
            singles=singles,
            some=_spread(played.kept, _SAMPLE),
            ends=list(zip(played.lines[:_ENDS], played.finals[:_ENDS], strict=True)),
            matches=played,
        )
        for law, finding in sample_findings(sample):
            yield self._shown(law, finding)

    def of_look_alikes(self, pairs: Sequence[LookAlike]) -> Iterator[Fault]:
        """Yields what positions show that look the same to the player to move, and are not."""
        for law in LAWS.values():
            for test in law.tests:
                if isinstance(test, LookAlikeTest):
                    for finding in test.find(self._exploration, pairs):
                        yield self._shown(law, finding)

    def of_guesses(self) -> Iterator[Fault]:
        """Yields what thousands of random matches show of laws that no twin has proven."""
        guesses = self._exploration.guesses
        proven = {"value-sign", "observation-side"} - set(self._exploration.unproven)
        for name, message in guesses_findings(guesses).items() if guesses is not None else ():
            if name not in proven:
                yield self._shown(LAWS[name], Finding(message, self._decided_match()))

    def of_measures(self, measures: Mapping[str, Any], broken: Set[str]) -> Iterator[Fault]:
        """Yields what the measures of the game show, unless a law in `broken` explains it."""
        for law in LAWS.values():
            if not broken.isdisjoint(law.explained_by):
                continue
            for test in law.tests:
                if isinstance(test, MeasuresTest):
                    message = test.find(self._game, measures, self._exploration.played)
                    if message:
                        yield law.fault(message)

    def legal_actions(self) -> dict[str, dict[str, Any]]:
        """Returns how many actions were legal in no position, how many in all, and some by name."""
        moves = self._exploration.explorer.moves
        return {
            "never_legal": self._named(~moves.legal),
            "always_legal": self._named(moves.always_legal),
        }

    def _named(self, actions: np.ndarray) -> dict[str, Any]:
        """Returns how many actions a mask [actions] holds, and the first few by name."""
        found = np.flatnonzero(actions).tolist()
        some = found[:_NAMED_ACTIONS]
        state = self._game.init(jax.random.key(0))
        return {
            "count": len(found),
            "actions": some,
            "names": [self._spelled(state, action, -1) for action in some],
        }

    def _decided_match(self) -> MoveSequence:
        """Returns a short match that somebody won."""
        played = self._exploration.played
        decided = [
            line
            for line, returns in zip(played.lines, played.returns, strict=True)
            if returns[0] != 0
        ]
        return min(decided or played.lines, key=lambda line: len(line.actions))

    def _broken(self, law: Law, test: StartTest | PlyTest, part: str, key: str) -> Fault:
        """Returns the fault for moves that break a part of a law."""
        exploration = self._exploration
        line = shortened(exploration.explorer, key)
        message = test.messages[part]
        if "{" in message:
            states = exploration.states(line)
            state, before = states[-1], states[-2] if len(states) > 1 else states[-1]
            exchange, index = exploration.explorer.exchange, key.partition("/")[2]
            message = message.format(
                player=int(self._game.current_player(state)),
                returns=numbers_text(self._game.returns(state)),
                mover=int(self._game.current_player(before)),
                exchange=exchange.name if exchange else "",
                symmetry=repr(exploration.symmetries[int(index)].name) if index else "",
                image=self._wrong_image(states, exploration.symmetries[int(index)])
                if "{image}" in message
                else "",
            )
        return self._shown(law, Finding(message, line, at_position=test.at_position))

    def _wrong_image(self, states: Sequence[Any], symmetry: Symmetry[Any]) -> str:
        """Returns an action that is legal in the last position though its image is not.

        Or the other way round.
        """
        permutation = np.asarray(symmetry.permutation)
        for state in reversed(states):
            image = symmetry.map_state(state)
            legal = np.asarray(self._game.legal_action_mask(state))
            mapped = np.asarray(self._game.legal_action_mask(image))[permutation]
            for action in np.flatnonzero(legal != mapped).tolist()[:1]:
                to = int(permutation[action])
                words = ["is legal" if one[action] else "is not" for one in (legal, mapped)]
                return (
                    f"action {self._numbered(state, action)} {words[0]}, its image "
                    f"{self._numbered(image, to)} {words[1]}"
                )
        return "which ones depends on more than the state"

    def _numbered(self, state: Any, action: int) -> str:
        """Returns an action as a number, with its name if it has one."""
        name = self._spelled(state, action, -1)
        return name if name == str(action) else f"{action} ({name})"

    def _shown(self, law: Law, finding: Finding) -> Fault:
        if finding.line is None:
            return law.fault(finding.message)
        other = None
        if finding.other is not None:
            other = law.fault("", **self._moves(finding.other, finding.at_position))
        moves = self._moves(finding.line, finding.at_position)
        return law.fault(finding.message, other=other, **moves)

    def _moves(self, line: MoveSequence, at_position: bool) -> dict[str, Any]:
        """Returns moves and boards, as `Fault` takes them."""
        states = self._exploration.states(line)
        boards = [self._render(state) for state in states[-1 if at_position else -2 :]]
        return {
            "moves": line.actions,
            "moves_text": tuple(
                self._spelled(state, action, outcome)
                for state, action, outcome in zip(states, line.actions, line.outcomes, strict=False)
            ),
            "outcomes": line.outcomes,
            "start_key": line.start,
            "before": boards[0],
            "after": boards[1] if len(boards) > 1 else "",
        }

    def _render(self, state: Any) -> str:
        try:
            return str(self._game.render(state)) or "(nothing)"
        except Exception as error:
            return f"(render fails: {brief(error)})"

    def _spelled(self, state: Any, action: int, outcome: int) -> str:
        try:
            name = str(self._game.action_to_string(state, action))
        except Exception:
            name = str(action)
        return f"{name}/{outcome}" if outcome >= 0 else name


def _spread(kept: Sequence[KeptPly], count: int) -> list[KeptPly]:
    """Returns entries from the beginning to the end of matches."""
    ordered = sorted(kept, key=lambda one: len(one.line.actions))
    step = max(1, len(ordered) // count)
    return ordered[::step][:count]
