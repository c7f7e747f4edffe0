"""Games from elsewhere train by the same command; minutes, so not in every run of the tests."""

from pathlib import Path

import pytest

from tests.cli.conftest import TINY, Invoke, invoke

__all__ = ["invoke"]

SPECS = [
    "clobber",
    "pgx:connect_four",
    "open_spiel:connect_four",
    "open_spiel:nim",
    "open_spiel:pig(winscore=20,horizon=60)",
    str(Path(__file__).with_name("python_storm.py")),
]


@pytest.mark.slow
@pytest.mark.parametrize("spec", SPECS)
def test_it_trains_and_goes_on(spec: str, invoke: Invoke, tmp_path: Path) -> None:
    for updates in (3, 5):
        result = invoke("train", spec, *TINY, "--updates", updates, "--run", tmp_path / "run")
        assert result.exit_code == 0, result.stderr
    assert "checkpoint 5" in result.stdout
    result = invoke("arena", tmp_path / "run", "random", "--matches", 4)
    assert result.exit_code == 0, result.stderr
