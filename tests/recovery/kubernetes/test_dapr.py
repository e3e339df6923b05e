"""State stores that components name, and who keeps what they hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import LifeboatError, PolicyError
from include.recovery.kubernetes.dapr import check_state_stores, state_store_note
from include.recovery.policy.source_kinds.kubernetes import KubernetesSource

SOURCES = [
    SimpleNamespace(name="main-db", kind="postgres", connections=SimpleNamespace(backup="db")),
    SimpleNamespace(name="cache", kind="redis", connection="redis"),
]
SYSTEM = cast("Any", SimpleNamespace(system="todo", sources=SOURCES))


def connections(name: str) -> ConnectionInfo:
    known = {"db": ConnectionInfo("db", "db.example", 5432), "redis": ConnectionInfo("redis", "redis.todo.svc")}
    if name not in known:
        raise LifeboatError(name)
    return known[name]


def source(**stores: str) -> KubernetesSource:
    given = [{"component": f"todo/{name}", "source": kept} for name, kept in stores.items()]
    return KubernetesSource.model_validate(
        {
            "name": "k8s",
            "kind": "kubernetes",
            "data_class": "a",
            "connection": "c",
            "namespaces": ["todo"],
            "state_stores": given,
        }
    )


def component(kind: str, **fields: Any) -> dict[str, Any]:
    rows = [
        {"name": name, **(value if isinstance(value, dict) else {"value": value})} for name, value in fields.items()
    ]
    return {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": "store", "namespace": "todo"},
        "spec": {"type": kind, "metadata": rows},
    }


@pytest.mark.demand("D5")
@pytest.mark.parametrize(
    ("found", "stores", "what", "why"),
    [
        (
            component("state.redis", redisHost="redis.todo.svc:6379"),
            {},
            "(state.redis at redis.todo.svc:6379)",
            "source cache",
        ),
        (component("state.redis", redisHost="redis.todo.svc"), {}, "redis.todo.svc:6379", "source cache"),
        (component("state.redis", redisHost="other:6379"), {}, "other:6379", "NO SOURCE"),
        (
            component("state.redis", redisHost="other:6379"),
            {"store": "cache"},
            "other:6379",
            "source cache of this system keeps it, as",
        ),
        (
            component("state.postgresql", connectionString="host=db.example user=a password=hunter2 database=b"),
            {},
            "db.example:5432",
            "source main-db",
        ),
        (
            component("state.postgresql", connectionString="postgres://a:hunter2@db.example:5432/b"),
            {},
            "db.example:5432",
            "source main-db",
        ),
        (
            component("state.postgresql", connectionString={"secretKeyRef": {"name": "s"}}),
            {},
            "(state.postgresql)",
            "add a source of kind postgres",
        ),
        (
            component("state.azure.cosmosdb", url="https://x.example:443/"),
            {},
            "x.example:443",
            "what can back state.azure.cosmosdb up",
        ),
        (component("state.redis", redisHost="h", actorStateStore="true"), {}, "actors' state included", "NO SOURCE"),
    ],
)
def test_a_state_store_is_told(found: dict[str, Any], stores: dict[str, str], what: str, why: str) -> None:
    note = state_store_note(found, SYSTEM, source(**stores), connections)
    assert note is not None
    assert "todo/store" in note.what
    assert what in note.what
    assert why in note.why
    assert "hunter2" not in note.what + note.why


def test_other_components_are_no_state_stores() -> None:
    assert state_store_note(component("pubsub.redis"), SYSTEM, source(), connections) is None


def test_a_source_that_is_not_there_is_a_mistake_of_the_policy() -> None:
    check_state_stores(SYSTEM, source(store="cache"))
    with pytest.raises(
        PolicyError, match="kept by source 'gone', which the system does not have; it has cache, main-db"
    ):
        check_state_stores(SYSTEM, source(store="gone"))
