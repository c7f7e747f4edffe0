"""Every law has planted mistakes that it finds; warnings are planted, too."""

import re
from pathlib import Path

import pytest

from selfplay.check.comparison.compare import compare
from selfplay.check.conformance import examine
from selfplay.check.laws.table import LAWS, laws_table
from tests.check.plain.plain import KINDS, WRONG
from tests.check.planted.games import BROKEN, PAIRS, Pair
from tests.check.planted.learning import UNPROVEN
from tests.check.planted.warned import WARNED, Warned
from tests.check.test_real_rules import MISTAKES

ROOT = Path(__file__).parents[3]
OF_KINDS = {
    "fail": "exception",
    "leave": "exception",
    "recurse": "exception",
    "hang": "hangs",
    "mutate": "mutation",
    "vary": "randomness",
    "roll": "randomness",
}
PLANTED = {
    *(one.rule for one in BROKEN),
    *(rule for _, rule in MISTAKES),
    *(law for _, law in UNPROVEN),
    *(one.law for one in PAIRS),
    *(one.warning for one in WARNED),
    *(rule for _, _, rule in WRONG),
    *(OF_KINDS[kind] for kind in KINDS),
}
"""Laws for which a mistake is planted; every list above has a test that finds its mistakes."""


@pytest.mark.parametrize("name", LAWS)
def test_a_mistake_is_planted_for_every_law(name: str) -> None:
    assert name in PLANTED, f"plant a mistake that breaks {name} in tests/check/planted"


def test_what_is_planted_breaks_a_law() -> None:
    assert set(LAWS) >= PLANTED


@pytest.mark.parametrize("one", WARNED, ids=lambda one: one.warning)
def test_a_warning_is_given(one: Warned, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in one.limits.items():
        monkeypatch.setattr(name, value)
    report = examine(one.game, matches=32, measures=one.measures)
    assert report.ok, [fault.to_text() for fault in report.faults]
    assert [warning.rule for warning in report.warnings] == [one.warning]
    assert LAWS[one.warning].is_warning
    assert report.warnings[0].to_text().startswith("warning: ")


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.law)
def test_two_games_that_differ(pair: Pair) -> None:
    fault = compare(pair.game, pair.other, matches=64).fault
    assert fault is not None and fault.rule == pair.law


def test_what_adapters_and_the_replay_memory_refuse_breaks_a_law() -> None:
    """They stand below the check and name the laws as text."""
    sources = [*(ROOT / "selfplay" / "adapters").glob("*.py"), ROOT / "selfplay/replay/blame.py"]
    named = {
        name for source in sources for name in re.findall(r'rule="([a-z-]+)"', source.read_text())
    }
    assert len(named) > 5
    assert named <= set(LAWS)


def test_a_law_is_said_in_full() -> None:
    for law in LAWS.values():
        assert re.fullmatch("[a-z]+(-[a-z]+)*", law.name)
        assert law.statement and law.advice
        assert f"| `{law.name}` | {law.statement} | {law.advice} |" in laws_table()


def test_a_fault_takes_its_words_from_its_law() -> None:
    law = LAWS["start"]
    for python, words in ((False, law), (True, law.in_python)):
        document = law.fault("it is over", python=python).to_dict()
        assert words is not None
        assert (document["rule"], document["law"], document["change"]) == (
            "start",
            words.statement,
            words.advice,
        )
