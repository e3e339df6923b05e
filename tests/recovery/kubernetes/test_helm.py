"""Releases of Helm, decoded."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
import yaml

from include.recovery.errors import BackupCorrupt
from include.recovery.kubernetes.helm import is_release, release_of

RELEASE = {
    "name": "todo", "version": 3, "namespace": "todo", "info": {"status": "deployed"},
    "chart": {"metadata": {"name": "todo-chatbot", "version": "1.2.0"}, "values": {"replicas": 1}},
    "config": {"replicas": 2, "db": {"password": "hunter2"}}, "manifest": "---\nkind: Service\n",
}  # fmt: skip


def packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


def in_secret(payload: str, kind: str = "helm.sh/release.v1") -> dict[str, Any]:
    data = {"release": base64.b64encode(payload.encode()).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": kind,
        "metadata": {"name": "sh.helm.release.v1.todo.v3", "namespace": "todo"},
        "data": data,
    }


def in_config_map(payload: str) -> dict[str, Any]:
    metadata = {"name": "todo.v3", "namespace": "todo", "labels": {"owner": "helm"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"release": payload}}


@pytest.mark.demand("D4")
@pytest.mark.parametrize("holds", [in_secret, in_config_map])
def test_values_are_readable(holds: Any) -> None:
    found = holds(packed(json.dumps(RELEASE).encode()))
    assert is_release(found)
    files = {path: content.decode() for path, content in release_of(found).files()}
    folder = "helm/todo/todo/v3"
    assert set(files) == {f"{folder}/{name}.yaml" for name in ("release", "values", "chart-values", "manifest")}
    assert yaml.safe_load(files[f"{folder}/values.yaml"]) == RELEASE["config"]
    assert yaml.safe_load(files[f"{folder}/chart-values.yaml"]) == {"replicas": 1}
    assert yaml.safe_load(files[f"{folder}/release.yaml"])["chart"]["version"] == "1.2.0"


@pytest.mark.parametrize(
    "payload",
    ["", "%%", base64.b64encode(b"hunter2").decode(), packed(b"[]"), packed(b"{}")[:-12], packed(b'{"name": "a"}')],
)
def test_what_is_none_is_refused_without_quoting_it(payload: str) -> None:
    with pytest.raises(BackupCorrupt, match=r"todo/sh\.helm\.release\.v1\.todo\.v3 cannot be decoded") as refused:
        release_of(in_secret(payload))
    assert "hunter2" not in str(refused.value)


def test_other_objects_are_none() -> None:
    assert not is_release(in_secret("", "Opaque"))
    assert not is_release(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"release": "x"}}
    )
