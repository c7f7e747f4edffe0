"""The rules by which processes are started again, given up and ended, on a clock of its own."""

import pytest

from selfplay.fleet.fleet import Process
from selfplay.fleet.request import make_fleet
from selfplay.fleet.supervisor import Outcome, Supervisor
from selfplay.fleet.watched import Handle, Starter


class FakeHandle(Handle):
    """A process that ends when a test says so."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.asked = False
        self.obeys = True

    def poll(self) -> int | None:
        return self.status

    def ask(self) -> None:
        self.asked = True
        if self.obeys:
            self.status = 0

    def kill(self) -> None:
        self.status = -9


class FakeStarter(Starter):
    """Remembers what it has started."""

    def __init__(self) -> None:
        self.started: list[tuple[str, FakeHandle]] = []

    def start(self, process: Process) -> FakeHandle:
        handle = FakeHandle()
        self.started.append((process.name, handle))
        return handle

    def last_words(self, process: Process) -> str:
        return f"words of {process.name}"

    def newest(self, name: str) -> FakeHandle:
        return next(handle for other, handle in reversed(self.started) if other == name)

    def count(self, name: str) -> int:
        return sum(other == name for other, _ in self.started)


class Scene:
    """A fleet of a trainer, two workers, an evaluator and a reanalyzer under a supervisor."""

    def __init__(self, trainer_hosts: int = 1) -> None:
        fleet = make_fleet(
            run="/r",
            game="g",
            trainer_hosts=trainer_hosts,
            workers=2,
            evaluators=1,
            reanalyzers=1,
            environ={},
        )
        self.now = 0.0
        self.said: list[str] = []
        self.starter = FakeStarter()
        self.supervisor = Supervisor(
            fleet.processes(),
            self.starter,
            say=self.said.append,
            most_restarts=3,
            grace_seconds=5.0,
            clock=self.tick,
            look_seconds=0.0,
        )
        assert self.supervisor.look() is None

    def tick(self) -> float:
        self.now += 1e-3
        return self.now

    def fail(self, name: str, status: int) -> Outcome | None:
        self.starter.newest(name).status = status
        return self.supervisor.look()

    def state(self, name: str) -> str:
        return next(one.state for one in self.supervisor.watched if one.process.name == name)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_the_trainer_starts_first(scene: Scene) -> None:
    names = [name for name, _ in scene.starter.started]
    assert names == ["trainer", "worker-1", "worker-2", "evaluator-1", "reanalyzer-1"]


def test_a_failed_process_is_started_again_after_longer_and_longer_pauses(scene: Scene) -> None:
    for pause in (1.0, 2.0, 4.0):
        assert scene.fail("worker-2", -9) is None
        before = scene.starter.count("worker-2")
        scene.now += pause - 0.5
        scene.supervisor.look()
        assert scene.starter.count("worker-2") == before
        scene.now += 1.0
        scene.supervisor.look()
        assert scene.starter.count("worker-2") == before + 1
    # The fourth failure in a row is one too many; the other worker goes on.
    assert scene.fail("worker-2", 1) is None
    assert scene.state("worker-2") == "failed"
    assert "worker-2 failed 4 times in a row" in scene.said[-1]
    assert "words of worker-2" in scene.said[-1]


def test_a_process_that_ran_for_long_has_not_failed_before(scene: Scene) -> None:
    for _ in range(10):
        assert scene.fail("trainer", 1) is None
        scene.now += 2.0
        scene.supervisor.look()
        scene.now += 700.0
    assert scene.state("trainer") == "running"


def test_a_process_that_ended_by_itself_is_not_started_again(scene: Scene) -> None:
    assert scene.fail("worker-1", 0) is None
    scene.now += 1000.0
    assert scene.supervisor.look() is None
    assert (scene.state("worker-1"), scene.starter.count("worker-1")) == ("ended", 1)


def test_the_fleet_ends_with_its_trainer(scene: Scene) -> None:
    scene.starter.newest("trainer").status = 0
    outcome = scene.supervisor.run()
    assert outcome == Outcome(reason="the trainer has ended by itself")
    for name in ("worker-1", "worker-2", "evaluator-1", "reanalyzer-1"):
        assert scene.starter.newest(name).asked
        assert scene.state(name) == "stopped"


def test_a_wrong_command_line_is_not_tried_twice(scene: Scene) -> None:
    outcome = scene.fail("trainer", 2)
    assert outcome is not None
    assert outcome.error == "trainer refuses its command line: words of trainer"
    assert scene.starter.count("trainer") == 1


def test_without_any_worker_the_fleet_ends_with_an_error(scene: Scene) -> None:
    assert scene.fail("worker-1", 2) is None
    outcome = scene.fail("worker-2", 2)
    assert outcome is not None and "worker-2 refuses" in outcome.error


@pytest.mark.parametrize("name", ["evaluator-1", "reanalyzer-1"])
def test_what_neither_plays_nor_learns_does_not_end_the_fleet(name: str, scene: Scene) -> None:
    assert scene.fail(name, -9) is None
    scene.now += 2.0
    assert scene.supervisor.look() is None
    assert (scene.starter.count(name), scene.state(name)) == (2, "running")
    assert scene.fail(name, 2) is None
    assert scene.said[-1].endswith("the fleet goes on without it")


def test_stopping_asks_first_and_kills_who_does_not_end(scene: Scene) -> None:
    scene.starter.newest("worker-2").obeys = False
    scene.supervisor.stop()
    outcome = scene.supervisor.run()
    assert (outcome.reason, outcome.error) == ("it was asked to stop", "")
    assert scene.starter.newest("worker-2").status == -9
    assert scene.said == ["worker-2 does not end; it is killed"]
    assert {one.state for one in scene.supervisor.watched} == {"stopped"}


def test_what_waits_for_its_start_is_not_started_while_stopping(scene: Scene) -> None:
    scene.fail("worker-1", 1)
    scene.supervisor.stop()
    scene.now += 100.0
    scene.supervisor.run()
    assert (scene.state("worker-1"), scene.starter.count("worker-1")) == ("stopped", 1)


class TestTrainerOfSeveral:
    """The processes of a trainer of several end and start again together."""

    HOSTS = ("trainer", "trainer-1", "trainer-2")

    @pytest.fixture
    def scene(self) -> Scene:
        return Scene(trainer_hosts=3)

    def counts(self, scene: Scene) -> list[int]:
        return [scene.starter.count(name) for name in self.HOSTS]

    def test_a_lost_one_ends_all_and_all_start_again(self, scene: Scene) -> None:
        assert [name for name, _ in scene.starter.started][:3] == list(self.HOSTS)
        scene.starter.newest("trainer-2").obeys = False
        assert scene.fail("trainer-1", -9) is None
        asked = {name for name, handle in scene.starter.started if handle.asked}
        assert asked == {"trainer", "trainer-2"}
        assert "trainer-1 has ended with signal 9; all processes of the trainer" in scene.said[-1]
        # The pause is over, but one of them is still there.
        scene.now += 2.0
        assert scene.supervisor.look() is None
        assert self.counts(scene) == [1, 1, 1]
        # One that has lost another may fail; that is no failure of its own.
        assert scene.fail("trainer-2", 1) is None
        assert scene.supervisor.look() is None
        assert self.counts(scene) == [2, 2, 2]
        assert [scene.state(name) for name in self.HOSTS] == ["running"] * 3
        assert [one.failures for one in scene.supervisor.watched][:3] == [1, 1, 1]
        assert all(scene.starter.count(f"worker-{index}") == 1 for index in (1, 2))

    def test_one_that_does_not_end_is_killed(self, scene: Scene) -> None:
        scene.starter.newest("trainer").obeys = False
        scene.fail("trainer-1", 1)
        scene.now += 4.0
        scene.supervisor.look()
        assert scene.starter.newest("trainer").status is None
        scene.now += 2.0
        scene.supervisor.look()
        scene.supervisor.look()
        assert [text for text in scene.said if "killed" in text] == [
            "trainer does not end; it is killed"
        ]
        scene.supervisor.look()
        assert self.counts(scene) == [2, 2, 2]

    def test_failures_of_different_ones_are_counted_together(self, scene: Scene) -> None:
        for name in ("trainer", "trainer-1", "trainer-2"):
            assert scene.fail(name, 1) is None
            scene.supervisor.look()
            scene.now += 100.0
            scene.supervisor.look()
        outcome = scene.fail("trainer-1", 1)
        assert outcome is not None and outcome.reason == "the trainer has failed"
        assert "trainer-1 failed 4 times in a row" in outcome.error

    def test_process_0_says_when_the_plan_is_fulfilled(self, scene: Scene) -> None:
        assert scene.fail("trainer-1", 0) is None
        assert scene.fail("trainer-2", 0) is None
        assert scene.fail("trainer", 0) == Outcome(reason="the trainer has ended by itself")
        assert self.counts(scene) == [1, 1, 1]

    def test_one_that_has_ended_starts_again_with_the_others(self, scene: Scene) -> None:
        assert scene.fail("trainer-1", 0) is None
        assert scene.fail("trainer", 1) is None
        scene.supervisor.look()
        scene.now += 2.0
        scene.supervisor.look()
        assert self.counts(scene) == [2, 2, 2]

    def test_stopping_while_they_end_starts_nothing(self, scene: Scene) -> None:
        scene.starter.newest("trainer").obeys = False
        scene.fail("trainer-1", 1)
        scene.supervisor.stop()
        scene.supervisor.run()
        assert self.counts(scene) == [1, 1, 1]
        assert [scene.state(name) for name in self.HOSTS] == ["stopped"] * 3


def test_each_process_is_recorded_before_the_next_one_is_started() -> None:
    starter = FakeStarter()
    recorded: list[tuple[int, list[str]]] = []
    fleet = make_fleet(run="/r", game="g", workers=2, evaluators=1, environ={})
    supervisor = Supervisor(
        fleet.processes(),
        starter,
        on_change=lambda watched: recorded.append(
            (len(starter.started), [one.state for one in watched])
        ),
    )
    supervisor.look()
    names = len(fleet.processes())
    assert recorded == [
        (count, ["running"] * count + ["waiting"] * (names - count))
        for count in range(1, names + 1)
    ]
