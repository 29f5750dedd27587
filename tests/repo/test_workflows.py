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
    return [step for job in found["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_every_action_is_pinned_to_a_commit_and_says_which_version_that_is(file: Path) -> None:
    used = re.findall(r"uses: .*", file.read_text())

    assert used
    assert [] == [line for line in used if not PINNED.fullmatch(line)]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_job_may_read_the_code_and_only_the_deployment_may_ask_for_a_token(file: Path) -> None:
    found = workflow(file.stem)

    assert {} == found["permissions"]
    for name, job in found["jobs"].items():
        assert {"contents": "read", **({"id-token": "write"} if name == "deploy" else {})} == job["permissions"]
        assert job["timeout-minutes"] <= 60
    checkouts = [step for step in steps(found) if step.get("uses", "").startswith("actions/checkout@")]
    assert {False} == {step["with"]["persist-credentials"] for step in checkouts}


def test_every_push_is_checked_tested_and_compiled() -> None:
    found = workflow("check")
    run = [step["run"] for step in steps(found) if "run" in step]

    # YAML 1.1 reads the key `on` as true.
    assert {"push": None, "pull_request": None} == found[True]
    assert {"make check", ".ci/run"} <= set(run)
    assert [line.split()[2] for line in run if line.startswith("az bicep")] == ["install", "build", "lint"]


def test_a_deployment_is_given_every_parameter_of_the_template() -> None:
    named = re.findall(r"\$\{(\w+)=?.*?\}", (ROOT / "infra/main.parameters.json").read_text())

    assert set(named) <= set(workflow("deploy")["jobs"]["deploy"]["env"])


def test_the_development_container_runs_what_the_readme_runs() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())

    assert "make run" == container["postAttachCommand"]
    assert f":{(ROOT / '.python-version').read_text().strip()}-" in container["image"]
