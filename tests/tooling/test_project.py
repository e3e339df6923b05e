"""The project's own files agree with each other: dependencies, pins, commands."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(PYPROJECT)["project"]
RUNTIME: list[str] = PROJECT["dependencies"]
DEV: list[str] = PROJECT["optional-dependencies"]["dev"]
REQUIREMENTS = (ROOT / "requirements.txt").read_text(encoding="utf-8")
PINNED = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", REQUIREMENTS, re.MULTILINE | re.IGNORECASE))


@pytest.mark.parametrize("dependency", RUNTIME + DEV)
def test_a_direct_dependency_is_pinned_alike_in_both_files(dependency: str) -> None:
    match = re.fullmatch(r"([A-Za-z0-9._-]+)(\[[a-z0-9,]+\])?==(\S+)", dependency)

    assert match, "pin it with =="
    name = re.sub(r"[-_.]+", "-", match[1]).lower()
    assert PINNED.get(name) == match[3], "run `make requirements`"


@pytest.mark.parametrize("dependency", RUNTIME + DEV)
def test_a_direct_dependency_says_why(dependency: str) -> None:
    (line,) = [line for line in PYPROJECT.splitlines() if f'"{dependency}"' in line]

    assert re.search(r",\s+# \w+", line)


def test_every_pin_has_hashes_and_no_machine_shows() -> None:
    blocks = re.split(r"^(?=[A-Za-z0-9])", REQUIREMENTS, flags=re.MULTILINE)[1:]

    assert [block.split(" ")[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert not re.search(r"(?<![\w.])/(work|var|home|root|tmp)/", REQUIREMENTS)


def test_make_explains_every_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    done = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert phony
    explained = {line.split()[1] for line in done.stdout.splitlines()}
    assert explained == set(phony[1].split())
    assert {"demo", "demo-down", "test", "bench", "demands", "docs", "lint"} <= explained
