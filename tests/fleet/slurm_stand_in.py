"""A stand-in for Slurm that runs jobs on this machine: `python slurm_stand_in.py sbatch ...`.

A job is a folder in $SLURM_STAND_IN: what it runs, its state, and the ids of its processes. It is
run by a process of its own (`run`), which starts it again if it was queued again.
"""

import fcntl
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["SLURM_STAND_IN"])


def jobs() -> list[tuple[Path, dict[str, Any]]]:
    """Returns all jobs: folder and content."""
    files = sorted(FOLDER.glob("*/job.json"))
    return [(file.parent, json.loads(file.read_text())) for file in files]


def write(folder: Path, name: str, text: str) -> None:
    """Writes a file at once."""
    part = folder / f"{name}.{os.getpid()}"
    part.write_text(text)
    part.replace(folder / name)


def state(folder: Path) -> str:
    """Returns the state of a job."""
    return (folder / "state").read_text()


def sbatch(words: list[str]) -> None:
    """Takes a batch file and its arguments, prints the number of the job."""
    options = {}
    while words[0].startswith("--"):
        name, _, value = words.pop(0).removeprefix("--").partition("=")
        options[name] = value
    if options.get("partition") == "none":
        sys.exit("sbatch: error: invalid partition specified: none")
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        number = 1 + max((int(job["number"]) for _, job in jobs()), default=100)
        low, _, high = options.get("array", "0-0").partition("-")
        for index in range(int(low), int(high) + 1):
            # A task of an array has a number of its own, too.
            own = number + index - int(low)
            folder = FOLDER / f"{own}"
            folder.mkdir()
            shown = f"{number}_{index}" if "array" in options else f"{number}"
            write(folder, "state", "PENDING")
            job = {"number": own, "array": number, "shown": shown, "index": index}
            write(folder, "job.json", json.dumps({**job, "options": options, "words": words}))
            subprocess.Popen(
                [sys.executable, __file__, "run", folder],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
    print(number)  # noqa: T201


def run(folder: Path) -> None:
    """Runs a job, again and again while it is queued again."""
    job = json.loads((folder / "job.json").read_text())
    options = job["options"]
    output = options["output"].replace("%a", str(job["index"]))
    environ = {
        **os.environ,
        "SLURM_JOB_ID": str(job["number"]),
        "SLURM_NTASKS": options.get("ntasks", "1"),
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_PER_TASK": options.get("cpus-per-task", "4"),
        "SLURM_STAND_IN_JOB": str(folder),
    }
    status = 0
    for restarts in range(100):
        write(folder, "restarts", str(restarts))
        with open(output, "ab") as log:
            script = subprocess.Popen(
                ["bash", *job["words"]], env=environ, stdout=log, stderr=subprocess.STDOUT
            )
        write(folder, "script", str(script.pid))
        write(folder, "state", "RUNNING")
        status = script.wait()
        (folder / "step").unlink(missing_ok=True)
        if not (folder / "again").exists():
            break
        write(folder, "state", "PENDING")
        (folder / "again").unlink()
    write(folder, "state", "FAILED" if status else "COMPLETED")


def srun(words: list[str]) -> None:
    """Becomes the step of a job, or runs the tasks of one with several."""
    folder = Path(os.environ["SLURM_STAND_IN_JOB"])
    options = list(itertools.takewhile(lambda word: word.startswith("--"), words))
    rest = words[len(options) :]
    if os.environ["SLURM_NTASKS"] == "1":
        write(folder, "step", str(os.getpid()))
        os.execvp(rest[0], rest)
    tasks = [
        subprocess.Popen(rest, env={**os.environ, "SLURM_PROCID": str(index)})
        for index in range(int(os.environ["SLURM_NTASKS"]))
    ]

    def end(*_: object) -> None:
        for task in tasks:
            task.terminate()

    signal.signal(signal.SIGTERM, end)
    write(folder, "step", str(os.getpid()))
    while any(task.poll() is None for task in tasks):
        if any(task.poll() for task in tasks) and "--kill-on-bad-exit=1" in options:
            end()
        time.sleep(0.02)
    sys.exit(max(abs(task.returncode) for task in tasks))


def squeue(words: list[str]) -> None:
    """Lists the jobs that have not ended."""
    (asked,) = [word.removeprefix("--jobs=") for word in words if word.startswith("--jobs=")]
    wanted = set(asked.split(","))
    known = {str(job["array"]) for _, job in jobs()}
    if not wanted & known:
        sys.exit("slurm_load_jobs error: Invalid job id specified")
    for folder, job in jobs():
        if str(job["array"]) in wanted and state(folder) in ("PENDING", "RUNNING"):
            print(f"{job['shown']}|{state(folder)}")  # noqa: T201


def scancel(words: list[str]) -> None:
    """Sends a signal to the steps of jobs, or ends their scripts."""
    numbers = {word for word in words if word.isdecimal()}
    options = dict(word.removeprefix("--").split("=") for word in words if word.startswith("--"))
    for folder, job in jobs():
        if not numbers & {str(job["array"]), str(job["number"])}:
            continue
        # Nothing waits here for long: a job that is pending is about to start.
        if "state" in options or state(folder) not in ("PENDING", "RUNNING"):
            continue
        name = "step" if "signal" in options else "script"
        deadline = time.monotonic() + 60
        while not (folder / name).exists() and state(folder) == "PENDING":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        if (folder / name).exists():
            os.kill(int((folder / name).read_text()), signal.SIGTERM)


def scontrol(words: list[str]) -> None:
    """Queues a job again once it has ended, or lists the names of nodes."""
    if words == ["show", "hostnames", "node[1-2]"]:
        print("node1\nnode2")  # noqa: T201
        return
    (_, number) = words
    write(FOLDER / number, "again", "")


def sinfo(words: list[str]) -> None:
    """Lists the nodes."""
    print("\n".join(os.environ["NODES"].split(",")))  # noqa: T201


if __name__ == "__main__":
    _, program, *arguments = sys.argv
    if program == "run":
        run(Path(arguments[0]))
    else:
        globals()[program](arguments)
