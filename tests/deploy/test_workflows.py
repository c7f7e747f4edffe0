"""The workflows of GitHub: what they are made of, and what they may do."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.files import DOCKERFILES, ROOT, program
from tests.deploy.test_commands import parsed

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))


def workflow(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(
        (ROOT / ".github" / "workflows" / f"{name}.yaml").read_text()
    )
    return document


def test_the_schema_agrees() -> None:
    assert WORKFLOWS
    checker = program("check-jsonschema")
    if checker is None:
        pytest.skip("check-jsonschema is not installed")
    done = subprocess.run(
        [checker, "--builtin-schema", "vendor.github-workflows", *WORKFLOWS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.stem)
def test_actionlint_agrees(file: Path) -> None:
    actionlint = program("actionlint")
    if actionlint is None:
        pytest.skip("actionlint is not installed")
    done = subprocess.run([actionlint, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_images_are_proved_and_scanned_before_they_are_published() -> None:
    jobs = workflow("images")["jobs"]
    assert [step["run"] for step in jobs["smoke"]["steps"] if "run" in step] == ["deploy/smoke.sh"]
    assert (ROOT / "deploy" / "smoke.sh").stat().st_mode & 0o111
    publish = jobs["publish"]
    assert publish["needs"] == "smoke"
    images = publish["strategy"]["matrix"]["image"]
    assert {f"Dockerfile.{image}" for image in images} == {path.name for path in DOCKERFILES}
    names = [str(step.get("uses", "")).partition("@")[0] for step in publish["steps"]]
    pushes = [
        index for index, step in enumerate(publish["steps"]) if step.get("with", {}).get("push")
    ]
    assert len(pushes) == 1
    assert names.index("aquasecurity/trivy-action") < pushes[0]
    pushed = publish["steps"][pushes[0]]["with"]
    assert pushed["platforms"] == "linux/amd64,linux/arm64"


def test_pull_requests_that_change_an_image_prove_it() -> None:
    # YAML takes `on` for true.
    paths = workflow("images")[True]["pull_request"]["paths"]  # type: ignore[index]
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    contents = {rule[1:] for rule in rules if rule.startswith("!")}
    listed = {path.removesuffix("/**") for path in paths}
    assert contents <= listed
    assert listed - contents == {"Dockerfile.*", ".dockerignore",
                                 ".github/workflows/images.yaml"}  # fmt: skip


@pytest.mark.parametrize("image", ["selfplay", "trainer"])
def test_names_of_images_are_in_lower_case(image: str, tmp_path: Path) -> None:
    steps = workflow("images")["jobs"]["publish"]["steps"]
    (naming,) = [step for step in steps if "GITHUB_ENV" in step.get("run", "")]
    output = tmp_path / "env"
    environ = {"GITHUB_REPOSITORY": "Some-Owner/SelfPlay", "GITHUB_ENV": str(output)}
    subprocess.run(["bash", "-c", naming["run"]], check=True, env={**environ, "IMAGE": image})
    assert output.read_text() == f"NAME=ghcr.io/some-owner/selfplay-{image}\n"
    # Named before it is used, and nowhere else.
    assert steps.index(naming) == 0
    assert "github.repository }}" not in (ROOT / ".github/workflows/images.yaml").read_text()


def test_nothing_may_do_more_than_it_needs() -> None:
    for file in WORKFLOWS:
        document = yaml.safe_load(file.read_text())
        assert document["permissions"] == {"contents": "read"}
        for job in document["jobs"].values():
            assert "timeout-minutes" in job
            assert job.get("permissions", {}).keys() <= {"contents", "packages"}
            for step in job["steps"]:
                # Never a moving branch of somebody else.
                assert "uses" not in step or step["uses"].partition("@")[2][:1] in {*"v0123456789"}


def test_the_tests_run_on_the_machines_that_people_have() -> None:
    jobs = workflow("tests")["jobs"]
    checks, smoke = (jobs[name]["strategy"]["matrix"] for name in ("checks", "smoke"))
    assert checks["python"] == ["3.11", "3.12", "3.13"]
    assert any(name.startswith("macos") for name in smoke["os"])
    assert any(name.endswith("-arm") for name in smoke["os"])
    lines = "\n".join(step.get("run", "") for step in jobs["smoke"]["steps"]).splitlines()
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("selfplay ")]
    names = {words[0] for words in commands}
    assert {"train", "trainer", "worker", "evaluator", "play", "export", "doctor"} <= names
    for words in commands:
        parsed(words)
