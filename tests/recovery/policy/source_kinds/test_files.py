"""The policy of files: what is wrong in it is wrong when it is read, by name."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from include.recovery.policy.source_kinds.files import FilesSource

QUIESCE = {"before": [["docker", "pause", "app"]], "after": [["docker", "unpause", "app"]]}


def source(*paths: str, **more: Any) -> FilesSource:
    return FilesSource.model_validate({"name": "conf", "kind": "files", "data_class": "all", "paths": paths, **more})


def test_folders_and_files_beside_each_other_are_fine() -> None:
    assert source("/etc/nginx", "/etc/nginx-old", "/etc/ssl/cert.pem", "/srv/app/.env").live_paths == ()


@pytest.mark.parametrize("path", ["etc/nginx", "/", "/etc/", "/etc//nginx", "/etc/../root", "/etc/./x", "~/x"])
def test_paths_are_plain_and_absolute(path: str) -> None:
    with pytest.raises(ValidationError, match="allowed is an absolute path"):
        source(path)


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (("/etc", "/etc/nginx"), "found '/etc/nginx' inside '/etc'"),
        (("/a/b/c", "/a-b", "/a"), "found '/a/b/c' inside '/a'"),
        (("/etc", "/etc"), "found '/etc' twice"),
    ],
)
def test_no_path_is_inside_another(paths: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        source(*paths)


@pytest.mark.demand("L13")
@pytest.mark.parametrize(
    "path",
    ["/var/lib/docker/volumes", "/var/lib/docker/volumes/app/_data", "/var/lib/docker", "/var/lib/kubelet/pods/1"],
)
def test_volumes_of_containers_are_live_and_refused_by_name_unless_quiesced(path: str) -> None:
    with pytest.raises(ValidationError, match=f"found {path}, which running programs write to, and no quiesce"):
        source("/etc/nginx", path)
    assert source("/etc/nginx", path, quiesce=QUIESCE).live_paths == (path,)


@pytest.mark.demand("L13")
def test_a_path_that_the_policy_calls_live_needs_quiesce() -> None:
    with pytest.raises(ValidationError, match="found /srv/app/data, which running programs write to"):
        source("/srv/app/data", "/etc/nginx", live=["/srv/app/data"])
    assert source("/srv/app/data", live=["/srv/app/data"], quiesce=QUIESCE).live_paths == ("/srv/app/data",)


def test_only_paths_of_the_source_can_be_live() -> None:
    with pytest.raises(ValidationError, match="found '/srv/other' in live; allowed are those of paths: /srv/app"):
        source("/srv/app", live=["/srv/other"], quiesce=QUIESCE)


def test_commands_are_lists_of_words() -> None:
    with pytest.raises(ValidationError):
        source("/srv/app", quiesce=QUIESCE | {"before": ["docker pause app"]})
