"""Documents that Terraform would take, and those that it would not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.errors import BackupCorrupt
from include.recovery.terraform.document import parse

PROVIDER = 'provider["terraform.io/builtin/terraform"]'


def resource(name: str, *instances: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"mode": "managed", "type": "t", "name": name, "provider": PROVIDER, "instances": list(instances), **more}


def document(*resources: dict[str, Any], **more: Any) -> bytes:
    whole = {"version": 4, "serial": 7, "lineage": "L", "terraform_version": "1.15.5", "resources": list(resources)}
    return json.dumps(whole | more).encode()


def names(data: bytes) -> list[str]:
    return [item.name for item in parse(data, "here", BackupCorrupt).items()]


def test_addresses_are_terraforms_own() -> None:
    data = document(
        resource("plain", {"attributes": {}}),
        resource("counted", {"index_key": 0}, {"index_key": 10}, {"index_key": 2}),
        resource("keyed", {"index_key": 'a "b"'}, module='module.m["x"]'),
        resource("read", {}, mode="data"),
        resource("old", {}, {"deposed": "1a2b"}),
    )

    assert names(data) == [
        "checks", "data.t.read", "lineage", 'module.m["x"].t.keyed["a \\"b\\""]', "outputs", "serial",
        "t.counted[0]", "t.counted[10]", "t.counted[2]", "t.old", "t.old (deposed 1a2b)", "t.plain",
    ]  # fmt: skip
    assert "t.old (deposed 1a2b)" not in parse(data, "here", BackupCorrupt).addresses()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (document()[:-1], "no whole JSON (line 1"),
        (b"\xff\xfe", "no whole JSON"),
        (b"[]", "no JSON object"),
        (b'{"encrypted_data": "x"}', "encrypted by OpenTofu"),
        (document(version=3), "format version 3; allowed is 4"),
        (document(lineage=""), "no lineage"),
        (document(serial="7"), "no serial"),
        (document(resources={}), "no list of resources"),
        (document(resource("a", provider="x")), "has provider 'x'"),
        (document({"mode": "managed"}), "resource 0 has no list of instances"),
        (document(resource("a", {}), resource("a", {})), "names t.a twice"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, said: str) -> None:
    with pytest.raises(BackupCorrupt) as error:
        parse(data, "here", BackupCorrupt)
    assert said in str(error.value)


@given(st.integers(1, 10**9), st.text())
def test_another_serial_is_the_only_change(serial: int, value: str) -> None:
    before = parse(document(resource("a", {"attributes": {"x": value}})), "here", BackupCorrupt)
    after = parse(before.with_serial(serial), "here", BackupCorrupt)

    assert after.serial == serial
    assert before.same_but_serial(after)
    other = parse(document(resource("a", {"attributes": {"x": value + "!"}})), "here", BackupCorrupt)
    assert not before.same_but_serial(other)
