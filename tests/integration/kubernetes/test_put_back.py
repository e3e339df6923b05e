"""Putting back: tried as a whole first, what was there kept aside, in order, and nothing deleted."""

from __future__ import annotations

import stat
from collections.abc import Callable

import pytest
import yaml

from include.lab.kubernetes_answers import Request
from include.lab.kubernetes_api import Trouble
from include.recovery.content.parts import StoredParts
from include.recovery.content.port import PutBack, Selection
from include.recovery.errors import InsufficientRights, LifeboatError, Refused, SourceError, SourceUnavailable
from include.recovery.kubernetes.live import ObjectChange, fields_changed
from include.recovery.kubernetes.order import step_of
from tests.integration.kubernetes.conftest import PASSWORD, TOKEN, Cluster, KubernetesPlace, encoded

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
EMULATED = "Kubernetes by the lab's API server"
Make = Callable[..., KubernetesPlace]


def put_back(place: KubernetesPlace, backup: object, *prefixes: str) -> PutBack:
    return place.verbs.put_back(place.workspace, backup, leave="depot/resources", only=Selection(prefixes))  # type: ignore[arg-type]


def preview(place: KubernetesPlace, backup: object) -> list[tuple[str, str]]:
    return [(change.how, change.name) for change in place.verbs.preview(place.workspace, backup)]  # type: ignore[arg-type]


def damage(cluster: Cluster) -> None:
    """What somebody may have done by mistake."""
    cluster.change("core/Secret", "database", {"data": encoded(password="lost", more="x")})
    cluster.change("apps/Deployment", "web", {"spec": {"replicas": 0, "paused": True}})
    cluster.remove("core/ConfigMap", "settings")
    cluster.remove("networking.k8s.io/Ingress", "web")
    cluster.put("v1", "ConfigMap", "new", data={"a": "b"})


@pytest.mark.demand("A5", emulated=EMULATED)
def test_what_was_damaged_is_as_it_was(place: Make, cluster: Cluster) -> None:
    here = place()
    backup, before = here.back_up(), here.live()
    damage(cluster)
    changed = preview(here, backup)
    assert [name.rpartition("/")[2] for _, name in changed] == ["web", "new", "settings", "database", "web"]

    done = put_back(here, backup)

    assert done.changed == 4
    assert preview(here, backup) == [("unexpected", "namespaces/todo/core/ConfigMap/new")]
    assert cluster.get("apps/Deployment", "web")["spec"].get("paused") is None, "fields that the backup lacks are gone"
    assert set(cluster.get("core/Secret", "database")["data"]) == {"password"}
    assert any("only in the cluster were left" in note for note in done.notes)
    cluster.remove("core/ConfigMap", "new")
    assert here.live() == before


def test_what_was_there_is_kept_aside_and_can_be_applied(place: Make, cluster: Cluster) -> None:
    here = place()
    backup = here.back_up()
    damage(cluster)
    done = put_back(here, backup)
    (aside,) = here.aside
    assert done.aside == str(aside)
    assert stat.S_IMODE(aside.stat().st_mode) == 0o700
    kept = {path.relative_to(aside).as_posix(): path for path in aside.rglob("*.yaml")}
    assert set(kept) == {"namespaces/todo/core/Secret/database.yaml", "namespaces/todo/apps/Deployment/web.yaml"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept.values()} == {0o600}
    secret = yaml.safe_load(kept["namespaces/todo/core/Secret/database.yaml"].read_text())
    assert secret["data"] == encoded(password="lost", more="x")


def test_a_second_time_changes_nothing(place: Make, cluster: Cluster) -> None:
    here = place()
    backup = here.back_up()
    damage(cluster)
    put_back(here, backup)
    revision = cluster.store.revision
    again = put_back(here, backup)
    assert (again.changed, cluster.store.revision) == (0, revision)
    assert "nothing" in again.aside
    assert len(here.aside) == 1


def test_a_selection_is_put_back(place: Make, cluster: Cluster) -> None:
    here = place()
    backup = here.back_up()
    damage(cluster)
    assert put_back(here, backup, "namespaces/todo/core/Secret/data").changed == 1
    assert not cluster.has("core/ConfigMap", "settings")
    assert put_back(here, backup, "namespaces/todo/core/").changed == 1
    assert cluster.has("core/ConfigMap", "settings")
    assert not cluster.has("networking.k8s.io/Ingress", "web")


