"""The engine `slurm`: jobs made from the batch file in deploy/slurm."""

import os
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfplay.errors import ConfigError, RunError
from selfplay.fleet.backends import Backend, LaunchOptions, OnStop, Result, Say
from selfplay.fleet.checks import check_no_trainer, check_shared
from selfplay.fleet.engines.deploy_files import deploy_folder
from selfplay.fleet.engines.programs import call, check_program
from selfplay.fleet.fleet import Fleet, Role
from selfplay.fleet.record import Record
from selfplay.store.files import storage_errors

_TRAINER_MEMORY = 8 * 2**30
_GRACE_SECONDS = 300.0
_LOOK_SECONDS = 1.0
_NO_SUCH_JOB = 1
_LOGIN = "run it on a login node of the cluster; --print shows the jobs anywhere"


class Slurm(Backend):
    """Jobs of Slurm that are queued again at their time limit."""

    takes = frozenset({"logs", "shared", "sbatch"})

    def shown(self, fleet: Fleet, options: LaunchOptions) -> str:
        """Returns the calls of sbatch."""
        record = Record(fleet.run)
        calls = [
            submission(fleet, role, record.name, options.logs or record.logs, options.sbatch)
            for role in fleet.roles
            if role.count
        ]
        return "\n".join(map(shlex.join, calls))

    def launch(
        self, record: Record, fleet: Fleet, options: LaunchOptions, say: Say, on_stop: OnStop
    ) -> Result:
        """Submits a job for the trainer, and an array of jobs for each other role."""
        self.shown(fleet, options)
        check_program("sbatch", hint=_LOGIN)
        nodes = set(call(["sinfo", "--noheader", "--Node", "--format=%N"]).split())
        if not nodes:
            raise RunError("Slurm has no nodes", hint="see sinfo")
        if not options.shared:
            check_shared(fleet.run, nodes=len(nodes), what="the nodes of Slurm")
        if fleet.trainer.count > len(nodes):
            raise ConfigError(
                f"--trainer-hosts is {fleet.trainer.count}, but Slurm has {len(nodes)} nodes",
                hint="lower --trainer-hosts; each process of the trainer gets a node of its own",
            )
        document = record.read()
        if document is not None and document["on"] == "slurm" and _queue(document):
            raise record.runs_already()
        check_no_trainer(fleet.run)
        logs = options.logs or record.logs
        record.make()
        with storage_errors(logs):
            logs.mkdir(parents=True, exist_ok=True)
        jobs: dict[str, str] = {}
        try:
            for role in fleet.roles:
                if role.count:
                    words = submission(fleet, role, record.name, logs, options.sbatch)
                    # "17", or "17;cluster" where there are several.
                    printed = call(words, environ=fleet.environment(os.environ))
                    jobs[role.name] = printed.strip().partition(";")[0]
        except RunError:
            if jobs:
                call(["scancel", *jobs.values()])
            raise
        details = {"jobs": jobs, "logs": str(logs), "ended": None}
        record.write(fleet, "slurm", details)
        text = "\n".join(f"{role:<10} job {job}" for role, job in jobs.items())
        document = {"run": fleet.run, "on": "slurm", **details}
        return Result(document=document, text=f"{text}\nlogs       {logs}")

    def processes(self, record: Record, document: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what squeue says of each job; one that it does not list has ended."""
        states = _queue(document)
        fleet = Fleet.from_dict(document["fleet"])
        processes = []
        for one in fleet.processes():
            job = document["jobs"][one.role.name]
            # All processes of a trainer are tasks of one job, with one log.
            alone = one.role.name == "trainer"
            task = job if alone else f"{job}_{one.index + 1}"
            processes.append(
                {
                    "name": one.name,
                    "role": one.role.name,
                    "state": states.get(task, "ended"),
                    "job": task,
                    "log": f"{document['logs']}/{'trainer' if alone else one.name}.log",
                }
            )
        return {"alive": bool(states), "ended": None, "processes": processes}

    def stop(self, record: Record, document: Mapping[str, Any], say: Say) -> str:
        """Removes waiting jobs, asks running ones to save and end, and waits for them."""
        if not _queue(document):
            return "nothing of the fleet runs"
        jobs = list(document["jobs"].values())
        say("every process saves and ends")
        deadline = time.monotonic() + _GRACE_SECONDS
        while _queue(document):
            # Again and again: a job at its time limit queues itself again after it has saved, and
            # one that waited may have started in between.
            call(["scancel", "--state=PENDING", *jobs], also=(1,))
            call(["scancel", "--signal=TERM", *jobs], also=(1,))
            if time.monotonic() > deadline:
                call(["scancel", *jobs], also=(1,))
                return "the jobs did not end in time and were cancelled"
            time.sleep(_LOOK_SECONDS)
        return "the fleet has ended"


def submission(
    fleet: Fleet, role: Role, name: str, logs: Path, further: Sequence[str]
) -> list[str]:
    """Returns the call of sbatch for the processes of a role.

    Args:
        fleet: what runs.
        role: one of its roles, with at least one process.
        name: of the fleet.
        logs: the folder for logs.
        further: options of sbatch; they override the others.

    Raises:
        ConfigError: a fraction of a GPU is asked for.
    """
    gpus = role.gpus or 0.0
    if gpus != int(gpus):
        raise ConfigError(
            f"--gpus is {role.name}={gpus:g}, but Slurm gives out whole GPUs",
            hint="ask for whole GPUs, or leave out --gpus",
        )
    memory = role.memory or (_TRAINER_MEMORY if role is fleet.trainer else None)
    alone = role is fleet.trainer
    options = [
        *("--parsable", f"--job-name=selfplay-{name}-{role.name}"),
        *(_nodes(role.count) if alone else [f"--array=1-{role.count}"]),
        *([] if role.cpus is None else [f"--cpus-per-task={role.cpus}"]),
        *([] if memory is None else [f"--mem={-(-memory // 2**20)}M"]),
        *([f"--gres=gpu:{int(gpus)}"] if gpus else []),
        f"--output={_escaped(logs)}/{role.name}{'' if alone else '-%a'}.log",
    ]
    batch = deploy_folder() / "slurm" / "selfplay.sbatch"
    return ["sbatch", *options, *further, str(batch), *fleet.command(role)]


def _nodes(count: int) -> list[str]:
    """Returns the options for a job of several tasks, each on a node of its own."""
    if count == 1:
        return []
    return [f"--nodes={count}", f"--ntasks={count}", "--ntasks-per-node=1"]


def _escaped(folder: Path) -> str:
    """Returns a folder as --output takes it, where % begins a placeholder."""
    return str(folder.absolute()).replace("%", "%%")


def _queue(document: Mapping[str, Any]) -> dict[str, str]:
    """Returns the state of each job that has not ended, such as "running" for "17_2"."""
    printed = call(
        [
            *("squeue", "--noheader", "--array", "--format=%i|%T"),
            f"--jobs={','.join(document['jobs'].values())}",
        ],
        # Jobs that Slurm has forgotten.
        also=(_NO_SUCH_JOB,),
    )
    pairs = (line.strip().partition("|") for line in printed.splitlines() if "|" in line)
    return {job: state.lower() for job, _, state in pairs if state.lower() != "completing"}
