"""The batch file, run by bash with stand-ins for Slurm's programs."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.files import DEPLOY

BATCH = DEPLOY / "slurm" / "selfplay.sbatch"
STAND_INS = {
    # Starts the process, passes its exit code on.
    "srun": """#!/bin/bash
echo "$@" > "$FOLDER/srun"
shift
exec "$@"
""",
    "selfplay": """#!/bin/bash
echo $$ > "$FOLDER/pid"
trap 'sleep 0.3; echo saved > "$FOLDER/saved"; exit ${ON_TERM:-0}' TERM
[ -n "${ENDS:-}" ] && exit "$ENDS"
while :; do sleep 0.05; done
""",
    "scancel": """#!/bin/bash
echo "$@" > "$FOLDER/scancel"
kill -TERM "$(cat "$FOLDER/pid")"
""",
    "scontrol": """#!/bin/bash
echo "$@" > "$FOLDER/scontrol"
""",
}


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in STAND_INS.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)

    def begin(*words: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", BATCH, *words],
            env={
                **os.environ,
                "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
                "FOLDER": str(tmp_path),
                "SLURM_JOB_ID": "77",
                "SLURM_CPUS_PER_TASK": "4",
                **environ,
            },
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


def test_at_its_time_limit_it_saves_and_is_queued_again(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    with start("worker", "--run", "/shared/a b") as job:
        deadline = time.monotonic() + 60
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.2)
        job.send_signal(signal.SIGUSR1)
        assert job.wait(60) == 0
    # The process had its time to save; only then the job was queued.
    assert (tmp_path / "saved").exists()
    assert (tmp_path / "scancel").read_text() == "--signal=TERM 77\n"
    assert (tmp_path / "scontrol").read_text() == "requeue 77\n"
    assert (tmp_path / "srun").read_text() == (
        "--cpus-per-task=4 selfplay worker --run /shared/a b --log-format=json\n"
    )


@pytest.mark.parametrize("status", [0, 1])
def test_a_process_that_ends_by_itself_ends_the_job(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path, status: int
) -> None:
    with start("trainer", "--run", "/r", ENDS=str(status)) as job:
        assert job.wait(60) == status
    assert not (tmp_path / "scontrol").exists()


def test_without_a_command_it_says_what_is_missing(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    with start() as job:
        assert "worker --run RUN" in job.communicate(timeout=60)[1]
        assert job.returncode == 2


def test_two_runs_do_not_wait_for_each_other() -> None:
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=?(\S*)$", BATCH.read_text(), re.MULTILINE))
    assert "dependency" not in options
    # A job that is queued again, not one that is submitted twice.
    assert options["requeue"] == ""
    assert options["open-mode"] == "append"
    # To the script, which asks the process to leave, with time enough for a checkpoint.
    kind, _, seconds = options["signal"].partition("@")
    assert kind == "B:USR1" and int(seconds) >= 120
