"""Chaos: a trainer, two workers and an evaluator on one run, while everything happens to them.

    python benchmarks/chaos.py /tmp/chaos --kills 200 > table.md

Processes are killed, ended, frozen and continued at random instants; the disk is full for a while;
files are damaged; clocks are wrong; a second worker takes an id that is in use. Each process that
is gone is started again with the same command. At the end every match whose storing was confirmed
must be there exactly once, the update count must never have gone back, the newest checkpoint must
be what the records make of the seed, bit for bit, and nothing may have hung.

The processes run the real commands. They are forked from one that has imported everything but has
not started JAX's devices, because importing takes longer than what they do.
"""

import argparse
import collections
import contextlib
import errno
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

SETTINGS = (
    "network.kind=mlp",
    "network.blocks=1",
    "network.channels=8",
    "search.num_simulations=4",
    "search.max_considered_actions=4",
    "rollout.matches_per_device=4",
    "rollout.plies_per_chunk=4",
    "replay.first_positions=100",
    "replay.min_window=300",
    "replay.max_window=600",
    "learner.batch_size=16",
    "learner.schedule=constant",
    "learner.next_policy_weight=0",
    "trainer.replay_ratio=1",
    "trainer.checkpoint_seconds=1",
    "trainer.keep_checkpoints=3",
    "trainer.max_backlog=400",
    "evaluation.opponents=random",
    "evaluation.matches=4",
    "evaluation.simulations=2",
)
ROLES = {
    "trainer": ("trainer", "--game", "tic_tac_toe", *(f"--set={one}" for one in SETTINGS)),
    "worker a": ("worker", "--id", "a", "--jitter", "0.2"),
    "worker b": ("worker", "--id", "b", "--jitter", "0.2"),
    "evaluator": ("evaluator", "--id", "e"),
}
GRACE_SECONDS = 10.0
PATIENCE_SECONDS = 300.0
"""Longer without any progress is a hang, on a machine of any speed."""
CHUNK_PAUSE_SECONDS = 0.05


