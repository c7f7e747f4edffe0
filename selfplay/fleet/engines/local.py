"""The engine `local`: processes of this machine, watched by a supervisor."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from selfplay.errors import RunError
from selfplay.fleet.backends import Backend, LaunchOptions, OnStop, Result, Say
from selfplay.fleet.budget import Budget
from selfplay.fleet.checks import check_no_trainer
from selfplay.fleet.engines.local_starter import LocalStarter, last_words
from selfplay.fleet.engines.shares import Share, check_memory, find_gpus, share_out
from selfplay.fleet.fleet import Fleet
from selfplay.fleet.processes import ProcessId
from selfplay.fleet.record import Record
from selfplay.fleet.supervisor import GRACE_SECONDS, Outcome, Supervisor
from selfplay.fleet.watched import Watched
from selfplay.machine import host_memory, whole_cores
from selfplay.store.files import process_space, storage_errors

_LOOK_SECONDS = 0.2


class Local(Backend):
    """Processes of this machine."""

    takes = frozenset({"detach", "logs", "max_cost", "max_restarts"})

    def shown(self, fleet: Fleet, options: LaunchOptions) -> str:
        """Returns the command line of each process, with its variables."""
        gpus = find_gpus(os.environ)
        starter = LocalStarter(
            fleet, share_out(fleet, whole_cores(), gpus), Path(), gpus=bool(gpus)
        )
        lines = []
        for one in fleet.processes():
            pairs = [f"{name}={value}" for name, value in starter.environment(one).items()]
            lines.append(shlex.join([*pairs, "selfplay", *starter.words(one)]))
        return "\n".join(lines)

    def launch(
        self, record: Record, fleet: Fleet, options: LaunchOptions, say: Say, on_stop: OnStop
    ) -> Result:
        """Supervises the fleet until it ends, or leaves that to a process in the background."""
        share_out(fleet, whole_cores(), find_gpus(os.environ))
        check_memory(fleet, host_memory())
        left = left_over(record)
        check_no_trainer(fleet.run, [one.pid for one in left])
        if options.max_cost is not None:
            Budget(fleet, options.max_cost, say)
        if options.detach:
            return self._detach(record, fleet, options)
        outcome = supervise(record, fleet, options, say, on_stop)
        document = {
            **(record.read() or {}),
            "run": fleet.run,
            "ended": outcome.reason,
            "error": outcome.error or None,
        }
        text = f"ended: {outcome.reason}"
        hint = f"the logs are in {options.logs or record.logs}"
        return Result(document=document, text=text, error=outcome.error, hint=hint)

    def _detach(self, record: Record, fleet: Fleet, options: LaunchOptions) -> Result:
        with record.supervised():
            record.write(fleet, "local", _details(options, ended="not started"))
        log = record.folder / "supervisor.log"
        with storage_errors(log), log.open("ab") as output:
            popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "selfplay.fleet.engines.detached", fleet.run],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while True:
            document = record.read() or {}
            if document.get("ended") is None and document.get("processes"):
                break
            if popen.poll() is not None:
                raise RunError(
                    f"the supervisor could not start: {last_words(log)}", hint=f"see {log}"
                )
            time.sleep(_LOOK_SECONDS)
        return Result(document=document, text=f"supervisor  pid {popen.pid}, its log: {log}")

    def processes(self, record: Record, document: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what is recorded; of processes of this machine whether they are alive."""
        here = document.get("process_space") == process_space()
        supervisor = _identity(document.get("supervisor"))
        alive = bool(here and supervisor and supervisor.alive)
        processes = []
        for one in document.get("processes", ()):
            process = _identity(one)
            there = bool(here and process and process.alive)
            state = one["state"]
            if here and not alive and state in ("running", "waiting"):
                state = "running without supervisor" if there else "gone"
            processes.append({**one, "state": state, "alive": there if here else None})
        return {
            "alive": alive if here else None,
            "supervisor": document.get("supervisor"),
            "ended": document.get("ended"),
            "processes": processes,
        }

    def stop(self, record: Record, document: Mapping[str, Any], say: Say) -> str:
        """Asks the supervisor to end the fleet; without one asks the processes themselves."""
        if document.get("process_space") != process_space():
            raise RunError(
                f"the fleet of {record.run} was launched on {document.get('host')}, in another "
                "place for processes",
                hint="stop it on that machine, or in that container",
            )
        supervisor = _identity(document.get("supervisor"))
        if supervisor is not None and supervisor.send(signal.SIGTERM):
            say("every process saves and ends")
            # It kills by itself what does not end in time.
            _wait_for([supervisor], GRACE_SECONDS + 60)
            if not supervisor.alive:
                return "the fleet has ended"
            supervisor.send(signal.SIGKILL)
        left = left_over(record)
        if not left:
            return "nothing of the fleet runs"
        end(left, say)
        return "the fleet has ended"


