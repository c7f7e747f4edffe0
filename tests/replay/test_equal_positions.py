"""Equal positions: found across matches, newest first, no older than asked, no more than asked."""

import numpy as np
import pytest

from selfplay.replay.equal_positions import EqualPositions, digests


def states(*numbers: int) -> dict[str, np.ndarray]:
    """Returns states that are equal where the numbers are."""
    wide = np.array(numbers, np.int16)[:, None] * np.arange(5, dtype=np.int16)
    return {"board": wide, "player": np.array(numbers) % 2 == 0, "ply": np.array(numbers, np.int32)}


def numbers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def newest(found: EqualPositions, of: np.ndarray, **limits: int) -> list[list[int]]:
    return [one.tolist() for one in found.newest(of, **limits)]


def test_equal_ones_are_found_newest_first() -> None:
    found = EqualPositions(10)
    found.add(numbers(0, 1, 2), states(7, 8, 7))
    found.add(numbers(3, 4), states(8, 7))
    assert newest(found, numbers(0, 1), oldest=0, most=9) == [[4, 3], [2, 1], [0, -1]]
    assert newest(found, numbers(0, 1), oldest=0, most=2) == [[4, 3], [2, 1]]
    assert newest(found, numbers(4, 3), oldest=2, most=9) == [[4, 3], [2, -1]]


def test_what_left_the_ring_is_forgotten() -> None:
    found = EqualPositions(4)
    for first in range(0, 8000, 4):
        found.add(np.arange(first, first + 4), states(1, first + 10, first + 11, 1))
    assert newest(found, numbers(7999), oldest=7996, most=9) == [[7999], [7996]]
    assert len(found._newest) < 8000


def test_different_states_have_different_digests() -> None:
    some = states(*range(2000))
    assert len(set(digests(some).tolist())) == 2000
    # One bit anywhere makes a difference, and the order of the numbers too.
    board = np.zeros((64, 8), np.uint64)
    board[np.arange(64), 3] = np.uint64(1) << np.arange(64, dtype=np.uint64)
    assert len(set(digests(board).tolist())) == 64
    assert digests(np.array([[1, 2], [2, 1]]))[0] != digests(np.array([[1, 2], [2, 1]]))[1]
    np.testing.assert_array_equal(digests(some)[5:6], digests({k: v[5:6] for k, v in some.items()}))


@pytest.mark.parametrize("kind", [np.bool_, np.int8, np.int32, np.float32])
def test_any_kind_of_number_counts(kind: type) -> None:
    one: np.ndarray = np.zeros((2, 3), kind)
    one[1, 2] = 1
    first, second = digests(one)
    assert first != second
