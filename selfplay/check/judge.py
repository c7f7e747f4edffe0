"""From broken laws to faults: what is told of each, and which signs amount to one."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.adapters import HostedGame
from selfplay.check.explore import Explorer
from selfplay.check.faults import POSITION_LAWS, Fault
from selfplay.check.host import Finding
from selfplay.check.lines import Line, RandomMatches
from selfplay.check.views import LookAlike
from selfplay.contract import brief
from selfplay.game import ChanceGame, Game, Symmetry

_OTHER_BEGINS = "if the other player had begun ({exchange}), the same moves would "
_EXCHANGED = _OTHER_BEGINS + "have looked the same to the player to move at every ply, "
_MESSAGES = {
    "start": ("start", "the first position is over already"),
    "player": ("player", "current_player is {player}, but must be 0 or 1"),
    "no-legal-action": ("no-legal-action", "no action is legal, but the match is not over"),
    "returns:finite": ("returns", "returns is {returns}, which is not finite"),
    "returns:range": ("returns", "returns is {returns}, but must lie in [-1, 1]"),
    "returns:zero-sum": ("returns", "returns is {returns}, but must sum to 0"),
    "finite:observation": ("finite", "the observation holds NaN or infinity"),
    "finite:state": ("finite", "the state holds NaN"),
    "chance:finite": ("chance", "chance_probabilities after this move are not finite"),
    "chance:negative": ("chance", "an outcome after this move has a negative probability"),
    "chance:sum": ("chance", "the probabilities of the outcomes after this move do not sum to 1"),
    "nothing-changes": ("nothing-changes", "the move leads to the very same position"),
    "value-sign": (
        "value-sign",
        "returns is {returns} after a move of player {mover}; " + _EXCHANGED + "but the result "
        "is not the other way round",
    ),
    "?result-kept": (
        "value-sign",
        "returns is {returns} after a move of player {mover}; " + _OTHER_BEGINS + "have been just "
        "as legal to the end, but the result is the same, here and in every decided match, and "
        "not the other way round",
    ),
    "seats:end": ("seats", _EXCHANGED + "but only one of the two matches is over"),
    "seats:player": (
        "seats",
        _EXCHANGED + "but after this move the same player is to move in both",
    ),
    "seats:mask": ("seats", _EXCHANGED + "but other actions are legal"),
    "?side": (
        "observation-side",
        _OTHER_BEGINS + "have been just as legal and led to the opposite result, but the player to "
        "move would now see something else: not the position from the mover's side",
    ),
}
_NAMED_ACTIONS = 6
_LOOK_ALIKE = {
    "legal": "two positions look the same to the player to move, but other actions are legal",
    "result": (
        "two positions look the same to the player to move, and the same move leads to another "
        "end or result"
    ),
    "next": (
        "two positions look the same to the player to move, but after the same move other actions "
        "are legal"
    ),
}
_SYMMETRY_MESSAGES = {
    "step": "{name} and then the move is not the move and then {name}",
    "legal_action_mask": "under {name} other actions are legal than the images of the legal ones",
    "current_player": "under {name} the player to move is neither 0 nor 1",
    "is_terminal": "under {name} a match that is over goes on, or one that goes on is over",
    "returns": "under {name} the result is another",
}


class Judge:
    """Turns broken laws and signs into faults and warnings."""

    def __init__(
        self,
        game: Game[Any],
        explorer: Explorer,
        played: RandomMatches,
        symmetries: Sequence[Symmetry[Any]],
        why_no_twin: str,
        step: Callable[..., Any],
    ) -> None:
        self._game = game
        self._explorer = explorer
        self._played = played
        self._symmetries = symmetries
        self._why_no_twin = why_no_twin
        self._step = step

    def faults(self) -> list[Fault]:
        """Returns a fault for every broken law, and for the signs that amount to one."""
        faults = [
            self._law_fault(law)
            for law in sorted(self._explorer.found)
            if not law.startswith("?") and self._is_proven(law)
        ]
        if self._wrong_side() and not self._shows_seat():
            faults.append(self._law_fault("?side"))
        if self._keeps_results() and not any(fault.rule == "value-sign" for fault in faults):
            faults.append(self._law_fault("?result-kept"))
        return [*faults, *self._ignored_moves(), *self._match_faults()]

    def _is_proven(self, law: str) -> bool:
        """Returns whether a law that the twin of a match broke is broken by the rules."""
        found, exchange = self._explorer.found, self._explorer.exchange
        by_seat = law.startswith("seats:")
        if exchange is None or not (by_seat or law == "value-sign"):
            return True
        # Where the players are not treated alike, results need not be opposite either.
        if exchange.mover_alone:
            return by_seat or not any(other.startswith("seats:") for other in found)
        # The twin began in a position that may be impossible: it is one of the game only if
        # everything but the results went on alike.
        return not by_seat and "?rules-differ" not in found

    def unlike_seats(self, look_alikes: Sequence[LookAlike]) -> list[Fault]:
        """Returns a fault where positions that look the same differ by who is to move alone.

        If something else were hidden, positions of the same player would differ too.
        """
        if not look_alikes or not all(pair.across for pair in look_alikes):
            return []
        found = self._look_alike(look_alikes[0])
        message = f"{found.message}; player 0 is to move in one of them, player 1 in the other"
        return [dataclasses.replace(found, rule="seats", message=message)]

    def warnings(self, look_alikes: Sequence[LookAlike]) -> list[Fault]:
        """Returns what the signs hint at, and positions that look the same and are not."""
        found = [self._look_alike(pair) for pair in look_alikes if not pair.across]
        if self._wrong_side() and self._shows_seat():
            message = (
                "the observation shows the same position differently to player 0 and player 1, "
                "though the rules treat both alike: shown from the mover's side it would be "
                "learnt in half the time"
            )
            found.append(Fault(rule="two-views", message=message))
        return found

    def _look_alike(self, pair: LookAlike) -> Fault:
        first, second = (
            self._fault("look-alike", "", line, at_position=pair.kind == "legal")
            for line in pair.lines
        )
        states = [self._states(line)[-1] for line in pair.lines]
        message = _LOOK_ALIKE[pair.kind]
        if pair.kind == "result":
            told = [
                _numbers(self._game.returns(state)) if self._game.is_terminal(state) else "none"
                for state in states
            ]
            message += f" ({told[0]} and {told[1]})"
        else:
            masks = [np.asarray(self._game.legal_action_mask(state)) for state in states]
            apart = np.flatnonzero(masks[0] != masks[1])
            if apart.size:
                action = int(apart[0])
                where = "first" if masks[0][action] else "second"
                message += f": action {action} is legal in the {where} alone"
        return dataclasses.replace(first, message=message, other=second)

    def twin(self) -> dict[str, Any]:
        """Returns how far the twins went, and which rules they leave unproven; for people, why."""
        played, exchange = self._played, self._explorer.exchange
        alike = [index for index, looks in enumerate(played.shows) if looks]
        behaves = [index for index, good in enumerate(played.behaves) if good]
        unproven = []
        if not any(abs(played.returns[index][0]) > 1e-6 for index in behaves):
            unproven.append("value-sign")
        if not alike:
            unproven += ["seats", "observation-side"]
        why = self._why_no_twin
        if exchange is not None and unproven:
            why = (
                "the first position is not the same to both players"
                if "?rules-differ" in self._explorer.found
                else "no decided match looked the same to both players to its end"
            )
        return {
            "exchange": exchange.name if exchange else None,
            "matches": len(played.shows),
            "alike": len(alike),
            "unproven": unproven,
            "why": why if unproven else "",
        }

    def never_legal(self) -> dict[str, Any]:
        """Returns how many actions were legal in no position, and the first few by name."""
        never = np.flatnonzero(~self._explorer.moves.legal).tolist()
        some = never[:_NAMED_ACTIONS]
        state = self._game.init(jax.random.key(0))
        return {
            "count": len(never),
            "actions": some,
            "names": [self._spelled(state, action, -1) for action in some],
        }

    def shown(self, finding: Finding) -> Fault:
        """Returns a fault for what was found in a position."""
        return self._fault(finding.rule, finding.message, finding.line, at_position=True)

    def _wrong_side(self) -> bool:
        # The rules must treat both players alike to the end of every match.
        return (
            self._explorer.exchange is not None
            and "?side" in self._explorer.found
            and "?seats-differ" not in self._explorer.found
            and all(self._played.behaves)
        )

    def _keeps_results(self) -> bool:
        """Returns whether no twin ever had the opposite result, though the rules went on alike."""
        found = self._explorer.found
        return (
            self._explorer.exchange is not None
            and "?result-kept" in found
            and not {"?result-turned", "?rules-differ"} & set(found)
            and not self._shows_seat()
        )

    def _shows_seat(self) -> bool:
        """Returns whether a part of the observation tells player 0 from player 1."""
        kept = self._played.kept
        seen: list[np.ndarray] = []
        for player in range(2):
            rows = [
                np.asarray(one.before_seen.observation).reshape(-1)
                for one in kept
                if int(one.before_seen.player) == player
            ]
            if not rows:
                return False
            seen.append(np.stack(rows))
        constant = [(rows == rows[0]).all(axis=0) for rows in seen]
        return bool((constant[0] & constant[1] & (seen[0][0] != seen[1][0])).any())

    def _law_fault(self, law: str) -> Fault:
        line = self._explorer.shortened(law)
        part, _, number = law.partition("/")
        rule, _, detail = part.partition(":")
        if rule == "symmetry":
            name = self._symmetries[int(number)].name
            message = _SYMMETRY_MESSAGES[detail].format(name=repr(name))
        else:
            rule, message = _MESSAGES[part]
        message = message.format(**self._facts(line, message))
        return self._fault(rule, message, line, at_position=part in POSITION_LAWS)

    def _facts(self, line: Line, message: str) -> dict[str, Any]:
        """Returns what the message wants to know of the position at the end of the line."""
        if "{" not in message:
            return {}
        states = self._states(line)
        game, state = self._game, states[-1]
        return {
            "player": int(game.current_player(state)),
            "returns": _numbers(game.returns(state)),
            "mover": int(game.current_player(states[-2] if len(states) > 1 else state)),
            "action": line.actions[-1] if line.actions else "",
            "exchange": self._explorer.exchange.name if self._explorer.exchange else "",
        }

    def _ignored_moves(self) -> list[Fault]:
        """Returns a fault for a legal move that the rules ignore."""
        if isinstance(self._game, HostedGame):
            return []  # its state holds the moves, not the position: nothing follows from it
        faults = []
        for one in self._explorer.moves.ignored():
            message = (
                f"the mask allows action {one.action}, but all it changes is whose turn it is, "
                "though it does something wherever else it is played"
            )
            line = one.line
            if one.other is None:
                line = self._explorer.shortened("?quiet", line, last=one.action)
            elif self._same_after(line, one.other):
                message = (
                    f"the mask allows action {one.action} and action {one.other}, but all that "
                    "either changes is whose turn it is: one pass is enough"
                )
            else:
                continue
            faults.append(self._fault("illegal-move", message, line))
            break
        return faults

    def _same_after(self, line: Line, other: int) -> bool:
        """Returns whether another move instead of the last one leads to the same state."""
        states = self._states(line)
        after = self._step(states[-2], jnp.int32(other))
        pairs = zip(jax.tree.leaves(states[-1]), jax.tree.leaves(after), strict=True)
        return all(np.array_equal(one, two) for one, two in pairs)

    def _match_faults(self) -> list[Fault]:
        played = self._played
        faults: list[Fault] = []
        if len(set(played.players)) == 1 and len(played.players) > len(played.lines):
            only = played.players[0]
            longest = max(played.lines, key=lambda line: len(line.actions))
            faults.append(
                self._fault(
                    "player",
                    f"player {only} is to move at every ply of {len(played.lines)} random "
                    f"matches, player {1 - only} never",
                    longest.first(1),
                )
            )
        undecided = [
            index
            for index, terminal in enumerate(played.terminal)
            if not terminal and abs(played.returns[index][0]) < 1e-6
        ]
        if played.lines and len(undecided) == len(played.lines):
            plies = len(played.lines[0].actions)
            limit = (
                f"max_plies ({self._game.max_plies})"
                if played.finished[0]
                else f"the {plies} plies that were tried"
            )
            stuck = {"no-legal-action", "start"} & {
                law.partition(":")[0] for law in self._explorer.found
            }
            if not stuck:
                faults.append(
                    self._fault(
                        "never-ends",
                        f"none of {len(played.lines)} random matches came to an end before "
                        f"{limit}, and all are scored 0",
                        played.lines[0].first(0),
                        at_position=True,
                    )
                )
        return faults

    def _fault(self, rule: str, message: str, line: Line, *, at_position: bool = False) -> Fault:
        states = self._states(line)
        boards = [self._render(state) for state in states[-1 if at_position else -2 :]]
        return Fault(
            rule=rule,
            message=message,
            moves=line.actions,
            moves_text=tuple(
                self._spelled(state, action, outcome)
                for state, action, outcome in zip(states, line.actions, line.outcomes, strict=False)
            ),
            outcomes=line.outcomes,
            start_key=line.start,
            before=boards[0],
            after=boards[1] if len(boards) > 1 else "",
        )

    def _states(self, line: Line) -> list[Any]:
        """Returns the states along a line, the first position first."""
        game = self._game
        state = game.init(jax.random.wrap_key_data(jnp.array(line.start, jnp.uint32)))
        states = [state]
        for action, outcome in zip(line.actions, line.outcomes, strict=True):
            state = self._step(state, jnp.int32(action))
            if outcome >= 0 and isinstance(game, ChanceGame):
                state = game.resolve(state, jnp.int32(outcome))
            states.append(state)
        return states

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


def _numbers(values: Any) -> str:
    return "[" + ", ".join(f"{float(value):g}" for value in np.asarray(values)) + "]"
