"""What goes wrong while a backup is taken or restored is red for the right reason, and nothing looks whole then."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from include.lab.kubernetes_answers import Request
from include.lab.kubernetes_api import Rule, Trouble
from include.recovery.catalog.model import ProofLevel
from include.recovery.errors import BackupCorrupt, InsufficientRights, KeyUnavailable, SourceError, SourceUnavailable
from include.recovery.jobs import Stopped
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from tests.fixtures.kubectl import server_tls
from tests.integration.kubernetes.conftest import TOKEN, Cluster, KubernetesPlace

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
Make = Callable[..., KubernetesPlace]


def fails(place: KubernetesPlace, error: type[Exception], why: str) -> None:
    """A backup fails for this reason, and there is none."""
    with pytest.raises(error, match=why) as failed:
        place.back_up()
    assert TOKEN not in str(failed.value)
    assert place.backups() == []


def at(kind: str, trouble: Trouble, *, from_page: int = 1, verb: str = "list") -> Callable[[Request], Trouble | None]:
    """Trouble with one kind, from a page on."""
    seen = 0

    def found(request: Request) -> Trouble | None:
        nonlocal seen
        if request.kind is None or request.kind.name != kind or request.verb != verb:
            return None
        seen += 1
        return trouble if seen >= from_page else None

    return found


def many(cluster: Cluster, count: int = 5) -> None:
    for number in range(count):
        cluster.put("v1", "ConfigMap", f"many-{number}", data={"n": str(number)})


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.recovery.kubernetes.client.PAGE", 2)


def test_a_server_that_is_gone(place: Make, cluster: Cluster) -> None:
    here = place()
    cluster.stop()
    fails(here, SourceUnavailable, r"connection cluster went away or does not answer \(ConnectError: .*refused")


def test_a_server_that_goes_away_in_the_middle_of_a_list(place: Make, cluster: Cluster, small_pages: None) -> None:
    many(cluster)
    here = place()
    cluster.server.trouble = at("core/ConfigMap", "cut", from_page=3)
    fails(here, SourceUnavailable, "while core/ConfigMap in namespace todo was asked for")


@pytest.mark.parametrize("kind", ["core/Secret", "dapr.io/Component", "rbac.authorization.k8s.io/ClusterRole"])
def test_a_kind_that_may_not_be_listed(place: Make, cluster: Cluster, kind: str) -> None:
    """Never a shorter export."""
    kinds = [each.name for each in cluster.store.kinds() if each.name != kind]
    cluster.server.rights.tokens[TOKEN][:] = [Rule(kinds=tuple(kinds))]  # type: ignore[index]
    here = place()
    with pytest.raises(InsufficientRights, match=f"lists are refused: .*refuses {kind}"):
        here.verbs.precheck(here.workspace, here.system, here.source)
    fails(here, InsufficientRights, f"refuses {kind} in .*cannot list resource")


def test_all_that_is_refused_is_told_at_once(place: Make, cluster: Cluster) -> None:
    cluster.server.rights.tokens[TOKEN][:] = [Rule(kinds=("core/*",))]  # type: ignore[index]
    here = place()
    with pytest.raises(InsufficientRights) as refused:
        here.verbs.precheck(here.workspace, here.system, here.source)
    for kind in (
        "apps/Deployment in namespace todo",
        "apps/Deployment in namespace dapr-system",
        "ClusterRole in the cluster",
    ):
        assert kind in str(refused.value)


@pytest.mark.parametrize("status", [404, 405])
def test_a_kind_that_is_there_and_cannot_be_listed(place: Make, cluster: Cluster, status: int) -> None:
    here = place()
    cluster.server.trouble = at("dapr.io/Component", status)
    fails(here, SourceError, f"says that it has dapr.io/Component and does not list it \\({status} Trouble\\)")


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble(place: Make, cluster: Cluster, status: int) -> None:
    here = place()
    cluster.server.trouble = at("dapr.io/Component", status)
    fails(here, SourceUnavailable, f"answers {status} to dapr.io/Component")


def test_a_server_that_is_busy_for_a_moment_is_asked_again(place: Make, cluster: Cluster) -> None:
    here = place()
    busy = iter([429, 429])
    cluster.server.trouble = lambda request: next(busy, None) if request.verb == "list" else None
    here.prove()


def test_a_group_that_does_not_answer(place: Make, cluster: Cluster) -> None:
    """What it has, nobody knows; so it is excluded by name, or the backup is red."""
    here = place()
    cluster.server.trouble = lambda request: 503 if request.path == "/apis/policy/v1" else None
    fails(here, SourceUnavailable, r"policy/v1 does not say which kinds it has .*exclude policy/\*")


def test_a_group_that_does_not_answer_can_be_excluded(place: Make, cluster: Cluster) -> None:
    here = place(exclude=[{"kind": "policy/*", "why": "its server is broken"}])
    cluster.server.trouble = lambda request: 503 if request.path == "/apis/policy/v1" else None
    backup, _ = here.prove()
    assert {row.what: row.why for row in backup.manifest.left_out}["policy/*"] == "its server is broken"


def test_a_broken_server_of_metrics_is_nobodys_concern(place: Make, cluster: Cluster) -> None:
    here = place()
    cluster.server.trouble = lambda request: 503 if request.path == "/apis/metrics.k8s.io/v1beta1" else None
    backup, _ = here.prove()
    assert "metrics.k8s.io/*" in {row.what for row in backup.manifest.left_out}


def test_a_server_that_nobody_vouches_for(place: Make, start_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    tls, _ = server_tls(tmp_path / "tls")
    here = place()
    here.turn_to(start_cluster(tls=tls))
    fails(here, SourceUnavailable, "CERTIFICATE_VERIFY_FAILED")


def test_a_wrong_token(place: Make, cluster: Cluster) -> None:
    here = place()
    here.turn_to(cluster, "wrong-token")
    fails(here, InsufficientRights, "does not accept the token")


def test_a_namespace_that_is_not_there(place: Make) -> None:
    fails(place(namespaces=["todo", "tod0", "x-*"]), SourceError, r"has no namespace tod0, x-\*; correct")


def test_an_object_that_changes_between_pages(place: Make, cluster: Cluster, small_pages: None) -> None:
    """All pages of a list are of one moment: the one at which it was begun."""
    many(cluster)
    here = place()
    calls = 0

    def change(request: Request) -> Trouble | None:
        nonlocal calls
        if request.kind is not None and request.kind.kind == "ConfigMap" and request.namespace == "todo":
            calls += 1
            if calls == 2:
                cluster.change("core/ConfigMap", "many-4", {"data": {"n": "later"}})
                cluster.put("v1", "ConfigMap", "zz-new", data={})
                cluster.remove("core/ConfigMap", "settings")
        return None

    cluster.server.trouble = change
    _, folder = here.prove()
    maps = folder / "namespaces/todo/core/ConfigMap"
    assert '"n": "4"' in (maps / "many-4.yaml").read_text()
    assert (maps / "settings.yaml").exists()
    assert not (maps / "zz-new.yaml").exists()


@pytest.mark.parametrize("forever", [False, True])
def test_a_moment_that_is_forgotten_between_pages(
    place: Make, cluster: Cluster, small_pages: None, forever: bool
) -> None:
    """410 Gone: the list is begun again, and given up when that never ends."""
    many(cluster)
    here = place()
    calls = 0

    def forget(request: Request) -> Trouble | None:
        nonlocal calls
        if request.kind is not None and request.kind.kind == "ConfigMap" and "continue" in request.query:
            calls += 1
            if calls == 1 or forever:
                cluster.change("core/ConfigMap", "many-4", {"data": {"n": f"later-{calls}"}})
                cluster.store.compact()
        return None

    cluster.server.trouble = forget
    if forever:
        fails(here, SourceError, "ConfigMap in namespace todo lost its moment 4 times")
    else:
        _, folder = here.prove()
        names = sorted(path.stem for path in (folder / "namespaces/todo/core/ConfigMap").iterdir())
        assert names == [*(f"many-{number}" for number in range(5)), "settings"]
        assert "later-1" in (folder / "namespaces/todo/core/ConfigMap/many-4.yaml").read_text()


def test_a_page_of_another_moment(place: Make, cluster: Cluster, small_pages: None) -> None:
    """A server that goes on with what is there now: never half of one moment and half of another."""
    many(cluster)
    here = place()
    drifted = False

    def drift(request: Request) -> Trouble | None:
        nonlocal drifted
        if (
            request.kind is not None
            and request.kind.kind == "ConfigMap"
            and "continue" in request.query
            and not drifted
        ):
            drifted = True
            cluster.change("core/ConfigMap", "many-0", {"data": {"n": "later"}})
            cluster.change("core/ConfigMap", "many-4", {"data": {"n": "later"}})
            moment = json.loads(base64.urlsafe_b64decode(request.query["continue"]))
            moment["revision"] = cluster.store.revision
            request.query["continue"] = base64.urlsafe_b64encode(json.dumps(moment).encode()).decode()  # type: ignore[index]
        return None

    cluster.server.trouble = drift
    _, folder = here.prove()
    maps = folder / "namespaces/todo/core/ConfigMap"
    assert ["later" in (maps / f"many-{number}.yaml").read_text() for number in (0, 4)] == [True, True]


def test_a_namespace_that_is_removed_meanwhile(place: Make, cluster: Cluster) -> None:
    here = place()
    asked = 0

    def remove(request: Request) -> Trouble | None:
        nonlocal asked
        if request.kind is not None and request.kind.kind == "Namespace" and request.name == "todo":
            asked += 1
            if asked == 2:
                cluster.remove("core/Namespace", "todo", None)
        return None

    cluster.server.trouble = remove
    fails(here, SourceError, "Namespace todo in the cluster was removed while it was being backed up")


def test_work_that_is_stopped_leaves_no_backup(place: Make) -> None:
    here = place()
    site = here.site
    site.stop.set()
    with pytest.raises(Stopped):
        list(here.impl.live_items(site))


def stored_files(place: KubernetesPlace) -> list[Path]:
    return sorted(
        path for path in (place.directory / "primary").rglob("*") if path.is_file() and "/parts/" in str(path)
    )


@pytest.mark.parametrize("part", ["resources", "inventory"])
@pytest.mark.parametrize("how", ["truncated", "damaged", "missing"])
def test_a_part_that_is_not_as_it_was_written(place: Make, part: str, how: str) -> None:
    here = place()
    backup = here.back_up()
    (path, *_) = (path for path in stored_files(here) if f"/{part}." in str(path))
    content = path.read_bytes()
    match how:
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "damaged":
            path.write_bytes(content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])
        case _:
            path.unlink()
    with pytest.raises(BackupCorrupt):
        here.compare(backup, here.copy(backup))
    assert here.again(backup.manifest.id).level is ProofLevel.STORED


def test_a_wrong_key(place: Make) -> None:
    here = place()
    backup = here.back_up()
    pem = generate_private_key(65537, 4096).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    here.workspace.ring = Keyring([EscrowWrapper(private_key_pem=pem.decode())])
    with pytest.raises(KeyUnavailable):
        here.copy(backup)
    assert not list(here.directory.glob("copy-*"))
