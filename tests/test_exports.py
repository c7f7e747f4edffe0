"""The public names: sorted, importable, documented."""

import pytest

import selfplay


def test_public_names_are_sorted_and_unique() -> None:
    assert selfplay.__all__
    assert list(selfplay.__all__) == sorted(set(selfplay.__all__))


def test_public_names_are_there() -> None:
    assert [name for name in selfplay.__all__ if not hasattr(selfplay, name)] == []


def test_public_names_are_documented() -> None:
    undocumented = [
        name
        for name in selfplay.__all__
        if not name.startswith("__") and not getattr(selfplay, name).__doc__
    ]
    assert undocumented == []


@pytest.mark.parametrize("old, new", [("Parts", "Components"), ("make_parts", "make_components")])
def test_names_of_earlier_versions_still_work(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"selfplay.{new}"):
        assert getattr(selfplay, old) is getattr(selfplay, new)
