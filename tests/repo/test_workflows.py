"""Promises of the workflows and the development container."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def workflow(name: str) -> dict[Any, Any]:
    return dict(yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text()))


def steps(found: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in found["jobs"].values() for step in job.get("steps", ())]


def commands(name: str) -> list[str]:
    return [step["run"] for step in steps(workflow(name)) if "run" in step]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_actions_are_pinned_to_a_commit_with_a_version(file: Path) -> None:
    used = re.findall(r"uses: (?!\./).*", file.read_text())

    assert used
    assert [] == [line for line in used if not PINNED.fullmatch(line)]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_only_the_deployment_can_request_a_token(file: Path) -> None:
    found = workflow(file.stem)

    assert {} == found["permissions"]
    for name, job in found["jobs"].items():
        assert {"contents": "read", **({"id-token": "write"} if name == "deploy" else {})} == job["permissions"]
        assert "uses" in job or job["timeout-minutes"] <= 60
    checkouts = [step for step in steps(found) if step.get("uses", "").startswith("actions/checkout@")]
    assert {False} == {step["with"]["persist-credentials"] for step in checkouts}


def test_every_push_is_checked_tested_and_compiled() -> None:
    found = workflow("check")
    run = commands("check")

    # YAML 1.1 reads the key `on` as true.
    assert {"push": None, "pull_request": None, "workflow_call": None} == found[True]
    assert {"make check", ".ci/run"} <= set(run)
    assert [line.split()[2] for line in run if line.startswith("az bicep")] == ["install", "build", "lint"]


def test_deployment_needs_main_and_a_passed_check() -> None:
    """A called workflow runs on the commit of its caller (GitHub documentation, reusing workflows)."""
    found = workflow("deploy")
    check, deploy = found["jobs"]["check"], found["jobs"]["deploy"]

    assert {"workflow_dispatch": None} == found[True]
    assert "./.github/workflows/check.yml" == check["uses"]
    assert "check" == deploy["needs"]
    assert {"github.ref == 'refs/heads/main'"} == {check["if"], deploy["if"]}
    # Without the caller's name in it, the next push would cancel the check that a deployment waits for.
    assert "${{ github.workflow }}" in workflow("check")["concurrency"]["group"]


def test_tools_of_workflows_are_pinned() -> None:
    (bicep,) = (line for line in commands("check") if line.startswith("az bicep install"))
    (azd,) = (step for step in steps(workflow("deploy")) if "setup-azd" in step.get("uses", ""))
    containers = [job["container"] for job in workflow("check")["jobs"].values() if "container" in job]

    assert re.fullmatch(r"az bicep install --version v\d+\.\d+\.\d+", bicep)
    assert re.fullmatch(r"\d+\.\d+\.\d+", azd["with"]["version"])
    # Tests run there, with no secret and nothing that is deployed; docs/decisions/pins.md.
    assert ["python:3.13-bookworm"] == containers
    assert [] == [one for one in re.findall(r"pip install (.*)", " ".join(commands("check"))) if "-r" not in one]


def test_only_the_deployment_sees_a_secret() -> None:
    assert "secrets." not in (ROOT / ".github/workflows/check.yml").read_text()


def test_deployment_sets_every_parameter_of_the_template() -> None:
    named = re.findall(r"\$\{(\w+)=?.*?\}", (ROOT / "infra/main.parameters.json").read_text())

    assert set(named) <= set(workflow("deploy")["jobs"]["deploy"]["env"])


def test_development_container_runs_make_run() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())

    assert "make run" == container["postAttachCommand"]
    assert f":{(ROOT / '.python-version').read_text().strip()}-" in container["image"]
