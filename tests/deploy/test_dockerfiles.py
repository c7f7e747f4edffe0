"""Dockerfiles: what keeps images small, safe and stoppable, as rules."""

import fnmatch
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.deploy.files import DOCKERFILES, ROOT, instructions, program

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

each = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.suffix[1:])


def stages(dockerfile: Path) -> list[list[tuple[str, str]]]:
    """Returns the instructions of each stage."""
    found: list[list[tuple[str, str]]] = []
    for name, rest in instructions(dockerfile):
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, rest))
    return found


def last(dockerfile: Path, instruction: str) -> str:
    """Returns what the final stage says last of an instruction."""
    return [rest for name, rest in stages(dockerfile)[-1] if name == instruction][-1]


@each
def test_the_base_is_pinned_by_tag_and_can_be_pinned_by_digest(dockerfile: Path) -> None:
    (name, base), *_ = instructions(dockerfile)
    assert name == "ARG"
    tag = re.fullmatch(r"BASE=python:(\S+)", base)
    assert tag is not None
    assert re.fullmatch(r"3\.\d+-slim-\w+", tag[1]), "a Python, a Debian release, nothing floating"
    assert {rest.split()[0] for name, rest in instructions(dockerfile) if name == "FROM"} == {
        "${BASE}"
    }


@each
def test_there_are_two_stages_and_the_last_takes_only_what_it_needs(dockerfile: Path) -> None:
    assert len(stages(dockerfile)) == 2
    copies = [rest for name, rest in stages(dockerfile)[-1] if name in ("COPY", "ADD")]
    assert copies == ["--from=build /opt/selfplay /opt/selfplay"]
    assert not any("pip" in rest for name, rest in stages(dockerfile)[-1] if name == "RUN")


@each
def test_nobody_is_root(dockerfile: Path) -> None:
    # By number: only so can Kubernetes see that it is not root.
    uid, gid = last(dockerfile, "USER").split(":")
    assert int(uid) >= 10_000 and int(gid) >= 10_000
    users = [index for index, (name, _) in enumerate(stages(dockerfile)[-1]) if name == "USER"]
    runs = [index for index, (name, _) in enumerate(stages(dockerfile)[-1]) if name == "RUN"]
    assert max(runs) < min(users)


@each
def test_signals_reach_the_process(dockerfile: Path) -> None:
    assert json.loads(last(dockerfile, "ENTRYPOINT")) == ["tini", "--", "selfplay"]
    role = "trainer" if dockerfile.suffix == ".trainer" else "worker"
    assert json.loads(last(dockerfile, "CMD")) == [role]


@each
def test_health_is_asked_for(dockerfile: Path) -> None:
    check = last(dockerfile, "HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    assert command == ["selfplay", "health", "--here"]
    # Longer than a first compilation takes.
    assert "--start-period=15m" in check


@each
def test_only_data_directories_are_written(dockerfile: Path) -> None:
    environment = last(dockerfile, "ENV")
    for variable in ("HOME=/tmp", "TMPDIR=/tmp", "XDG_CACHE_HOME=/cache", "SELFPLAY_RUN=/runs/"):
        assert variable in environment
    assert "PYTHONDONTWRITEBYTECODE=1" in environment
    assert json.loads(last(dockerfile, "VOLUME")) == ["/runs", "/cache"]


@each
def test_every_source_exists_and_gets_past_dockerignore(dockerfile: Path) -> None:
    rules = (ROOT / ".dockerignore").read_text().split("\n")
    assert "*" in rules
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    sources = [
        word for name, rest in stages(dockerfile)[0] if name == "COPY" for word in rest.split()[:-1]
    ]
    assert sources
    for source in sources:
        assert (ROOT / source).exists()
        assert source in allowed
    # What the package is made of is all there.
    project = PROJECT["project"]
    folders = {"selfplay", *PROJECT["tool"]["setuptools"].get("package-dir", {}).values()}
    needed = {project["readme"], *project["license-files"], *(f.split("/")[0] for f in folders)}
    assert needed <= set(sources)


def test_nothing_else_gets_past_dockerignore() -> None:
    rules = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] not in "#"
    ]

    def ignored(path: str) -> bool:
        verdict = False
        for rule in rules:
            pattern = rule.removeprefix("!").replace("**/", "*")
            first = path.split("/")[0]
            if fnmatch.fnmatch(path, pattern) or first == pattern:
                verdict = not rule.startswith("!")
        return verdict

    for path in (".git/config", ".env", "runs/a/run.toml", "deploy/settings.env", "tests/x.py",
                 "selfplay/__pycache__/x.pyc", "games/x.pyc", ".venv/bin/python"):  # fmt: skip
        assert ignored(path), path
    for path in ("selfplay/cli/main.py", "games/othello.py", "pyproject.toml", "LICENSE"):
        assert not ignored(path), path


