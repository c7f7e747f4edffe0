"""selfplay launch as a person types it; what the engines do is in tests/fleet."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from selfplay.cli.main import app
from selfplay.fleet.record import Record


def invoke(*words: object) -> tuple[int, str, str]:
    """Returns the exit code of a command, and what it wrote on stdout and stderr."""
    done = CliRunner().invoke(app, [*map(str, words)], prog_name="selfplay")
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_print_starts_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    size = ("--workers", 2, "--reanalyzers", 1)
    new = ("launch", run, "--game", "tic_tac_toe", *size, "--print", "--seed", 3)
    code, printed, _ = invoke(*new)
    assert code == 0 and not run.exists()
    lines = [shlex.split(line) for line in printed.splitlines()]
    roles = [
        next(word for word in line if "=" not in word and word != "selfplay") for line in lines
    ]
    assert roles == ["trainer", "worker", "worker", "evaluator", "reanalyze"]
    assert "--set=trainer.seed=3" in lines[0]
    document = json.loads(invoke(*new, "--json")[1])
    assert (document["on"], document["fleet"]["worker"]["count"]) == ("local", 2)


def test_a_trainer_of_several_hosts_is_as_many_commands(tmp_path: Path) -> None:
    new = ("launch", tmp_path / "run", "--game", "tic_tac_toe", "--trainer-hosts", 2, "--print")
    code, printed, _ = invoke(*new)
    assert code == 0
    words = [shlex.split(line) for line in printed.splitlines()]
    groups = [words[index][-3:] for index in (0, 1)]
    assert {"worker", "evaluator"} & set(words[2])
    (coordinator,) = {group[0] for group in groups}
    assert coordinator.startswith("--coordinator=127.0.0.1:")
    assert [group[1:] for group in groups] == [
        ["--num-processes=2", f"--process-id={index}"] for index in (0, 1)
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "is not a selfplay run"),
        (("--game", "g", "--on", "mesos"), "--on is 'mesos', but must be one of: local, "),
        (("--game", "g", "--sbatch", "--x"), "--sbatch means nothing on local"),
        (("--game", "g", "--with", "coffee", "--on", "kubernetes"), "--with is 'coffee'"),
        (("--game", "g", "--set", "search.depth=1"), "search.depth is not a setting"),
        (("--game", "g", "--max-cost", 5), "--max-cost is given, but the run has no prices"),
        (("--game", "g", "--max-cost", 0), "--max-cost is 0, but must be above 0"),
        (("--game", "g", "--max-cost", 5, "--on", "slurm"), "--max-cost means nothing on slurm"),
        (("--game", "g", "--trainer-hosts", 0), "--trainer-hosts is 0, but must be"),
        (("--status", "--stop"), "exclude each other"),
        (("--status",), "no fleet of"),
        (("--stop",), "no fleet of"),
    ],
)
def test_an_error_is_two_lines(words: tuple[object, ...], message: str, tmp_path: Path) -> None:
    code, printed, error = invoke("launch", tmp_path / "run", *words)
    assert code in (1, 2) and printed == ""
    assert error.startswith("error: ") and message in error
    assert "Traceback" not in error and error.count("\n") <= 3


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    record = Record(str(tmp_path / "run"))
    record.make()
    (record.folder / "fleet.json").write_text("{")
    code, _, error = invoke("launch", "--status", tmp_path / "run")
    assert code == 1 and "fleet.json is damaged" in error


def test_what_a_library_prints_is_not_in_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def status(run: str) -> dict[str, object]:
        print("(raylet) The node has been marked dead")  # noqa: T201
        return {"run": run}

    monkeypatch.setattr("selfplay.fleet.status.fleet_status", status)
    code, printed, error = invoke("launch", "--status", tmp_path, "--json")
    assert code == 0 and json.loads(printed) == {"run": str(tmp_path)}
    assert "marked dead" in error


def test_the_launcher_does_not_wait_for_jax(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['selfplay', 'launch', sys.argv[1], '--game', 'tic_tac_toe', "
        "'--print']\n"
        "from selfplay.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as leaving: assert not leaving.code, leaving.code\n"
        "print([name for name in ('jax', 'numpy', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "run"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
