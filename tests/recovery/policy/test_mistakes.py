"""Every mistake of tests/policies/mistakes.yaml gives exactly the lines that stand beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from include.recovery.policy.files import load_folder

FOLDER = Path(__file__).parents[2] / "policies"
EXAMPLE = (FOLDER / "example.yaml").read_text(encoding="utf-8")
MISTAKES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "mistakes.yaml").read_text(encoding="utf-8"))
PLATFORM = """
stores:
  primary: {kind: folder, path: /backups, site: here, medium: disk, provider: us}
  offsite: {kind: folder, path: /far, site: there, medium: tape, provider: them, replication: copy}
encryption: {kms_connection: kms, kms_key: alias/x}
approvals: {signing_connection: signing}
notifications: {slack_connection: slack}
web: {base_url: "http://127.0.0.1:8080"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "platform.yaml").write_text(PLATFORM, encoding="utf-8")
    (tmp_path / "example.yaml").write_text(EXAMPLE, encoding="utf-8")
    return tmp_path


def test_the_example_itself_is_valid(folder: Path) -> None:
    assert load_folder(folder).problems == ()


@pytest.mark.parametrize("case", MISTAKES, ids=[case["mistake"] for case in MISTAKES])
def test_a_mistake_is_told(case: dict[str, Any], folder: Path) -> None:
    text = case.get("whole")
    if text is None:
        assert EXAMPLE.count(case["replace"]) == 1, "the mistake must be in one place"
        text = EXAMPLE.replace(case["replace"], case["with"])
    (folder / "example.yaml").write_text(text, encoding="utf-8")

    policies = load_folder(folder)

    assert list(policies.problems) == [f"example.yaml{line}" for line in case["expect"]]
    assert policies.systems == {}