@pytest.mark.demand("A5", emulated=EMULATED)
def test_the_difference_to_the_cluster_is_told_field_by_field(place: Make, cluster: Cluster) -> None:
    here = place()
    backup = here.back_up()
    damage(cluster)
    key = here.workspace.catalog().key(backup.manifest, here.workspace.keyring())
    stored = StoredParts(backup, here.workspace.store("primary"), key)
    found = {change.name.removeprefix("namespaces/todo/"): change for change in fields_changed(here.site, stored)}
    assert {name: change.how for name, change in found.items()} == {
        "apps/Deployment/web": "change", "core/ConfigMap/settings": "create", "core/Secret/database": "change",
        "networking.k8s.io/Ingress/web": "create", "core/ConfigMap/new": "leave",
    }  # fmt: skip
    assert found["apps/Deployment/web"].lines[1:] == ["    - spec.paused: true", "    ~ spec.replicas: 0 -> 2"]
    told = "\n".join(line for change in found.values() for line in change.lines)
    assert "data.password: (hidden, digest" in told
    assert "- data.more: (hidden, digest" in told
    for value in (PASSWORD, *encoded(password=PASSWORD, lost="lost").values()):
        assert value not in told
    assert '+ data: {"empty": ""' in told
    only = list(fields_changed(here.site, stored, Selection(("namespaces/todo/core/ConfigMap/n",))))
    assert only == [ObjectChange("namespaces/todo/core/ConfigMap/new", "leave")]


def test_it_is_applied_in_the_order_of_what_needs_what(
    place: Make, cluster: Cluster, start_cluster: Callable[..., Cluster]
) -> None:
    here = place()
    backup = here.back_up()
    second = start_cluster()
    here.turn_to(second)
    applied: list[str] = []

    def watch(request: Request) -> Trouble | None:
        if request.verb == "patch" and request.kind is not None and "dryRun" not in request.query:
            applied.append(request.kind.name)
        return None

    second.server.trouble = watch
    put_back(here, backup)
    steps = [step_of(kind) for kind in applied]
    assert steps == sorted(steps)
    assert len(set(steps)) > 8


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_when_one_would_be_refused_nothing_is_applied(place: Make, cluster: Cluster, kind: str) -> None:
    """Something that cannot be changed is in the way; of a Secret no value is told."""
    here = place()
    backup = here.back_up()
    damage(cluster)
    name = "settings" if kind == "ConfigMap" else "database"
    if cluster.has(f"core/{kind}", name):
        cluster.remove(f"core/{kind}", name)
    cluster.put("v1", kind, name, data=encoded(password="in-the-way"), immutable=True)
    revision = cluster.store.revision
    with pytest.raises(
        Refused, match=f"refuse 1 of the objects, so nothing was changed.*core/{kind}/{name}: 422 Invalid"
    ) as refused:
        put_back(here, backup)
    assert cluster.store.revision == revision
    assert here.aside == []
    assert PASSWORD not in str(refused.value)
    assert encoded(password=PASSWORD)["password"] not in str(refused.value)


def test_what_nobody_may_write_is_refused_before_anything_changes(place: Make, cluster: Cluster) -> None:
    here = place(restore_connection="cluster")
    backup = here.back_up()
    damage(cluster)
    revision = cluster.store.revision
    with pytest.raises(Refused, match=r"refuse 4 of the objects.*cannot patch"):
        put_back(here, backup)
    assert cluster.store.revision == revision


def test_a_custom_kind_without_its_definition_is_refused(place: Make, start_cluster: Callable[..., Cluster]) -> None:
    here = place()
    backup = here.back_up()
    second = start_cluster()
    here.turn_to(second)
    second.put("v1", "Namespace", "todo", None)
    revision = second.store.revision
    with pytest.raises(Refused, match="does not serve Component of dapr.io/v1alpha1; a custom kind needs its"):
        put_back(here, backup, "namespaces/todo/dapr.io/", "namespaces/todo/core/ConfigMap/")
    assert second.store.revision == revision
    second.remove("core/Namespace", "todo", None)
    with pytest.raises(Refused, match='namespaces "todo" not found'):
        put_back(here, backup, "namespaces/todo/core/ConfigMap/")


@pytest.mark.parametrize("kind", ["core/Namespace", "core/ConfigMap"])
def test_what_is_just_being_deleted_is_in_the_way(place: Make, cluster: Cluster, kind: str) -> None:
    here = place()
    backup = here.back_up()
    change = {"metadata": {"deletionTimestamp": "2026-11-21T00:00:00Z"}}
    if kind == "core/Namespace":
        cluster.change(kind, "todo", change, None)
    else:
        cluster.change(kind, "settings", change)
    with pytest.raises(Refused, match=f"so nothing was changed.*{kind}/.*: it is being deleted there"):
        put_back(here, backup)


