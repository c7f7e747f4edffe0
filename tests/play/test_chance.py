"""One match with dice on the host: rolls, tokens, taking back, and what the terminal shows."""

import io
import re
from typing import Any

import jax.numpy as jnp
import pytest

from selfplay.arena import RandomAgent
from selfplay.arena.live import LiveMatch
from selfplay.errors import IllegalActionError
from selfplay.play import analyze, play_in_terminal, play_text
from tests.dice import Storm

GAME = Storm(stones=9)


def test_rolls_belong_to_the_seed_and_the_ply() -> None:
    def outcomes(seed: int) -> list[int]:
        match = LiveMatch(GAME, seed=seed)
        while not match.over:
            match.play(0)
        return match.outcomes

    assert outcomes(1) == outcomes(1)
    assert len({tuple(outcomes(seed)) for seed in range(8)}) > 4
    match = LiveMatch(GAME, seed=1)
    match.play(0)
    rolled = match.outcomes[0]
    match.undo()
    assert match.outcomes == []
    # No better luck the second time.
    match.play(0)
    assert match.outcomes == [rolled]


def test_tokens_say_what_was_rolled() -> None:
    match = play_text(GAME, "0 roll:two 1 roll:#0 2 0")
    assert match.actions == [0, 1, 2, 0]
    assert match.outcomes[:3] == [1, 0, -1] and match.outcomes[3] >= 0
    assert int(match.position.state.stones) == 9 - 1 - 2 - 1 - 1
    assert match.outcome_name(0) == "two" and match.outcome_name(2) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("roll:two 0", "'roll:two' does not follow a move"),
        ("0 roll:two roll:one", "'roll:one' does not follow a move"),
        ("0 roll:seven", "'roll:seven' is not possible after the move at ply 0"),
        ("0 roll:#7", "outcome 7 cannot follow action 0 at ply 0"),
        ("2 roll:#0", "outcome 0 cannot follow action 2 at ply 0"),
        ("2 roll:one", "outcome 0 cannot follow action 2 at ply 0"),
        ("7 roll:one", "action 7 is not legal at ply 0"),
    ],
)
def test_what_cannot_be_rolled_is_refused(text: str, message: str) -> None:
    with pytest.raises(IllegalActionError, match=message):
        play_text(GAME, text)


def test_a_hint_says_that_no_chance_follows_instead_of_listing_nothing() -> None:
    class NothingToRoll(Storm):
        def chance_probabilities(self, state: Any) -> Any:
            # As plain-Python games answer where no chance follows.
            return jnp.where(self.is_chance(state), super().chance_probabilities(state), 0.0)

    with pytest.raises(IllegalActionError) as caught:
        play_text(NothingToRoll(stones=9), "2 roll:seven")
    assert caught.value.hint == "no chance follows this move"


def test_an_analysis_says_what_was_rolled() -> None:
    match = play_text(GAME, "0 roll:two 0 roll:one")
    (document,) = analyze(RandomAgent(GAME, batch_size=1), [match])
    assert document["moves"] == [0, 0] and document["outcomes"] == [1, 0]


def test_the_terminal_shows_the_rolls() -> None:
    output = io.StringIO()
    agent = RandomAgent(GAME, batch_size=1)
    session = play_in_terminal(
        GAME, agent, people=frozenset({0}), source=io.StringIO("0\n" * 9), output=output, seed=2
    )
    text = output.getvalue()
    rolls = [("one", "two", "three", "storm")[o] for o in session.outcomes if o >= 0]
    assert session.ending == "finished" and len(session.outcomes) == len(session.actions)
    assert re.findall(r"chance: (\w+)", text) == rolls
    assert len(rolls) > 1
