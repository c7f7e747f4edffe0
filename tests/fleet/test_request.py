"""From what a person asks for to command lines that the real commands take."""

from pathlib import Path
from typing import Any

import pytest

from selfplay.errors import ConfigError, RunError
from selfplay.fleet.checks import SHARED_FILE_SYSTEMS, check_run, check_shared, file_system
from selfplay.fleet.fleet import VERSION_VARIABLE, Fleet, check_launcher
from selfplay.fleet.request import make_fleet, parse_memory
from tests.deploy.test_commands import parsed


def make(**asked) -> Fleet:
    whole = {"run": "s3://b/r", "game": "tic_tac_toe", "workers": 2, "evaluators": 1, "environ": {}}
    return make_fleet(**{**whole, **asked})


def test_the_commands_are_those_that_people_type(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text("[trainer]\nupdates = 7\n[evaluation]\nopponents = ['random', 'mcts:50']\n")
    fleet = make(
        options=("size=6",),
        preset="quick",
        config=config,
        environ={"SELFPLAY_SEARCH__NUM_SIMULATIONS": "12", "SELFPLAY_TRAINER__UPDATES": "8"},
        settings=("trainer.seed=3",),
        worker_settings=("rollout.matches_per_device=5",),
        init_from="other@12",
    )
    trainer = parsed(fleet.command(fleet.trainer))
    assert (trainer["run"], trainer["game_name"], trainer["preset"]) == (
        "s3://b/r", "tic_tac_toe", "quick",
    )  # fmt: skip
    # As for `selfplay trainer`: the environment overrides the file.
    chosen: Any = trainer["settings"]
    assert set(chosen) == {
        "trainer.updates=8",
        "trainer.seed=3",
        "evaluation.opponents=random,mcts:50",
        "search.num_simulations=12",
    }
    assert trainer["init_from"] == f"{Path.cwd() / 'other'}@12"
    worker = parsed(fleet.command(fleet.worker, "--devices=2"))
    assert (worker["run"], worker["devices"]) == ("s3://b/r", 2)
    assert worker["settings"] == ["rollout.matches_per_device=5"]
    assert not parsed(fleet.command(fleet.evaluator))["settings"]
    reanalyzer = parsed(fleet.command(fleet.reanalyzer, "--devices=2"))
    assert (reanalyzer["run"], reanalyzer["devices"]) == ("s3://b/r", 2)
    assert not reanalyzer["settings"]
    assert Fleet.from_dict(fleet.to_dict()) == fleet


def test_the_processes_of_a_trainer_find_each_other() -> None:
    alone = make()
    assert alone.group_options(alone.trainer, "h:1", 0) == []
    fleet = make(trainer_hosts=3)
    assert fleet.group_options(fleet.worker, "h:1", 0) == []
    assert [one.name for one in fleet.processes()][:4] == [
        "trainer", "trainer-1", "trainer-2", "worker-1",
    ]  # fmt: skip
    values = parsed(
        fleet.command(fleet.trainer, *fleet.group_options(fleet.trainer, "10.0.0.1:9000", 2))
    )
    assert (values["coordinator"], values["num_processes"], values["process_id"]) == (
        "10.0.0.1:9000", 3, 2,
    )  # fmt: skip
    assert Fleet.from_dict(fleet.to_dict()) == fleet


def test_a_fleet_recorded_before_there_were_reanalyzers_can_be_read() -> None:
    document = make().to_dict()
    del document["reanalyzer"]
    fleet = Fleet.from_dict(document)
    assert [one.name for one in fleet.processes()] == [
        "trainer", "worker-1", "worker-2", "evaluator-1",
    ]  # fmt: skip


def test_settings_of_the_launcher_do_not_reach_workers_by_the_environment() -> None:
    environ = {
        "PATH": "/bin",
        "SELFPLAY_RUN": "x",
        "SELFPLAY_GAMES": "/games",
        "SELFPLAY_SEARCH__NUM_SIMULATIONS": "12",
        "SELFPLAY_SEARCH__INFERENCE": "xla",
    }
    assert make().environment(environ) == {
        "PATH": "/bin",
        "SELFPLAY_GAMES": "/games",
        "SELFPLAY_SEARCH__INFERENCE": "xla",
        VERSION_VARIABLE: make().version,
    }


def test_a_process_of_another_version_refuses_to_join() -> None:
    check_launcher({})
    check_launcher({VERSION_VARIABLE: make().version})
    with pytest.raises(ConfigError, match=r"was launched by selfplay 9\.9, but .* has ") as caught:
        check_launcher({VERSION_VARIABLE: "9.9"})
    assert caught.value.hint


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"workers": -1}, "--workers is -1"),
        ({"reanalyzers": -1}, "--reanalyzers is -1"),
        ({"trainer_hosts": 0}, "--trainer-hosts is 0"),
        ({"trainer_hosts": 2, "gpus": ["trainer=0.5"]}, "train as one cannot share a GPU"),
        ({"cpus": ["player=2"]}, "ROLE is one of: trainer, worker, evaluator, reanalyzer"),
        ({"cpus": ["worker=0"]}, "--cpus is '0'"),
        ({"gpus": ["worker=1.5"]}, "--gpus is '1.5'"),
        ({"memory": ["worker=lots"]}, "--memory is 'lots'"),
        ({"settings": ["search.num_simulation=2"]}, "search.num_simulation is not a setting"),
        ({"worker_settings": ["search.num_simulations=2"]}, "workers choose only"),
    ],
)
def test_what_cannot_be_is_refused_at_once(asked: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**asked)


def test_a_new_run_needs_a_game_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a selfplay run"):
        check_run(make(run=str(tmp_path / "r"), game=None))
    with pytest.raises(ConfigError, match=r"there is no game file .*mine\.py"):
        check_run(make(run=str(tmp_path / "r"), game=f"{tmp_path}/mine.py:Mine"))
    with pytest.raises(ConfigError, match="num_simulations is 1"):
        check_run(make(run=str(tmp_path / "r"), settings=["search.num_simulations=1"]))


def test_sizes() -> None:
    assert [parse_memory(text) for text in ("4G", "1.5GiB", "512m", "100")] == [
        4 * 2**30, 3 * 2**29, 2**29, 100,
    ]  # fmt: skip


def test_a_disk_of_one_machine_is_told_from_a_shared_one(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    shared = tmp_path / "a b"
    shared.mkdir()
    escaped = str(shared).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {escaped} nfs4 rw 0 0\nodd\n")
    assert file_system(shared / "run", mounts) == "nfs4"
    assert file_system(tmp_path / "run", mounts) == "ext4"
    assert file_system(tmp_path, tmp_path / "none") == ""
    assert SHARED_FILE_SYSTEMS.fullmatch("fuse.sshfs") and not SHARED_FILE_SYSTEMS.fullmatch("xfs")


def test_a_run_that_other_nodes_cannot_see_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfplay.fleet.checks.file_system", lambda path: "ext4")
    check_shared("/data/r", nodes=1, what="the nodes")
    check_shared("s3://b/r", nodes=9, what="the nodes")
    with pytest.raises(RunError, match=r"/data/r is on a disk of this machine \(ext4\)") as caught:
        check_shared("/data/r", nodes=2, what="the nodes")
    assert "a bucket, Redis or a shared directory" in caught.value.hint
