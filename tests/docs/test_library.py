"""The script of docs/library.md runs as printed, with public names only."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import selfplay

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "library.py"

# XLA takes weights as they are, so it would not notice that they were not loaded.
INFERENCE = "onnx" if importlib.util.find_spec("onnxruntime") else "xla"


def test_it_is_at_most_40_lines_of_code() -> None:
    lines = [line for line in SCRIPT.read_text().splitlines() if line.strip()]
    assert len(lines) <= 40


def test_it_uses_public_names_only() -> None:
    text = SCRIPT.read_text()
    assert set(re.findall(r"selfplay\.(\w+)", text)) <= set(selfplay.__all__)
    assert "from selfplay" not in text


def test_it_makes_searches_plays_trains_and_evaluates(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "run")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "SELFPLAY_SEARCH__INFERENCE": INFERENCE},
    )
    assert done.returncode == 0, done.stderr
    assert "updates: 60" in done.stdout
    score = float(re.search(r"score against random: ([\d.]+)", done.stdout)[1])  # type: ignore[index]
    assert 0.0 <= score <= 1.0
    assert (tmp_path / "run" / "checkpoints" / "60").is_dir()
