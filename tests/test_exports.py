"""The public names: sorted, importable, documented."""

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
