"""Fill, back up, restore, compare; and into another, empty cluster, from which the same comes out again."""

from __future__ import annotations

import json
import shutil
import stat
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from include.lab.kubernetes_answers import Request
from include.recovery.content.port import Selection
from include.recovery.evidence.model import Outcome
from include.recovery.kubernetes.document import path_of
from tests.fixtures.kubectl import Kubectl, server_tls
from tests.integration.kubernetes.conftest import PASSWORD, TOKEN, WRITER, Cluster, KubernetesPlace, encoded

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
EMULATED = "Kubernetes by the lab's API server"
ODD_ROLE = "namespaces/todo/rbac.authorization.k8s.io/Role/Rolle: Größe \N{SNOWMAN}\nzweite Zeile"
Make = Callable[..., KubernetesPlace]


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def names(place: KubernetesPlace) -> list[str]:
    return [item.name for item in place.impl.live_items(place.site)]


@pytest.mark.demand("A5", emulated=EMULATED)
@pytest.mark.demand("A4", emulated=EMULATED)
def test_a_backup_is_proven_by_a_copy(place: Make) -> None:
    here = place()
    assert "kinds in the cluster and 2 namespaces of Kubernetes" in here.verbs.precheck(
        here.workspace, here.system, here.source
    )
    backup, folder = here.prove()
    held = names(here)
    assert held == sorted(held, key=str.encode)
    assert tree(folder) >= {path_of(name) for name in held}
    assert ODD_ROLE in held
    assert backup.manifest.server_version.startswith("v1.")
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")} == {0o600, 0o700}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    checks = here.verbs.validate(here.workspace, backup, folder)
    assert [(check.name, check.outcome, check.output) for check in checks if check.outcome is not Outcome.PASSED] == []
    assert len(checks) == 4


@pytest.mark.demand("D4", emulated=EMULATED)
def test_nothing_of_the_cluster_itself_is_kept(place: Make) -> None:
    here = place()
    backup, folder = here.prove()
    held = names(here)
    for kind in ("ReplicaSet", "Pod", "Event", "Lease", "Node", "Job", "EndpointSlice"):
        assert not [name for name in held if f"/{kind}/" in name]
    assert not [
        name for name in held if name.endswith(("/kube-root-ca.crt", "ClusterRole/admin")) or "elsewhere" in name
    ]
    assert [name for name in held if "/Endpoints/" in name] == ["namespaces/todo/core/Endpoints/legacy"]
    paths = [*(folder / "cluster").rglob("*.yaml"), *(folder / "namespaces").rglob("*.yaml")]
    text = "\n".join(path.read_text() for path in paths)
    for word in ("uid:", "resourceVersion:", "managedFields", "status:", "clusterIP", "pvc-1", "creationTimestamp"):
        assert word not in text
    told = {row.what: row.why for row in backup.manifest.left_out}
    assert "1 x core/Pod" in told
    assert "its owner makes it anew" in told["1 x apps/ReplicaSet"]
    assert "core/Event" in told
    assert told["1 x batch/Job"].endswith("put back, it would run again")
    assert any("volumes of todo/data" in what for what in told)


def test_the_moment_of_each_list_is_kept_and_several_are_told(place: Make, cluster: Cluster) -> None:
    here = place()
    quiet, folder = here.prove()
    lists = json.loads((folder / "export.json").read_text())["lists"]
    assert {row["resourceVersion"] for row in lists if row["kind"] != "Namespace"} == {quiet.manifest.lsn}
    assert quiet.manifest.content is not None
    assert quiet.manifest.content.not_compared == ()

    def busy(request: Request) -> None:
        if request.kind is not None and request.kind.kind == "Ingress":
            cluster.change("core/ConfigMap", "settings", {"data": {"mode": "no"}})

    cluster.server.trouble = busy
    backup, _ = here.prove()
    assert backup.manifest.content is not None
    (told,) = backup.manifest.content.not_compared
    assert told.why.partition(" lists ")[2].startswith("are each of one moment")


@pytest.mark.demand("D4", emulated=EMULATED)
def test_secrets_are_in_the_encrypted_part_alone_and_sealed_ones_as_they_are(place: Make) -> None:
    here = place()
    backup, folder = here.prove()
    secret = yaml.safe_load((folder / "namespaces/todo/core/Secret/database.yaml").read_text())
    assert secret["data"] == encoded(password=PASSWORD)
    sealed = yaml.safe_load((folder / "namespaces/todo/bitnami.com/SealedSecret/mail.yaml").read_text())
    assert sealed["spec"] == {"encryptedData": {"password": "AgBy8hCi8erSS"}}
    assert not (folder / "namespaces/todo/core/Secret/mail.yaml").exists()
    told = {row.what: row.why for row in backup.manifest.left_out}
    assert "unsealed anew" in told["1 x core/Secret"]
    assert "without them another cluster cannot unseal" in told["the keys that open 1 SealedSecrets"]
    token = yaml.safe_load((folder / "namespaces/todo/core/Secret/chatbot-token.yaml").read_text())
    assert "data" not in token
    clear = [PASSWORD.encode(), encoded(password=PASSWORD)["password"].encode(), TOKEN.encode()]
    for path in (here.directory / "primary").rglob("*"):
        if path.is_file():
            assert not any(value in path.read_bytes() for value in clear), path


