"""Files of a host that the worker sees somewhere else than at its own root, as the host's connection says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from include.recovery.errors import SourceError
from include.recovery.evidence.model import Outcome
from tests.fixtures.content import ContentPlace

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
Make = Callable[..., ContentPlace]


@pytest.fixture
def host(tmp_path: Path) -> Path:
    host = tmp_path / "hosts" / "labdojo"
    (host / "etc" / "nginx").mkdir(parents=True)
    (host / "etc" / "nginx" / "nginx.conf").write_text("events {}\n")
    (host / "srv" / "cache").mkdir(parents=True)
    (host / "srv" / "cache" / "page").write_text("rebuilt on start")
    return host


def source(**more: object) -> dict[str, object]:
    check = {"name": "the web server has its file", "argv": ["grep", "-q", "events", "{copy}/etc/nginx/nginx.conf"]}
    leave = [{"path": "cache*", "why": "rebuilt on start"}]
    return {
        "kind": "files", "paths": ["/etc/nginx", "/srv"], "host_connection": "labdojo_host", "checks": [check],
        "exclude": leave, **more,
    }  # fmt: skip


def test_paths_of_a_host_are_backed_up_restored_asked_and_put_back(host: Path, content_place: Make) -> None:
    place = content_place(source(), connections={"labdojo_host": {"extra": {"root": f"{host}/"}}})
    assert "3 files and folders" in place.verbs.precheck(place.workspace, place.system, place.source)
    backup, folder = place.prove()
    names = [item.name for item in place.impl.live_items(place.site)]
    assert names == [f"{host}{path}" for path in ("/etc/nginx", "/etc/nginx/nginx.conf", "/srv")]
    (check,) = place.verbs.validate(place.workspace, backup, folder)
    assert check.outcome is Outcome.PASSED
    assert place.verbs.unchanged(place.workspace, place.system, place.source) is not None

    (host / "etc" / "nginx" / "nginx.conf").write_text("broken\n")
    assert place.verbs.unchanged(place.workspace, place.system, place.source) is None
    done = place.verbs.put_back(place.workspace, backup, leave=place.site.name)
    assert done.changed == 1
    assert (host / "etc" / "nginx" / "nginx.conf").read_text() == "events {}\n"
    assert str(host) in done.aside


@pytest.mark.parametrize("root", [None, "relative", "/no/such/mount"])
def test_a_host_that_is_not_there_is_named_and_nothing_is_backed_up(
    root: str | None, host: Path, content_place: Make
) -> None:
    """An empty backup of an unmounted host would be the worst of all."""
    place = content_place(source(), connections={"labdojo_host": {"extra": {"root": root} if root else {}}})
    for attempt in (lambda: place.verbs.precheck(place.workspace, place.system, place.source), place.back_up):
        with pytest.raises(SourceError, match=r"depot/main: connection 'labdojo_host' has .* mount them there"):
            attempt()
    assert place.backups() == []


def test_a_host_that_is_unmounted_between_two_backups_is_no_change(host: Path, content_place: Make) -> None:
    place = content_place(source(), connections={"labdojo_host": {"extra": {"root": str(host)}}})
    place.back_up()
    host.rename(host.with_name("elsewhere"))
    with pytest.raises(SourceError, match="must be the absolute path"):
        place.verbs.unchanged(place.workspace, place.system, place.source)
    host.mkdir()
    with pytest.raises(SourceError, match=f"missing: .*{json.dumps(str(host))[1:-1]}/etc/nginx"):
        place.back_up()
    assert len(place.backups()) == 1
