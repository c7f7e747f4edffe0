"""Which matches are kept out of training."""

import dataclasses

from selfplay.replay import is_held_out, part
from tests.records.examples import make_record

IDS = [f"loop-{number // 50:08d}-{number % 50:04d}" for number in range(4000)]


def test_the_share_is_kept_out_evenly() -> None:
    held = [is_held_out(name, 0.05) for name in IDS]
    # Five standard deviations of 4,000 draws.
    assert abs(sum(held) / len(held) - 0.05) < 0.018
    assert min(sum(held[:2000]), sum(held[2000:])) > 55


def test_a_larger_share_keeps_out_the_same_ones_too() -> None:
    small = {name for name in IDS if is_held_out(name, 0.02)}
    assert small < {name for name in IDS if is_held_out(name, 0.1)}


def test_nothing_is_kept_out_by_default() -> None:
    assert not any(is_held_out(name, 0.0) for name in IDS)


def test_parts_keep_their_order() -> None:
    one = make_record(0, players=[0], actions=[4], policies=[([4], [1.0])])
    matches = [dataclasses.replace(one, match_id=name) for name in IDS[:200]]
    learnt, held_out = part(matches, 0.3)
    held = [is_held_out(match.match_id, 0.3) for match in matches]
    assert [m.match_id for m in held_out] == [n for n, out in zip(IDS, held, strict=False) if out]
    assert [m.match_id for m in learnt] == [n for n, out in zip(IDS, held, strict=False) if not out]
    assert len(learnt) > len(held_out) > 20
