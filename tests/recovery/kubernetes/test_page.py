"""The rights that docs/kubernetes.md gives are what the code asks for, and no more."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")


def test_the_reader_only_reads_and_the_writer_deletes_nothing() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    roles = {role["metadata"]["name"]: role["rules"] for role in yaml.safe_load_all(block)}
    verbs = {name: {verb for rule in rules for verb in rule["verbs"]} for name, rules in roles.items()}
    assert verbs["lifeboat-backup"] == {"get", "list"}
    assert verbs["lifeboat-restore"] == {"get", "list", "create", "patch", "bind", "escalate"}