@each
def test_versions_are_those_the_tests_pass_with(dockerfile: Path) -> None:
    build = stages(dockerfile)[0]
    installs = [rest for name, rest in build if name == "RUN" and "pip install" in rest]
    # Dependencies first: the layer with them outlives changes of the source.
    assert "--requirement requirements.txt --constraint constraints.txt" in installs[0]
    assert "--no-deps ." in installs[1]
    order = [name for name, _ in build]
    copies = [index for index, name in enumerate(order) if name == "COPY"]
    runs = [index for index, (name, rest) in enumerate(build) if rest in installs]
    assert copies[0] < runs[0] < copies[1] < runs[1]


@each
def test_its_list_of_requirements_is_that_of_the_project(dockerfile: Path, tmp_path: Path) -> None:
    """Runs the very command of the Dockerfile."""
    run = next(rest for name, rest in stages(dockerfile)[0] if name == "RUN" and "tomllib" in rest)
    program = re.search(r"python3 -c '(.*?)'", run, re.DOTALL)
    assert program is not None
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    project = PROJECT["project"]
    extras = project["optional-dependencies"]

    def listed(*arguments: str) -> list[str]:
        shell = f"python3 -c '{program[1]}' {' '.join(arguments)}"
        done = subprocess.run(
            shell, shell=True, cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.splitlines()

    assert listed("''", "''") == project["dependencies"]
    assert listed("redis,s3", "cuda12") == [
        *project["dependencies"],
        *(extras["redis"] + extras["s3"] + extras["cuda12"]),
    ]
    for argument in ("EXTRAS", "ACCELERATOR"):
        assert f"${{{argument}}}" in run
    defaults = dict(
        rest.split("=", 1) for name, rest in stages(dockerfile)[0] if name == "ARG" and "=" in rest
    )
    # Every store, the fast network on CPU cores, and the ports that the compose file opens.
    wanted = {"gcs", "metrics", "onnx", "redis", "s3"}
    wanted |= {"tensorboard"} if dockerfile.suffix == ".trainer" else {"web"}
    assert set(defaults["EXTRAS"].strip('"').split(",")) == wanted <= extras.keys()
    assert defaults["ACCELERATOR"] == '""'


@each
def test_there_is_no_secret_and_no_address_of_ours(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    assert not re.search(r"(?i)password|secret|token|_key|index-url|proxy", text)
    assert not re.search(r"https?://", text)
    assert "ADD " not in text
    # Both architectures: nothing names one.
    assert not re.search(r"x86_64|aarch64", text)
    assert "amd64 and arm64" in text


def test_the_two_differ_only_in_what_they_are_for() -> None:
    def lines(dockerfile: Path) -> list[str]:
        return dockerfile.read_text().splitlines()

    one, other = map(lines, DOCKERFILES)
    assert len(one) == len(other)
    different = [(a, b) for a, b in zip(one, other, strict=True) if a != b]
    assert all(
        a.startswith("#")
        or "title=" in a
        or "description=" in a
        or "EXTRAS=" in a
        or a[:3] == "CMD"
        for a, _ in different
    )


@each
def test_hadolint_agrees(dockerfile: Path) -> None:
    hadolint = program("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, dockerfile], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_wheels_for_gpus_are_pinned() -> None:
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    for cuda in ("cuda12", "cuda13"):
        # The three parts of JAX belong together.
        for name in (f"jax-{cuda}-plugin", f"jax-{cuda}-pjrt"):
            assert pins[name] == pins["jaxlib"] == pins["jax"]
    for library in ("nvidia-cublas", "nvidia-cuda-nvcc", "nvidia-cudnn-cu13", "nvidia-nccl-cu13"):
        assert pins[library] and pins[f"{library.removesuffix('-cu13')}-cu12"]


@each
def test_what_it_installs_by_default_is_pinned(dockerfile: Path) -> None:
    defaults = dict(
        rest.split("=", 1) for name, rest in stages(dockerfile)[0] if name == "ARG" and "=" in rest
    )
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [
        *PROJECT["project"]["dependencies"],
        *(need for extra in defaults["EXTRAS"].strip('"').split(",") for need in extras[extra]),
    ]
    names = {re.split(r"[\[<>=]", need)[0].lower() for need in wanted}
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert names <= pinned