@pytest.mark.demand("D4", emulated=EMULATED)
def test_values_of_helm_are_readable_and_the_release_is_whole(place: Make, cluster: Cluster) -> None:
    here = place()
    _, folder = here.prove()
    values = yaml.safe_load((folder / "helm/todo/todo-chatbot/v3/values.yaml").read_text())
    assert values == {"replicas": 2, "database": {"password": PASSWORD}}
    kept = yaml.safe_load((folder / "namespaces/todo/core/Secret/sh.helm.release.v1.todo-chatbot.v3.yaml").read_text())
    assert kept["data"] == cluster.get("core/Secret", "sh.helm.release.v1.todo-chatbot.v3")["data"]
    cluster.put("v1", "Secret", "sh.helm.release.v1.broken.v1", type="helm.sh/release.v1", data=encoded(release="no"))
    told = {row.what: row.why for row in here.back_up().manifest.left_out}
    assert (
        "the object itself is kept whole"
        in told["readable values of namespaces/todo/core/Secret/sh.helm.release.v1.broken.v1"]
    )


@pytest.mark.demand("D5", emulated=EMULATED)
def test_components_of_dapr_are_kept_and_who_keeps_their_state_is_told(place: Make) -> None:
    here = place()
    backup, folder = here.prove()
    for kind, name in (("Component", "statestore"), ("Configuration", "tracing"), ("Subscription", "orders")):
        assert (folder / f"namespaces/todo/dapr.io/{kind}/{name}.yaml").exists()
    orders = yaml.safe_load((folder / "namespaces/todo/dapr.io/Subscription/orders.yaml").read_text())
    assert orders["apiVersion"] == "dapr.io/v2alpha1"
    (told,) = [row for row in backup.manifest.left_out if "statestore" in row.what]
    assert "state.redis at redis.todo.svc:6379" in told.what
    assert "actors' state included" in told.what
    assert "NO SOURCE OF THIS SYSTEM" in told.why


def test_a_backup_of_the_unchanged_is_not_needed(place: Make, cluster: Cluster) -> None:
    here = place()
    here.back_up()
    cluster.store.status(cluster.key("apps/Deployment", "web"), {"readyReplicas": 1})
    cluster.put("v1", "Event", "web.18", reason="Killing")
    assert here.verbs.unchanged(here.workspace, here.system, here.source) is not None
    cluster.change("core/ConfigMap", "settings", {"data": {"mode": "no"}})
    assert here.verbs.unchanged(here.workspace, here.system, here.source) is None


def test_a_policy_chooses_and_excludes(place: Make, cluster: Cluster) -> None:
    here = place(
        namespaces=["to*"], cluster_kinds=["rbac.authorization.k8s.io/*"],
        exclude=[
            {"kind": "core/ConfigMap", "name": "set*", "why": "from the pipeline"},
            {"kind": "apps/*", "why": "by Argo"},
        ],
    )  # fmt: skip
    backup, folder = here.prove()
    held = names(here)
    assert not [name for name in held if "ConfigMap/settings" in name or "/apps/" in name or "CustomResource" in name]
    assert "cluster/core/Namespace/todo" in held
    assert "namespaces/todo/core/Pod/web-5d4f-abcde" in held, "its owner is excluded, so nothing would make it anew"
    told = {row.what: row.why for row in backup.manifest.left_out}
    assert told["namespaces/todo/core/ConfigMap/settings"] == "from the pipeline"
    assert told["apps/*"] == "by Argo"
    assert any(
        "CustomResourceDefinition" in what
        for what, why in told.items()
        if why == "kinds that the policy does not choose"
    )
    checks = {check.name: check for check in here.verbs.validate(here.workspace, backup, folder)}
    assert checks["what objects need is in the backup, or left out by name"].outcome is Outcome.PASSED
    assert "needs the CustomResourceDefinition" in checks["the objects can be applied in order"].found