def test_a_refusal_behind_new_definitions_names_what_was_made(
    place: Make, cluster: Cluster, start_cluster: Callable[..., Cluster]
) -> None:
    here = place()
    backup = here.back_up()
    second = start_cluster()
    here.turn_to(second)

    def trouble(request: Request) -> Trouble | None:
        is_component = request.kind is not None and request.kind.kind == "Component"
        return 422 if is_component and request.verb == "patch" else None

    second.server.trouble = trouble
    with pytest.raises(
        Refused, match=r"nothing was changed but cluster/apiext.*Namespace/todo.*Component/statestore: 422"
    ):
        put_back(here, backup)
    assert not second.has("core/ConfigMap", "settings")


def test_a_definition_that_is_never_served(
    place: Make, start_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.recovery.kubernetes.apply._ESTABLISHED_SECONDS", 0.5)
    here = place()
    backup = here.back_up()
    here.turn_to(start_cluster(establish_seconds=3600))
    with pytest.raises(SourceError, match="does not serve its kind after"):
        put_back(here, backup)


def test_a_server_that_goes_away_in_the_middle(place: Make, cluster: Cluster) -> None:
    here = place()
    backup, before = here.back_up(), here.live()
    damage(cluster)
    applied = 0

    def trouble(request: Request) -> Trouble | None:
        nonlocal applied
        if request.verb == "patch" and "dryRun" not in request.query:
            applied += 1
        return "cut" if applied > 2 else None

    cluster.server.trouble = trouble
    with pytest.raises(
        SourceUnavailable, match=r"broke off at .*, after 1 of 4 objects:.*put back again.*is in .*/aside/"
    ):
        put_back(here, backup)
    cluster.server.trouble = lambda _: None
    put_back(here, backup)
    cluster.remove("core/ConfigMap", "new")
    assert here.live() == before


def test_an_object_that_changes_meanwhile_is_read_again(place: Make, cluster: Cluster) -> None:
    here = place()
    backup = here.back_up()
    damage(cluster)
    raced = False

    def trouble(request: Request) -> Trouble | None:
        nonlocal raced
        merges = request.verb == "patch" and "force" not in request.query and "dryRun" not in request.query
        if merges and request.name == "web" and not raced:
            raced = True
            cluster.change("apps/Deployment", "web", {"metadata": {"labels": {"raced": "yes"}}})
        return None

    cluster.server.trouble = trouble
    done = put_back(here, backup)
    assert raced
    assert preview(here, backup) == [("unexpected", "namespaces/todo/core/ConfigMap/new")]
    assert not [note for note in done.notes if "differ" in note]


def test_what_the_cluster_makes_of_it_is_told(place: Make, cluster: Cluster) -> None:
    """As a mutating webhook does."""
    here = place()
    backup = here.back_up()
    cluster.remove("core/ConfigMap", "settings")
    fill = cluster.store.fill

    def webhook(kind: object, found: dict) -> None:  # type: ignore[type-arg]
        fill(kind, found)  # type: ignore[arg-type]
        if found["kind"] == "ConfigMap":
            found["data"]["injected"] = "yes"

    cluster.store.fill = webhook  # type: ignore[assignment]
    (note, *_) = put_back(here, backup, "namespaces/todo/core/ConfigMap/").notes
    assert note.endswith('made it differ from the backup: + data.injected: "yes"')


def test_it_needs_leave_for_just_this(place: Make, cluster: Cluster) -> None:
    here = place()
    backup = here.back_up()
    with pytest.raises(Refused, match="needs leave for just that"):
        here.verbs.put_back(here.workspace, backup, leave="depot/others")


def test_nothing_is_changed_when_nothing_can_be_kept_aside(place: Make, cluster: Cluster) -> None:
    here = place()
    (here.directory / "aside").write_text("a file is in the way")
    backup = here.back_up()
    damage(cluster)
    revision = cluster.store.revision
    with pytest.raises(LifeboatError, match="cannot be kept in .*, so nothing was changed"):
        put_back(here, backup)
    assert cluster.store.revision == revision


def test_a_wrong_token_is_refused(place: Make, cluster: Cluster) -> None:
    here = place(restore_connection="cluster")
    backup = here.back_up()
    here.turn_to(cluster, "wrong-token")
    with pytest.raises(InsufficientRights, match="does not accept the token") as refused:
        put_back(here, backup)
    assert "wrong-token" not in str(refused.value)
    assert TOKEN not in str(refused.value)