def nursery(folder: Path) -> None:
    """Forks a process for each line of JSON on standard input, and says its process id."""
    # Imported before the fork; nothing here starts a device.
    import jax
    import orbax.checkpoint  # noqa: F401

    from selfplay import startup
    from selfplay.cli.main import main
    from selfplay.run import MatchFiles
    from selfplay.runtime.playing import Playing
    from selfplay.training import session, trainer  # noqa: F401
    from selfplay.workers import evaluator, worker  # noqa: F401

    def prepare(**_: object) -> None:
        jax.config.update("jax_num_cpu_devices", 1)
        jax.config.update("jax_compilation_cache_dir", str(folder / "programs"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

    startup.prepare = prepare
    fsync, full = os.fsync, folder / "full"

    def fsync_on_a_full_disk(descriptor: int) -> None:
        if full.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    os.fsync = fsync_on_a_full_disk  # type: ignore[assignment]
    put, chunk = MatchFiles.put_encoded, Playing.chunk

    def confirmed_put(self: MatchFiles, name: str, sequence: int, data: bytes) -> bool:
        stored = put(self, name, sequence, data)
        if stored:
            line = f"{name} {sequence} {hashlib.sha256(data).hexdigest()}\n"
            descriptor = os.open(folder / "confirmed", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, line.encode())
            os.close(descriptor)
        return stored

    def slow_chunk(self: Playing, *arguments: Any, **named: Any) -> Any:
        finished = chunk(self, *arguments, **named)
        time.sleep(CHUNK_PAUSE_SECONDS)
        return finished

    MatchFiles.put_encoded = confirmed_put  # type: ignore
    Playing.chunk = slow_chunk  # type: ignore[method-assign]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child:
            print(child, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        turn_clock(float(order["skew"]))
        sys.argv = ["selfplay", *order["arguments"]]
        status: Any = 1
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
        finally:
            os.write(log, f"exit {status}\n".encode())
            os._exit(int(status))


def turn_clock(seconds: float) -> None:
    """Puts the clock of this process wrong."""
    now = time.time
    time.time = lambda: now() + seconds


class HangError(Exception):
    """Nothing went on for longer than any machine needs."""


class Chaos:
    """The driver.

    Attributes:
        tried: how often each fault was tried.
        survived: how often the run went on after it.
        slowest_end: seconds from SIGTERM to the end, the worst of all.
        hangs: how often nothing went on for `PATIENCE_SECONDS`.
        went_back: how often the newest checkpoint was an older one than before.
    """

    def __init__(self, folder: Path, *, seed: int) -> None:
        """Starts the process that forks all others; `folder` must not exist."""
        folder.mkdir(parents=True)
        self.folder = folder
        self.run = folder / "run"
        self.tried: collections.Counter[str] = collections.Counter()
        self.survived: collections.Counter[str] = collections.Counter()
        self.slowest_end = 0.0
        self.hangs = 0
        self.went_back = 0
        self._random = random.Random(seed)
        self._pids: dict[str, int] = {}
        self._newest = -1
        self._skew: dict[str, float] = {}
        self._damaged = 0
        root = Path(__file__).resolve().parents[1]
        self._nursery = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, "--nursery", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"},
        )

    def start(self, role: str, *more: str) -> int:
        """Starts a process and returns its id."""
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        command, *options = ROLES[role]
        order = {
            "arguments": [command, "--run", str(self.run), *options, *more],
            "log": str(self.folder / f"{role.replace(' ', '-')}.log"),
            "skew": self._skew.get(role, 0.0),
        }
        self._nursery.stdin.write(json.dumps(order) + "\n")
        self._nursery.stdin.flush()
        return int(self._nursery.stdout.readline())

    def revive(self) -> None:
        """Starts whatever is gone."""
        for role in ROLES:
            if not self.alive(role):
                self._pids[role] = self.start(role)

    def alive(self, role: str) -> bool:
        """Returns whether a process is there."""
        return role in self._pids and exists(self._pids[role])

    def progress(self) -> tuple[int, int]:
        """Returns the newest checkpoint and the number of stored files."""
        from selfplay.checkpoints.directory_checkpoints import DirectoryCheckpoints

        newest = DirectoryCheckpoints(self.run).latest()
        newest = -1 if newest is None else newest
        self.went_back += newest < self._newest
        self._newest = newest
        return newest, sum(1 for _ in self.run.glob("matches/[ab]/[0-9]*.parquet"))

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Waits; longer than any machine needs is a hang. Revives what is gone meanwhile.

        Raises:
            HangError: nothing went on.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                self.hang(f"{what}; see the logs in {self.folder}")
            self.revive()
            time.sleep(0.02)

    def hang(self, what: str) -> NoReturn:
        """Counts a hang and raises `HangError`."""
        self.hangs += 1
        raise HangError(what)

    def wait_for_news(self, *, checkpoint: bool) -> None:
        """Waits until the run has moved on: a checkpoint, or matches of a worker."""
        before = self.progress()
        index = 0 if checkpoint else 1
        what = "no new checkpoint" if checkpoint else "no new matches"
        self.wait_for(lambda: self.progress()[index] > before[index], what)

    def fault(self, kind: str) -> None:
        """Does something bad at a random instant and sees that the run goes on."""
        if not self._pids:
            self.wait_for_news(checkpoint=True)
        time.sleep(self._random.uniform(0.0, 0.6))
        role = self._random.choice(list(ROLES))
        name = f"{kind} {role.split()[0]}" if kind in ("SIGKILL", "SIGTERM", "SIGSTOP") else kind
        self.tried[name] += 1
        getattr(self, f"_{kind.lower().replace(' ', '_')}")(role)
        self.revive()
        self.wait_for_news(checkpoint=self._random.random() < 0.3)
        self.survived[name] += 1

    def _sigkill(self, role: str) -> None:
        send(self._pids.get(role), signal.SIGKILL)

    def _sigterm(self, role: str) -> None:
        begin = time.monotonic()
        pid = self._pids.get(role)
        send(pid, signal.SIGTERM)
        while pid is not None and exists(pid):
            if time.monotonic() - begin > PATIENCE_SECONDS:
                self.hang(f"{role} does not end")
            time.sleep(0.02)
        self.slowest_end = max(self.slowest_end, time.monotonic() - begin)

    def _sigstop(self, role: str) -> None:
        pid = self._pids.get(role)
        send(pid, signal.SIGSTOP)
        time.sleep(self._random.uniform(0.2, 2.0))
        send(pid, signal.SIGCONT)

    def _full_disk(self, role: str) -> None:
        (self.folder / "full").touch()
        time.sleep(self._random.uniform(0.5, 2.0))
        # Killed while nothing can be written, in one of two cases.
        if self._random.random() < 0.5:
            self._sigkill(role)
        (self.folder / "full").unlink()

    def _damaged_matches(self, role: str) -> None:
        whole = sorted(self.run.glob("matches/[ab]/[0-9]*.parquet"))
        data = bytearray(self._random.choice(whole).read_bytes())
        data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        del data[self._random.randrange(len(data) // 2, len(data)) :]
        ghost = self.run / "matches" / "ghost"
        ghost.mkdir(exist_ok=True)
        temporary = ghost / ".tmp-damaged"
        temporary.write_bytes(data)
        temporary.rename(ghost / f"{self._damaged:08d}.parquet")
        self._damaged += 1

    def _damaged_heartbeat(self, role: str) -> None:
        for file in self.run.glob("heartbeats/*.json"):
            file.write_bytes(os.urandom(40))

    def _damaged_rating(self, role: str) -> None:
        for file in sorted(self.run.glob("ratings/[0-9]*.jsonl"))[-1:]:
            file.write_bytes(file.read_bytes()[:-20])

    def _wrong_clock(self, role: str) -> None:
        self._skew[role] = self._random.choice((-86400.0, -300.0, 300.0, 86400.0))
        self._sigkill(role)

    def _id_in_use(self, role: str) -> None:
        self.revive()
        pid = self.start("worker a")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while exists(pid):
            # The one that has the id may have ended meanwhile, so that this one took its place.
            if not self.alive("worker a"):
                self._pids["worker a"] = pid
                return
            if time.monotonic() > deadline:
                self.hang("two workers of one id")
            time.sleep(0.02)

    def finish(self) -> dict[str, Any]:
        """Ends all, lets the trainer take in the rest, and returns what the run holds then."""
        with contextlib.suppress(HangError):
            for role in ROLES:
                self._sigterm(role)
            pid = self.start("trainer", "--idle-exit", "3")
            deadline = time.monotonic() + PATIENCE_SECONDS
            while exists(pid):
                if time.monotonic() > deadline:
                    send(pid, signal.SIGKILL)
                    self.hang("the last trainer does not end")
                time.sleep(0.1)
        self.close()
        found = check(self.run, self.folder / "confirmed")
        return {**found, "hangs": self.hangs, "went_back": self.went_back}

    def close(self) -> None:
        """Ends whatever is left."""
        for pid in self._pids.values():
            send(pid, signal.SIGKILL)
        self._nursery.kill()
        self._nursery.communicate()


FAULTS = ("lost", "changed", "twice", "learnt_twice", "not_learnt", "not_equal", "hangs",
          "went_back")  # fmt: skip
"""Counts in the result that must be 0."""


def check(run_path: Path, confirmed: Path) -> dict[str, Any]:
    """Returns what a run holds after all that, counted.

    Keys: `confirmed_files`, `files`, `matches`, `update`, `damaged_files` set aside,
    `damaged_files_left`, `evaluations`; and what must be 0: `lost` and `changed` files that had
    been confirmed, matches that are there `twice`, files that were `learnt_twice` or
    `not_learnt`, and arrays of the newest checkpoint that are `not_equal` to those made again.
    """
    import jax
    import numpy as np
    from jax.sharding import Mesh

    from selfplay.parallel import local_mesh
    from selfplay.reports.rerun import rerun
    from selfplay.run import RunDirectory
    from selfplay.training.cursor import Cursor
    from selfplay.training.training_log import Take, read_segment

    run = RunDirectory.open(run_path)
    promises: dict[tuple[str, int], str] = {}
    for line in confirmed.read_text().splitlines():
        worker, sequence, digest = line.split()
        promises.setdefault((worker, int(sequence)), digest)
    found: dict[tuple[str, int], list[str]] = {}
    changed = 0
    for worker in sorted({worker for worker, _ in promises}):
        for file in sorted((run_path / "matches" / worker).glob("[0-9]*.parquet")):
            key = (worker, int(file.stem))
            found[key] = [match.match_id for match in run.matches.get(*key)]
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            changed += promises.get(key, digest) != digest
    ids = [match_id for matches in found.values() for match_id in matches]
    update = run.checkpoints.latest()
    if update is None:
        raise SystemExit(f"{run_path} has no checkpoint")
    cursor = Cursor.from_json(run.checkpoints.metadata(update)["cursor"])
    taken = [
        (event.worker, event.sequence)
        for segment in range(cursor.segments)
        for event in read_segment(run, segment)[1]
        if isinstance(event, Take)
    ]
    # The trainers had one device, however many there are here.
    mesh = local_mesh()
    made_again = jax.device_get(
        rerun(run, update, mesh=Mesh(mesh.devices[:1], mesh.axis_names)).state
    )
    stored = jax.device_get(run.checkpoints.load(update, "train_state", made_again))
    pairs = zip(jax.tree.leaves(made_again), jax.tree.leaves(stored), strict=True)
    return {
        "confirmed_files": len(promises),
        "files": len(found),
        "matches": len(ids),
        "update": update,
        "damaged_files": sum(1 for _ in run_path.glob("refused/ghost/*.txt")),
        "damaged_files_left": sum(1 for _ in run_path.glob("matches/ghost/[0-9]*")),
        "evaluations": sum(1 for _ in run_path.glob("ratings/[0-9]*.jsonl")),
        "lost": len(set(promises) - set(found)),
        "changed": changed,
        "twice": len(ids) - len(set(ids)),
        "learnt_twice": len(taken) - len(set(taken)),
        "not_learnt": len(set(found) - set(taken)),
        "not_equal": sum(not np.array_equal(one, other) for one, other in pairs),
    }


def send(pid: int | None, number: signal.Signals) -> None:
    """Sends a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        if pid is not None:
            os.kill(pid, number)


def exists(pid: int) -> bool:
    """Returns whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


OTHERS = ("full disk", "damaged matches", "damaged heartbeat", "damaged rating", "wrong clock",
          "id in use")  # fmt: skip


def plan(kills: int, *, seed: int) -> list[str]:
    """Returns faults in random order: so many kills, and others in proportion."""
    source = random.Random(seed)
    faults = ["SIGKILL"] * kills + ["SIGTERM"] * (kills // 5) + ["SIGSTOP"] * (kills // 5)
    for other in OTHERS:
        faults += [other] * max(1, kills // 20)
    source.shuffle(faults)
    return faults


WHAT = {
    "SIGKILL": "killed at a random instant, started again",
    "SIGTERM": "asked to end, started again",
    "SIGSTOP": "frozen for up to 2 seconds, continued",
    "full disk": "every write fails for up to 2 seconds, in half of the cases with a kill",
    "damaged matches": "a cut file with a flipped bit in the place of a worker's next one",
    "damaged heartbeat": "all heartbeats overwritten with noise",
    "damaged rating": "the newest evaluation cut off",
    "wrong clock": "a process started again with a clock that is 5 minutes or a day off",
    "id in use": "a second worker of the same id",
}


def table(chaos: Chaos, result: dict[str, Any], *, seconds: float) -> str:
    """Returns what was tried and survived as Markdown."""
    lines = ["| fault | to | tried | survived |", "| --- | --- | ---: | ---: |"]
    for name in sorted(chaos.tried):
        kind = next(kind for kind in WHAT if name.startswith(kind))
        to = name.removeprefix(kind).strip() or "any process or file"
        lines.append(
            f"| {kind}: {WHAT[kind]} | {to} | {chaos.tried[name]} | {chaos.survived[name]} |"
        )
    tried, survived = sum(chaos.tried.values()), sum(chaos.survived.values())
    lines += [
        f"| all | | {tried} | {survived} |",
        "",
        f"At the end: {result['matches']:,} matches in {result['files']:,} files, of which "
        f"{result['confirmed_files']:,} had been confirmed to their workers: "
        f"{result['lost']} lost, {result['changed']} changed; {result['twice']} matches twice, "
        f"{result['learnt_twice']} files learnt from twice, "
        f"{result['not_learnt']} not learnt from. "
        f"{result['damaged_files']:,} damaged files set aside, "
        f"{result['damaged_files_left']:,} not reached yet, "
        f"{result['evaluations']:,} evaluations stored. The update count went back "
        f"{result['went_back']} times; of checkpoint {result['update']:,}, made again from the "
        f"records, {result['not_equal']} arrays differ. {result['hangs']} hangs in "
        f"{seconds / 60:.0f} minutes. The slowest end after SIGTERM took "
        f"{chaos.slowest_end:.1f} seconds.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", type=Path, nargs="?",
        help="for run and logs; must not exist; by default one that is removed at the end",
    )  # fmt: skip
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nursery", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.nursery is not None:
        nursery(arguments.nursery)
        return
    if arguments.folder is not None:
        storm(arguments.folder, kills=arguments.kills, seed=arguments.seed)
        return
    with tempfile.TemporaryDirectory() as folder:
        storm(Path(folder) / "chaos", kills=arguments.kills, seed=arguments.seed)


def storm(folder: Path, *, kills: int, seed: int) -> None:
    """Does everything to a run in `folder` and prints the table."""
    if shutil.disk_usage(folder.parent).free < 2e9:
        raise SystemExit(f"less than 2 GB are free in {folder.parent}")
    begin = time.monotonic()
    chaos = Chaos(folder, seed=seed)
    try:
        faults = plan(kills, seed=seed)
        for index, kind in enumerate(faults):
            try:
                chaos.fault(kind)
            except HangError as error:
                print(f"hung after {kind}: {error}", file=sys.stderr, flush=True)
                break
            newest, files = chaos.progress()
            say = f"{index + 1}/{len(faults)} {kind}: checkpoint {newest}, {files} files"
            print(say, file=sys.stderr, flush=True)
        result = chaos.finish()
        print(table(chaos, result, seconds=time.monotonic() - begin))
        if wrong := {name: result[name] for name in FAULTS if result[name]}:
            raise SystemExit(f"not as it must be: {wrong}")
    finally:
        chaos.close()


if __name__ == "__main__":
    main()