def test_a_selection_is_restored(place: Make) -> None:
    here = place()
    backup = here.back_up()
    only = Selection(("namespaces/todo/core/Secret/", ODD_ROLE))
    folder = here.copy(backup, only)
    found = here.compare(backup, folder, only)
    assert found.identical, found.verdict
    assert found.compared_rows == 5
    assert [check.outcome for check in here.verbs.validate(here.workspace, backup, folder)] == [Outcome.PASSED]


@pytest.mark.parametrize("how", ["changed", "missing", "added", "no object", "other name"])
def test_a_copy_that_is_not_the_backup_is_found(place: Make, how: str) -> None:
    here = place()
    backup = here.back_up()
    folder = here.copy(backup)
    path = folder / "namespaces/todo/core/ConfigMap/settings.yaml"
    match how:
        case "changed":
            path.write_text(path.read_text().replace("hello", "hallo"))
        case "missing":
            path.unlink()
        case "added":
            shutil.copy(path, path.with_name("more.yaml"))
        case "no object":
            path.write_text("a: [")
        case _:
            path.write_text(path.read_text().replace("name: settings", "name: others"))
    found = here.compare(backup, folder)
    assert not found.identical
    name = "more" if how == "added" else "settings"
    assert [each.object for each in found.differences] == [f"namespaces/todo/core/ConfigMap/{name}"]
    if how == "no object":
        (check, *_) = here.verbs.validate(here.workspace, backup, folder)
        assert check.outcome is Outcome.FAILED
        assert "settings.yaml is no YAML" in check.found


def test_a_reference_to_nothing_is_found(place: Make, cluster: Cluster) -> None:
    cluster.remove("core/Secret", "database")
    here = place()
    backup, folder = here.prove()
    checks = {check.name: check for check in here.verbs.validate(here.workspace, backup, folder)}
    check = checks["what objects need is in the backup, or left out by name"]
    assert check.outcome is Outcome.FAILED
    assert check.found == "namespaces/todo/apps/Deployment/web needs namespaces/todo/core/Secret/database"


def test_a_long_name_and_large_lists(place: Make, cluster: Cluster) -> None:
    """More objects than a page holds; a name that no file can have."""
    for number in range(600):
        cluster.put("v1", "ConfigMap", f"many-{number}", data={"n": str(number)})
    cluster.put("rbac.authorization.k8s.io/v1", "Role", "ü" * 200, rules=[])
    here = place()
    backup, folder = here.prove()
    assert len(list((folder / "namespaces/todo/core/ConfigMap").iterdir())) == 601
    only = Selection((f"namespaces/todo/rbac.authorization.k8s.io/Role/{'ü' * 200}",))
    assert here.compare(backup, here.copy(backup, only), only).compared_rows == 1


def test_memory_is_that_of_one_list_whatever_their_number(place: Make, cluster: Cluster) -> None:
    for number in range(10):
        cluster.put("v1", "Namespace", f"big-{number}", None)
        for each in range(20):
            cluster.put("v1", "ConfigMap", f"m-{each}", f"big-{number}", data={"a": "x" * 50_000})
    here = place(kinds=["core/ConfigMap"], cluster_kinds=[])

    def peak(*namespaces: str) -> int:
        site = replace(here.site, source=here.site.source.model_copy(update={"namespaces": namespaces}))
        tracemalloc.start()
        try:
            assert sum(1 for _ in here.impl.live_items(site)) >= 20
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak("big-0")  # what is loaded once
    assert peak("big-*") < 1.5 * peak("big-0")


@pytest.mark.demand("A5", emulated=EMULATED)
def test_an_empty_cluster_becomes_the_same(place: Make, start_cluster: Callable[..., Cluster]) -> None:
    here = place()
    backup = here.back_up()
    before, held = here.live(), names(here)
    second = start_cluster(establish_seconds=0.5)
    here.turn_to(second)
    done = here.verbs.put_back(here.workspace, backup, leave="depot/resources")
    assert done.changed == len(held), done.notes
    assert names(here) == held
    assert here.live() == before
    assert second.get("core/Secret", "chatbot-token")["data"]["token"]
    assert not second.has("batch/Job", "migrate")


def test_kubectl_applies_the_files(place: Make, start_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """As docs/format.md says, by hand: what another parser reads from the files is the same."""
    here = place()
    backup = here.back_up()
    before, folder = here.live(), here.copy(backup)
    tls, authority = server_tls(tmp_path / "tls")
    second = start_cluster(tls=tls)
    here.turn_to(second, ca=authority)
    kubectl = Kubectl(tmp_path, second.server.url, WRITER, authority)
    # In the order of docs/format.md, which other orders a real cluster would refuse.
    for part in ("cluster/apiextensions.k8s.io", "cluster/core/Namespace", "cluster", "namespaces"):
        kubectl("apply", "--server-side", "--validate=false", "-R", "-f", part, folder=folder)
    assert here.live() == before
