"""The workflows of GitHub: what they are made of, and what they may do."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.files import DOCKERFILES, ROOT, program

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
