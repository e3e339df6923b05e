"""Field by field, for people; never a secret."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from include.recovery.kubernetes.difference import Differ

HIDDEN = "(hidden, digest "


def lines(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [change.line for change in Differ().fields(before, after)]


def secret(**data: str) -> dict[str, Any]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "labels": {"a": "b"}}, "data": data}


def workload(image: str, **env: str) -> dict[str, Any]:
    variables = [{"name": name, "value": value} for name, value in env.items()]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{"name": "web", "image": image, "env": variables}]}},
        },
    }


def test_equal_objects_have_no_lines() -> None:
    assert lines(workload("a"), workload("a")) == []


def test_one_and_true_are_not_the_same() -> None:
    assert lines({"kind": "X", "spec": {"a": [1]}}, {"kind": "X", "spec": {"a": [True]}}) == ["~ spec.a[0]: 1 -> true"]


def test_a_field_is_named_by_its_path() -> None:
    assert lines(workload("web:1", MODE="x"), workload("web:2", MODE="x", ZONE="b")) == [
        '+ spec.template.spec.containers[web].env[ZONE]: {"name": "ZONE", "value": "b"}',
        '~ spec.template.spec.containers[web].image: "web:1" -> "web:2"',
    ]


@pytest.mark.demand("D4")
def test_of_a_secret_keys_are_told_and_values_never() -> None:
    told = lines(secret(password="hunter2", user="anna", old="x"), secret(password="hunter3", user="anna", new="y"))
    assert [line.split(":")[0] for line in told] == ["+ data.new", "- data.old", "~ data.password"]
    text = "\n".join(told)
    for value in ("hunter2", "hunter3", "x", "y"):
        assert base64.b64encode(value.encode()).decode() not in text
    assert "hunter" not in text
    assert text.count(HIDDEN) == 4


def test_a_label_of_a_secret_is_no_secret() -> None:
    assert lines(secret(), {**secret(), "metadata": {"name": "s", "labels": {"a": "c"}}}) == [
        '~ metadata.labels.a: "b" -> "c"'
    ]


def test_a_new_secret_tells_its_keys() -> None:
    told = lines({}, secret(password="hunter2"))
    assert any(line.startswith(f"+ data.password: {HIDDEN}") for line in told)
    assert "aHVudGVyMg" not in "\n".join(told)


def test_digests_mean_nothing_later() -> None:
    first, second = (lines(secret(a="1"), secret(a="2")) for _ in range(2))
    assert first != second
    same = Differ().fields(secret(a="1", b="1"), secret(a="2", b="2"))
    assert same[0].before == same[1].before


def test_a_password_in_an_environment_or_a_component_is_hidden() -> None:
    told = "\n".join(
        lines(workload("a", DB_PASSWORD="hunter2"), workload("a", DB_PASSWORD="hunter3", API_TOKEN="t0ken"))
    )
    assert "hunter" not in told
    assert "t0ken" not in told
    component = {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": "s"}}
    fields = [{"name": "redisPassword", "value": "hunter2"}, {"name": "redisHost", "value": "h:1"}]
    told = "\n".join(lines(component, {**component, "spec": {"metadata": fields}}))
    assert "hunter" not in told
    assert "h:1" in told


def test_the_name_of_a_secret_is_no_secret() -> None:
    told = lines(
        {"kind": "Ingress", "spec": {"tls": {"secretName": "a"}}},
        {"kind": "Ingress", "spec": {"tls": {"secretName": "b"}}},
    )
    assert told == ['~ spec.tls.secretName: "a" -> "b"']


def test_a_release_of_helm_in_a_config_map_is_hidden() -> None:
    release = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "r", "labels": {"owner": "helm"}},
        "data": {"release": "H4s1"},
    }
    assert "H4s" not in "\n".join(lines(release, {**release, "data": {"release": "H4s2"}}))


def test_a_long_value_is_cut() -> None:
    (line,) = lines({"kind": "ConfigMap", "data": {"a": "x"}}, {"kind": "ConfigMap", "data": {"a": "y" * 500}})
    assert len(line) < 200
    assert "(502 characters)" in line
