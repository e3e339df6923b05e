"""What an export tells of itself."""

from __future__ import annotations

import json

import pytest

from include.recovery.catalog.model import LeftOut
from include.recovery.errors import BackupCorrupt
from include.recovery.kubernetes.report import Report, left_out_in


def test_what_was_left_out_is_told_by_name_or_in_numbers() -> None:
    report = Report()
    report.made_anew("core/Pod", "namespaces/a/core/Pod/p", "its owner makes it anew")
    report.made_anew("core/Pod", "namespaces/a/core/Pod/q", "its owner makes it anew")
    report.made_anew("core/Secret", "namespaces/a/core/Secret/s", "unsealed anew")
    report.excluded("namespaces/a/core/ConfigMap/c", "rebuilt")
    assert report.told == [
        LeftOut(what="namespaces/a/core/ConfigMap/c", why="rebuilt"),
        LeftOut(what="2 x core/Pod", why="the cluster makes them: its owner makes it anew"),
        LeftOut(what="1 x core/Secret", why="the cluster makes them: unsealed anew"),
    ]
    assert left_out_in(report.text(), "here") == {
        "namespaces/a/core/Secret/s": "unsealed anew", "namespaces/a/core/ConfigMap/c": "rebuilt",
    }  # fmt: skip


def test_several_moments_are_said() -> None:
    report = Report()
    report.listed("v1", "Secret", "a", "7", 2)
    assert report.not_compared == ()
    assert report.moment == "7"
    report.listed("v1", "Service", "a", "9", 1)
    (told,) = report.not_compared
    assert "from resourceVersion 7 to 9" in told.why
    assert [row["resourceVersion"] for row in json.loads(report.text())["lists"]] == ["7", "9"]


@pytest.mark.parametrize("text", [b"", b"[]", b'{"left_out": [{}]}', b"{"])
def test_what_is_no_report(text: bytes) -> None:
    with pytest.raises(BackupCorrupt, match=r"export\.json is no report"):
        left_out_in(text, "export.json")
