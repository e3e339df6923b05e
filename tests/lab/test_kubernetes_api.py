"""The lab's Kubernetes API answers as a real one does, as far as it goes; also to kubectl."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from include.lab.kubernetes_api import ApiServer, Rights, Rule
from include.lab.kubernetes_kinds import DAPR
from include.lab.kubernetes_store import Store
from include.lab.ports import free_ports, listens, wait_for
from tests.fixtures.kubectl import Kubectl, server_tls

ROOT = Path(__file__).parents[2]
MAPS = "/api/v1/namespaces/default/configmaps"
APPLY = {"Content-Type": "application/apply-patch+yaml"}
MERGE = {"Content-Type": "application/merge-patch+json"}
Client = httpx.Client


@pytest.fixture
def serve() -> Iterator[Callable[..., Client]]:
    """Starts a server in this process; its client."""
    ends = ExitStack()

    def start(store: Store | None = None, rules: list[Rule] | None = None, **options: Any) -> Client:
        server = ApiServer(0, store or Store(), Rights({"t": [Rule()] if rules is None else rules}))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        ends.callback(server.server_close)
        ends.callback(server.shutdown)
        headers = {"Authorization": "Bearer t"}
        return ends.enter_context(httpx.Client(base_url=server.url, headers=headers, trust_env=False))

    with ends:
        yield start


def config_map(name: str = "a", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"n": name}}, "data": data}


def test_discovery_names_kinds_with_what_can_be_done(serve: Callable[..., Client]) -> None:
    client = serve()
    groups = {group["name"]: group for group in client.get("/apis").json()["groups"]}
    assert groups["autoscaling"]["preferredVersion"]["version"] == "v2"
    kinds = {row["kind"]: row for row in client.get("/api/v1").json()["resources"]}
    assert kinds["Endpoints"]["name"] == "endpoints"
    assert kinds["ComponentStatus"]["verbs"] == ["get", "list"]
    assert client.get("/apis/none/v1").status_code == 404


def test_create_read_replace_delete(serve: Callable[..., Client]) -> None:
    client = serve()
    made = client.post(MAPS, json=config_map(a="1")).json()
    assert {"uid", "resourceVersion", "creationTimestamp", "managedFields"} <= set(made["metadata"])
    assert client.post(MAPS, json=config_map()).status_code == 409
    assert client.put(f"{MAPS}/a", json={**made, "data": {"a": "2"}}).json()["data"] == {"a": "2"}
    stale = client.put(f"{MAPS}/a", json={**made, "data": {"a": "3"}})
    assert (stale.status_code, stale.json()["reason"]) == (409, "Conflict")
    assert client.delete(f"{MAPS}/a").status_code == 200
    assert client.get(f"{MAPS}/a").json()["reason"] == "NotFound"


@pytest.mark.parametrize("change", ["create", "apply", "merge", "delete"])
def test_a_dry_run_keeps_nothing(serve: Callable[..., Client], change: str) -> None:
    client, query = serve(), {"dryRun": "All", "fieldManager": "m"}
    client.post(MAPS, json=config_map(a="1"))
    before = client.get(MAPS).json()
    match change:
        case "create":
            answer = client.post(MAPS, params=query, json=config_map("b"))
        case "apply":
            answer = client.patch(f"{MAPS}/a", params=query | {"force": "true"}, headers=APPLY, json=config_map(a="2"))
            assert answer.json()["data"] == {"a": "2"}
        case "merge":
            answer = client.patch(f"{MAPS}/a", params=query, headers=MERGE, json={"data": {"a": None}})
            assert answer.json()["data"] == {}
        case _:
            answer = client.delete(f"{MAPS}/a", params=query)
    assert answer.is_success
    assert client.get(MAPS).json() == before


def test_pages_are_of_one_moment_until_it_is_compacted(serve: Callable[..., Client]) -> None:
    store = Store()
    client = serve(store)
    for name in "abc":
        client.post(MAPS, json=config_map(name))
    first = client.get(MAPS, params={"limit": 2}).json()
    assert [each["metadata"]["name"] for each in first["items"]] == ["a", "b"]
    assert first["items"][0]["kind"] == "ConfigMap"
    client.delete(f"{MAPS}/c")
    client.post(MAPS, json=config_map("d"))
    query = {"limit": 2, "continue": first["metadata"]["continue"]}
    second = client.get(MAPS, params=query).json()
    assert [each["metadata"]["name"] for each in second["items"]] == ["c", "kube-root-ca.crt"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    store.compact()
    assert client.get(MAPS, params=query).status_code == 410


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("n=a", "a"),
        ("n==a", "a"),
        ("n!=a", "bk"),
        ("n in (a, b)", "ab"),
        ("n notin (a,b)", "k"),
        ("n", "ab"),
        ("!n", "k"),
        ("n!=a,n", "b"),
    ],
)
def test_labels_select(serve: Callable[..., Client], selector: str, found: str) -> None:
    client = serve()
    for name in "ab":
        client.post(MAPS, json=config_map(name))
    items = client.get(MAPS, params={"labelSelector": selector}).json()["items"]
    assert "".join(each["metadata"]["name"][0] for each in items) == found


def test_server_side_apply_knows_owners(serve: Callable[..., Client]) -> None:
    client = serve()

    def apply(manager: str, force: bool = False, **data: str) -> httpx.Response:
        query = {"fieldManager": manager, **({"force": "true"} if force else {})}
        return client.patch(f"{MAPS}/a", params=query, headers=APPLY, json=config_map(**data))

    assert apply("one", a="1", b="1").json()["data"] == {"a": "1", "b": "1"}
    conflict = apply("two", a="2")
    assert (conflict.status_code, "data.a (one)" in conflict.json()["message"]) == (409, True)
    assert apply("two", force=True, a="2", c="2").json()["data"] == {"a": "2", "b": "1", "c": "2"}
    assert apply("one", b="1").json()["data"] == {"a": "2", "b": "1", "c": "2"}, "a is another's now"
    assert apply("two", a="2").json()["data"] == {"a": "2", "b": "1"}, "who owned it has let it go"


def test_lists_are_merged_by_name(serve: Callable[..., Client]) -> None:
    client = serve()
    path = "/apis/apps/v1/namespaces/default/deployments/w"

    def apply(manager: str, *containers: dict[str, str]) -> Any:
        spec = {"selector": {}, "template": {"spec": {"containers": list(containers)}}}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "w"}, "spec": spec}
        answer = client.patch(path, params={"fieldManager": manager, "force": "true"}, headers=APPLY, json=body)
        return answer.json()["spec"]["template"]["spec"]["containers"]

    apply("one", {"name": "a", "image": "x"})
    assert apply("two", {"name": "b", "image": "y"}) == [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]


def test_custom_kinds_come_and_go(serve: Callable[..., Client]) -> None:
    client = serve()
    path = "/apis/dapr.io/v1alpha1/namespaces/default/components"
    component = {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": "s"}}
    assert client.post(path, json=component).status_code == 404
    definition = client.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json=DAPR[0]).json()
    assert definition["status"]["conditions"] == [{"type": "Established", "status": "True"}]
    assert client.post(path, json=component).status_code == 201


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (MAPS, {"metadata": {"name": "No Name"}}, 422),
        ("/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles", {"metadata": {"name": "any: Ü"}}, 201),
        ("/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles", {"metadata": {"name": "a/b"}}, 422),
        ("/api/v1/namespaces/none/configmaps", {"metadata": {"name": "a"}}, 404),
        ("/api/v1/namespaces/default/secrets", {"metadata": {"name": "a"}, "data": {"a": "%"}}, 400),
        ("/api/v1/namespaces", {"metadata": {"name": "n"}}, 201),
    ],
)
def test_what_is_accepted(serve: Callable[..., Client], path: str, body: dict[str, Any], code: int) -> None:
    assert serve().post(path, json=body).status_code == code


def test_what_cannot_be_changed(serve: Callable[..., Client]) -> None:
    client = serve()
    client.post(MAPS, json={**config_map(a="1"), "immutable": True})
    refused = client.patch(f"{MAPS}/a", headers=MERGE, json={"data": {"a": "2"}})
    assert (refused.status_code, refused.json()["details"]["causes"][0]["field"]) == (422, "data")


def test_tokens_and_rights(serve: Callable[..., Client]) -> None:
    client = serve(rules=[Rule(verbs=("get", "list"), kinds=("core/*",), namespaces=("default",))])
    assert client.get(MAPS).status_code == 200
    assert client.get("/api/v1/namespaces/other/configmaps").status_code == 403
    assert client.post(MAPS, json=config_map()).json()["reason"] == "Forbidden"
    assert client.get("/apis/apps/v1/namespaces/default/deployments").status_code == 403
    assert client.get(MAPS, headers={"Authorization": "Bearer x"}).status_code == 401


def test_applying_what_is_not_there_is_creating(serve: Callable[..., Client]) -> None:
    client = serve(rules=[Rule(verbs=("get", "patch"))])
    refused = client.patch(f"{MAPS}/a", params={"fieldManager": "m"}, headers=APPLY, json=config_map())
    assert "cannot create" in refused.json()["message"]
    assert client.patch(f"{MAPS}/kube-root-ca.crt", headers=APPLY, json=config_map("kube-root-ca.crt")).is_success


def test_it_remembers(tmp_path: Path) -> None:
    first = Store(tmp_path / "objects")
    kind = first.kind("", "configmaps")
    made = first.create(kind, "default", config_map(a="1"))
    first.create(kind, "default", config_map("gone"))
    first.delete(next(key for key in first._history if key.name == "gone"))
    again = Store(tmp_path / "objects")
    assert [each["metadata"]["name"] for each in again.objects("core/ConfigMap")] == ["a", "kube-root-ca.crt"]
    assert next(again.objects("core/ConfigMap")) == made
    assert again.revision >= int(made["metadata"]["resourceVersion"])


@pytest.mark.integration
def test_it_runs_as_a_process_with_tls(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    _, authority = server_tls(tmp_path / "tls")
    (tmp_path / "tokens").write_text(json.dumps({"t": [{"verbs": ["*"]}]}))
    command = [
        sys.executable, "-m", "include.lab.kubernetes_api", "--port", str(port), "--folder", str(tmp_path / "objects"),
        "--tokens", str(tmp_path / "tokens"), "--certificate", str(tmp_path / "tls" / "server.pem"),
        "--key", str(tmp_path / "tls" / "server.key"),
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            wait_for("the API server", lambda: listens(port), seconds=30, alive=lambda: process.poll() is None)
            trust = ssl.create_default_context(cafile=str(authority))
            headers = {"Authorization": "Bearer t"}
            version = httpx.get(f"https://127.0.0.1:{port}/version", headers=headers, verify=trust, trust_env=False)
            assert version.json()["gitVersion"].startswith("v1.")
        finally:
            process.terminate()


@pytest.mark.integration
def test_kubectl_works_with_it(tmp_path: Path) -> None:
    tls, authority = server_tls(tmp_path / "tls")
    server = ApiServer(0, Store(), Rights({"t": [Rule()]}), tls)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    kubectl = Kubectl(tmp_path, server.url, "t", authority)
    (tmp_path / "map.json").write_text(json.dumps(config_map(a="1")))
    try:
        kubectl("apply", "--validate=false", "-f", str(tmp_path / "map.json"))
        kubectl("apply", "--server-side", "--force-conflicts", "--validate=false", "-f", str(tmp_path / "map.json"))
        assert kubectl("get", "configmaps", "-l", "n=a", "-o", "name") == "configmap/a\n"
        kubectl("delete", "configmap", "a", "--wait=false")
        assert kubectl("get", "configmaps", "-o", "name") == "configmap/kube-root-ca.crt\n"
    finally:
        server.shutdown()
        server.server_close()
