"""`nox -s bench` runs every benchmark, whatever becomes of the ones before."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NOXFILE = Path(__file__).parents[1] / "noxfile.py"


@pytest.mark.parametrize("broken", [(), ("a", "b")])
def test_bench_goes_on_after_a_failure_and_names_it(
    tmp_path: Path, broken: tuple[str, ...]
) -> None:
    shutil.copy(NOXFILE, tmp_path)
    (tmp_path / "benchmarks").mkdir()
    for name in "abc":
        code = f"open('{name}.ran', 'w')\nraise SystemExit({int(name in broken)})\n"
        (tmp_path / "benchmarks" / f"{name}.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "nox", "-s", "bench"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert sorted(path.stem for path in tmp_path.glob("*.ran")) == ["a", "b", "c"]
    assert (done.returncode != 0) == bool(broken)
    assert ("failed: a.py, b.py" in done.stderr) == bool(broken)
