"""Every command line in deploy/ and on the pages about it, as the real command line takes it."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from selfplay.cli.main import app
from selfplay.fleet.fleet import ROLES
from tests.deploy.files import (
    DEPLOY,
    DOCKERFILES,
    ROOT,
    compose,
    compose_command,
    environment,
    instructions,
    kubernetes_command,
    kustomized,
    overlay_with,
    pods,
    slurm_commands,
)

OVERLAYS = ("bucket", "redis", "volume")
PAGES = ("deployment.md", "monitoring.md")


def parsed(words: Sequence[str]) -> dict[str, object]:
    """Returns what a command line is understood as; a typing error raises."""
    group = typer.main.get_command(app)
    name, *rest = words
    command = group.commands[name]  # type: ignore[attr-defined]
    context = command.make_context(name, list(rest))
    values: dict[str, object] = context.params
    return values


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], None]:
    """Returns a function that gives a process the variables that its container has."""

    def give(variables: Mapping[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return give


def test_the_web_board_in_compose(environ: Callable[[Mapping[str, str]], None]) -> None:
    asked = {"RUN": "s3://bucket/a"}
    service = compose(asked)["services"]["serve"]
    environ(service["environment"])
    values = parsed(compose_command("serve", asked))
    assert values["target"] == "s3://bucket/a" and values["wait"] is True
    assert (values["host"], values["port"]) == ("0.0.0.0", 8765)
    # Without a token, because the port is open to this machine alone.
    assert values["no_token"] is True and service["ports"] == ["127.0.0.1:8765:8765"]
    assert ":8765/healthz" in service["healthcheck"]["test"][-1]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_web_board_in_kubernetes(
    overlay: str, environ: Callable[[Mapping[str, str]], None], tmp_path: Path
) -> None:
    resources = kustomized(overlay_with(tmp_path, overlay))
    pod = pods(resources)["serve"]
    maps = {one["metadata"]["name"]: one["data"] for one in resources if one["kind"] == "ConfigMap"}
    variables = environment(pod, maps)
    environ(variables)
    words = kubernetes_command(pod, variables)
    values = parsed(words)
    assert words[0] == "serve" and values["target"] == maps["selfplay"]["SELFPLAY_RUN"]
    assert values["wait"] is True and values["host"] == "0.0.0.0"
    # Others can reach it, so it asks for a token: that of a secret, or one it makes up.
    assert values["no_token"] is False
    (container,) = pod["containers"]
    secret = {"secretRef": {"name": "selfplay-serve", "optional": True}}
    assert secret in container["envFrom"]
    (port,) = container["ports"]
    assert values["port"] == port["containerPort"]
    assert {container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness")} == {
        "/healthz"
    }
    (service,) = [
        one for one in resources if (one["kind"], one["metadata"]["name"]) == ("Service", "serve")
    ]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    # The names by which other pods reach the Service are let through.
    name, space = service["metadata"]["name"], service["metadata"]["namespace"]
    allowed: Any = values["allow_host"]
    assert {name, f"{name}.{space}.svc.cluster.local"} <= set(allowed)


@pytest.mark.parametrize("role", (*ROLES, "tensorboard"))
def test_compose(role: str, environ: Callable[[Mapping[str, str]], None]) -> None:
    asked = {"RUN": "s3://bucket/a", "GAME": "othello"}
    environ(compose(asked)["services"][role]["environment"])
    values = parsed(compose_command(role, asked))
    assert values["run"] == "s3://bucket/a"
    assert values.get("game_name", "othello") == "othello"
    if role == "tensorboard":
        assert (values["port"], values["host"]) == (6006, "0.0.0.0")
        return
    assert (values["metrics_port"], values["metrics_host"]) == (9100, "0.0.0.0")
    assert values["log_format"] == "json"


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("role", (*ROLES, "tensorboard", "worker-gpu"))
def test_kubernetes(
    overlay: str, role: str, environ: Callable[[Mapping[str, str]], None], tmp_path: Path
) -> None:
    resources = kustomized(overlay_with(tmp_path, overlay))
    pod = pods(resources)[role]
    maps = {one["metadata"]["name"]: one["data"] for one in resources if one["kind"] == "ConfigMap"}
    variables = environment(pod, maps)
    environ(variables)
    words = kubernetes_command(pod, variables)
    assert words[0] == ROLES.get(role, (role.removesuffix("-gpu"),))[0]
    values = parsed(words)
    assert values["run"] == maps["selfplay"]["SELFPLAY_RUN"]
    assert values.get("game_name", "connect_four") == "connect_four"
    if role != "tensorboard":
        assert (values["metrics_port"], values["metrics_host"]) == (9100, "0.0.0.0")


@pytest.mark.parametrize("role", ROLES)
def test_slurm(role: str) -> None:
    values = parsed(slurm_commands()[role])
    assert values["run"] == "/shared/runs/first"
    assert values.get("game_name", "connect_four") == "connect_four"
    assert values["log_format"] == "json"


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.suffix[1:])
def test_the_default_command_of_an_image_needs_no_argument(
    dockerfile: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = dict(instructions(dockerfile))  # type: ignore[arg-type]
    run = re.search(r"SELFPLAY_RUN=(\S+)", found["ENV"])
    assert run is not None
    monkeypatch.setenv("SELFPLAY_RUN", run[1])
    assert parsed(re.findall(r'"(\w+)"', found["CMD"]))["run"] == run[1]
    check = re.findall(r'"([\w-]+)"', found["HEALTHCHECK"].partition("CMD ")[2])
    values = parsed(check[1:])
    assert (values["run"], values["role"], values["here"]) == (run[1], "any", True)


def test_settings_in_the_files_are_settings() -> None:
    from selfplay.settings import read_settings

    text = "\n".join(
        path.read_text()
        for path in [*DEPLOY.rglob("*"), *(ROOT / "docs" / page for page in PAGES)]
        if path.is_file()
    )
    named = set(re.findall(r"SELFPLAY_[A-Z]+__[A-Z_]+", text)) - {"SELFPLAY_SECTION__KEY"}
    assert len(named) >= 5
    # "1" suits each of their types, and an unknown name is refused.
    asked = read_settings(environ=dict.fromkeys(named, "1"))
    assert sum(map(len, asked.values())) == len(named)


def test_commands_on_the_pages() -> None:
    lines = [
        line.split(" 2>")[0]
        for page in PAGES
        for block in re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
        for line in block.splitlines()
        if re.search(r"(^|\s)selfplay |selfplay\.sbatch ", line) or " trainer --run" in line
        if not line.startswith("docker build")
    ]
    assert len(lines) >= 6
    for line in lines:
        words = shlex.split(line.partition("|")[0])
        programs = ("selfplay", "selfplay-trainer", "deploy/slurm/selfplay.sbatch")
        program = [i for i, word in enumerate(words) if word in programs]
        parsed(words[program[0] + 1 :])


def test_a_wrong_flag_would_be_noticed() -> None:
    with pytest.raises(typer.BadParameter.__base__, match=r"(?i)no such option"):  # type: ignore[arg-type]
        parsed([*compose_command("worker"), "--metric-port=1"])
