"""The logic of deploy/smoke.sh, with a stand-in for Docker: it passes and fails as it should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.files import DEPLOY, program

STAND_IN = """#!{python} -IS
import json, os, pathlib, sys

folder = pathlib.Path(os.environ["STAND_IN"])
fault = os.environ.get("STAND_IN_FAULT", "")
words = sys.argv[1:]
with (folder / "calls").open("a") as calls:
    print(json.dumps(words), file=calls)
containers = dict(trainer=["t"], worker=["w1", "w2"], evaluator=["e"], tensorboard=["b"])

def count(name):
    file = folder / name
    number = int(file.read_text()) + 1 if file.exists() else 0
    file.write_text(str(number))
    return number

if words[0] == "compose":
    words = words[1:]
    while words[0].startswith("--"):
        if words[0] == "--file" and not pathlib.Path(words[1]).is_file():
            sys.exit("no such file: " + words[1])
        words = words[2:]
    if words[0] == "build" and fault == "build":
        sys.exit("this is why it cannot be built")
    if words[0] == "ps" and "--quiet" in words:
        names = [word for word in words[1:] if not word.startswith("--")] or list(containers)
        for name in names:
            print(*containers[name], sep="\\n")
elif words[0] == "inspect":
    if "ExitCode" in words[2]:
        print("/" + words[3], 137 if (fault, words[3]) == ("exit", "w2") else 0)
    else:
        health = "unhealthy" if (fault, words[3]) == ("health", "e") else "healthy"
        print("running", health if count("looks") > 1 else "starting")
elif words[0] == "exec":
    assert words[2:4] == ["python", "-c"]
    compile(words[4], "metric", "exec")
    if fault == "metrics" and words[1] == "w1":
        sys.exit(1)
    if fault == "stands" and (folder / "killed").exists() and words[1] == "t":
        print(7)
    else:
        print(count("metric-" + words[1] + words[5]))
elif words[0] == "kill":
    (folder / "killed").write_text(words[1])
"""


def smoke(
    tmp_path: Path, fault: str, patience: int
) -> tuple[subprocess.CompletedProcess[str], str]:
    """Runs the script; returns how it ended, and what it asked of Docker."""
    folder = tmp_path / "bin"
    folder.mkdir()
    docker = folder / "docker"
    docker.write_text(STAND_IN.replace("{python}", sys.executable))
    docker.chmod(0o755)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [DEPLOY / "smoke.sh"],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "STAND_IN": str(tmp_path),
            "STAND_IN_FAULT": fault,
            "SMOKE_PATIENCE_SECONDS": str(patience),
            "SMOKE_PAUSE_SECONDS": "0.1",
            "TMPDIR": str(scratch),
        },
    )
    assert list(scratch.iterdir()) == [], "nothing is left behind"
    return done, (tmp_path / "calls").read_text()


def test_it_passes_where_everything_is_well(tmp_path: Path) -> None:
    done, calls = smoke(tmp_path, "", 300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("passed")
    assert (tmp_path / "killed").read_text() == "w1"
    for asked in ('"--scale", "worker=2"', '"stop"', "selfplay_matches_total"):
        assert asked in calls
    assert '"down", "--volumes"' in calls.splitlines()[-1]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("build", "this is why it cannot be built"),
        ("health", "never came: every service is healthy"),
        ("metrics", "never came: matches of the first worker"),
        ("stands", "never came: a newer checkpoint"),
        ("exit", "a process did not leave cleanly: /w2 137"),
    ],
)
def test_it_fails_and_says_why(tmp_path: Path, fault: str, message: str) -> None:
    done, calls = smoke(tmp_path, fault, 300 if fault in ("build", "exit") else 5)
    assert done.returncode == 1
    assert message in done.stderr
    assert '"down", "--volumes"' in calls.splitlines()[-1]


@pytest.mark.parametrize("script", ["smoke.sh", "slurm/selfplay.sbatch"])
def test_shellcheck_agrees(script: str) -> None:
    shellcheck = program("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed (apt install shellcheck)")
    done = subprocess.run(
        # What a trap calls is not unreachable.
        [shellcheck, "--exclude=SC2317", DEPLOY / script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
