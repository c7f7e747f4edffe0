"""The report of a game whose players have different roles, with known chances."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfplay.registry import GameSpec
from selfplay.reports.balance.comparison import compare
from selfplay.reports.balance.report import balance_report
from selfplay.run import append_evaluation
from tests.reports.balance.examples import random_matches, run_with
from tests.reports.balance.hide_and_seek import BOXES, HideAndSeek

_MATCHES = 1500


def report_of(place: Path, *, random_roles: bool) -> dict[str, Any]:
    game = HideAndSeek(random_roles)
    spec = GameSpec(
        "tests/reports/balance/hide_and_seek.py:HideAndSeek", {"random_roles": random_roles}
    )
    matches = random_matches(game, _MATCHES)
    # All by one checkpoint: one stage.
    run = run_with(place, spec, matches, per_file=500, checkpoints=[1] * _MATCHES)
    append_evaluation(
        run.store,
        {"update": 1, "opponent": "random", "score": 0.7, "low": 0.6, "high": 0.8,
         "matches": 40, "score_by_seat": [0.9, 0.5]},
    )  # fmt: skip
    return balance_report(run, game)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("asymmetric")
    return {roles: report_of(folder / str(roles), random_roles=roles) for roles in (False, True)}


def test_the_score_of_the_first_player_is_that_of_the_role(
    reports: dict[bool, dict[str, Any]],
) -> None:
    for random_roles, report in reports.items():
        sample = report["samples"][report["counted"]]
        first = sample["first_score"]
        # The hider moves first and wins 5 of 8 matches, whoever that is.
        assert first["low"] < 5 / 8 < first["high"] and first["low"] > 0.55
        player_0 = sample["player_0_score"]
        assert player_0["low"] < (0.5 if random_roles else 5 / 8) < player_0["high"]
        begins = sample["player_0_begins"]
        assert begins == 1 if not random_roles else 0.4 < begins < 0.6
        assert any("first" in verdict for verdict in report["verdicts"])


def test_its_measures_are_those_of_the_rules(reports: dict[bool, dict[str, Any]]) -> None:
    for report in reports.values():
        sample = report["samples"][report["counted"]]
        assert sample["draws"]["mean"] == sample["cut"]["mean"] == 0
        # One match in eight ends with the first box, as many with the second.
        assert sample["length"]["low"] < 3.625 < sample["length"]["high"]
        assert sample["length_quantiles"] == [2, 2, 4, 4, 4]
        choices = (8 + 8 + 7 / 8 * 7 + 6 / 8 * 6) / 3.625
        assert sample["branching"]["mean"] == pytest.approx(choices, abs=0.1)
        # Only the hider's eight actions open a match; all sixteen are chosen.
        assert report["openings"]["first_moves"]["different"] == BOXES
        assert report["openings"]["first_moves"]["effective"] == pytest.approx(BOXES, abs=0.1)
        for kind in ("never_legal", "never_chosen", "hardly_chosen"):
            assert not report["actions"][kind]
        (row,) = report["skill"]
        assert (row["as_player_0"], row["as_player_1"]) == (0.9, 0.5)


def test_turned_roles_change_nothing_but_the_seats(reports: dict[bool, dict[str, Any]]) -> None:
    found = compare(reports[False], reports[True])
    rows = {row["measure"]: row for row in found["differences"]}
    assert not rows["first_score"]["exceeds"] and not rows["length"]["exceeds"]
    assert np.isclose(rows["first_score"]["difference"], 0, atol=0.06)