def supervise(
    record: Record, fleet: Fleet, options: LaunchOptions, say: Say, on_stop: OnStop
) -> Outcome:
    """Runs a fleet on this machine until it ends.

    Args:
        record: of the fleet; every change is written to it.
        fleet: what runs.
        options: what was asked.
        say: shows a line.
        on_stop: is told how to end it.

    Raises:
        RunError: another supervisor runs it.
        StorageError: the record or a log cannot be written.
    """
    with record.supervised():
        left = left_over(record)
        if left:
            say("processes of an earlier supervisor are still there; they are asked to end first")
            end(left, say)
        gpus = find_gpus(os.environ)
        shares = share_out(fleet, whole_cores(), gpus)
        logs = options.logs or record.logs
        with storage_errors(logs):
            logs.mkdir(parents=True, exist_ok=True)
        starter = LocalStarter(fleet, shares, logs, gpus=bool(gpus))
        _tell_shares(fleet, shares, logs, say)

        def changed(watched: list[Watched]) -> None:
            record.write(fleet, "local", _details(options, watched=watched, logs=logs))

        limit = options.max_cost
        spent = str if limit is None else Budget(fleet, limit, say).spent
        supervisor = Supervisor(
            fleet.processes(),
            starter,
            say=say,
            on_change=changed,
            most_restarts=options.max_restarts,
            spent=spent,
        )
        on_stop(supervisor.stop)
        outcome = supervisor.run()
        details = _details(
            options, watched=supervisor.watched, logs=logs, ended=outcome.error or outcome.reason
        )
        record.write(fleet, "local", details)
        return outcome


def left_over(record: Record) -> list[ProcessId]:
    """Returns the recorded processes that still run although their supervisor does not."""
    document = record.read()
    if document is None or document.get("process_space") != process_space():
        return []
    if document["on"] != "local":
        return []
    supervisor = _identity(document.get("supervisor"))
    if supervisor is not None and supervisor.alive and supervisor.pid != os.getpid():
        raise record.runs_already()
    found = [_identity(one) for one in document.get("processes", ())]
    return [one for one in found if one is not None and one.alive]


def end(processes: Sequence[ProcessId], say: Say) -> None:
    """Asks processes to save and end, waits, and kills those that do not."""
    for one in processes:
        one.send(signal.SIGTERM)
    _wait_for(processes, GRACE_SECONDS)
    for one in processes:
        if one.send(signal.SIGKILL):
            say(f"process {one.pid} did not end; it was killed")
    _wait_for(processes, GRACE_SECONDS)


def _wait_for(processes: Sequence[ProcessId], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(one.alive for one in processes) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)


def _tell_shares(
    fleet: Fleet, shares: Mapping[str, Share], logs: Path, say: Callable[[str], None]
) -> None:
    cores = whole_cores()
    used = sum(share.cpus for share in shares.values())
    say(f"cores      {cores.count}: {cores.reason}")
    for role in fleet.roles:
        mine = [shares[one.name] for one in fleet.processes() if one.role is role]
        if mine:
            gpus = sorted({gpu for share in mine for gpu in share.gpu_ids})
            on = f", GPU {', '.join(gpus)}" if gpus else ""
            say(f"{role.name:<10} {role.count}, cores of each: {mine[0].cpus}{on}")
    say(f"logs       {logs}")
    if used > cores.count:
        say(f"note: {len(shares)} processes share {cores.count} cores, so each is slower")


def _details(
    options: LaunchOptions,
    *,
    watched: Sequence[Watched] = (),
    logs: Path | None = None,
    ended: str | None = None,
) -> dict[str, Any]:
    me = ProcessId.of(os.getpid())
    processes = []
    for one in watched:
        found = None if one.handle is None else ProcessId.of(one.handle.pid or 0)
        processes.append(
            {
                **one.to_dict(),
                "started": None if found is None else found.started,
                "log": None if logs is None else str(logs / f"{one.process.name}.log"),
            }
        )
    return {
        "supervisor": None
        if me is None or ended is not None
        else {"pid": me.pid, "started": me.started},
        "options": {
            "logs": None if options.logs is None else str(options.logs),
            "max_restarts": options.max_restarts,
            "max_cost": options.max_cost,
        },
        "processes": processes,
        "ended": ended,
    }


def _identity(document: Mapping[str, Any] | None) -> ProcessId | None:
    if not document or not document.get("pid") or not document.get("started"):
        return None
    return ProcessId(pid=document["pid"], started=document["started"])
