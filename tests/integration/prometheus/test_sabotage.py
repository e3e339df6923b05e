"""What spoils a backup of Prometheus, and how each is told."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.recovery.content import scratch_process
from include.recovery.content.port import Selection
from include.recovery.errors import BackupCorrupt, InsufficientRights, Refused, SourceError, SourceUnavailable
from include.recovery.evidence.model import Outcome
from include.recovery.prometheus import exchange
from include.recovery.sources import prometheus as kind
from tests.fixtures.content import ContentPlace
from tests.integration.prometheus.conftest import Server
from tests.integration.prometheus.test_round_trip import left

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

Make = Callable[..., ContentPlace]


@pytest.fixture
def place(prometheus: Server, content_place: Make) -> ContentPlace:
    return content_place(prometheus.source(), connections=prometheus.connections)


def test_a_server_that_gives_no_snapshots_is_named_with_its_switch(prometheus: Server, place: ContentPlace) -> None:
    prometheus.stop()
    prometheus.options = []
    prometheus.start()

    for attempt in (place.back_up, lambda: place.verbs.precheck(place.workspace, place.system, place.source)):
        with pytest.raises(SourceError, match="start it with --web.enable-admin-api"):
            attempt()
    assert place.backups() == []


def test_a_server_that_is_gone_is_worth_another_try(prometheus: Server, place: ContentPlace) -> None:
    prometheus.stop()

    with pytest.raises(SourceUnavailable, match="does not answer"):
        place.back_up()


def test_another_servers_folder_is_refused_and_nothing_is_stored(
    prometheus: Server, content_place: Make, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    place = content_place(prometheus.source(data=str(other)), connections=prometheus.connections)

    with pytest.raises(SourceError, match="'data' in the policy is not its folder"):
        place.back_up()
    assert place.backups() == []


def test_a_folder_that_the_worker_does_not_see_is_refused(prometheus: Server, content_place: Make) -> None:
    place = content_place(prometheus.source(data="/nowhere/at/all"), connections=prometheus.connections)

    with pytest.raises(SourceError, match="no folder that this worker sees.*not fetched over the network"):
        place.back_up()


def test_snapshots_that_cannot_be_removed_are_not_taken(prometheus: Server, place: ContentPlace) -> None:
    place.back_up()
    (prometheus.data / "snapshots").chmod(0o500)

    with pytest.raises(InsufficientRights, match="may not remove snapshots"):
        place.back_up()

    (prometheus.data / "snapshots").chmod(0o755)
    assert left(prometheus) == []
    assert len(place.backups()) == 1


@pytest.mark.parametrize("what", ["unreadable", "socket", "stranger", "meta"])
def test_what_cannot_be_kept_is_named_and_the_snapshot_goes(
    prometheus: Server, place: ContentPlace, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    packed = kind.pack

    def spoil(folder: Path, to: Any) -> Any:
        block = next(folder.glob("01*"))
        if what == "unreadable":
            (block / "index").chmod(0)
        elif what == "socket":
            os.mkfifo(block / "pipe")
        elif what == "stranger":
            (folder / "notes").mkdir()
        else:
            (block / "meta.json").unlink()
            (block / "meta.json").write_text("{}")
        yield from packed(folder, to)

    monkeypatch.setattr(kind, "pack", spoil)
    said = {"unreadable": "index cannot be read", "socket": "pipe is no plain file", "stranger": "notes is no block",
            "meta": "its meta.json is damaged"}  # fmt: skip
    with pytest.raises(SourceError, match=said[what]):
        place.back_up()

    assert left(prometheus) == []
    assert place.backups() == []


def test_a_snapshot_that_a_killed_run_left_goes_with_the_next(prometheus: Server, place: ContentPlace) -> None:
    by_hand, ours = (prometheus.data / "snapshots" / name for name in ("by-hand", "20260101T000000Z-1"))
    for folder in (by_hand, ours):
        folder.mkdir(parents=True)
    ours.with_name(f"{ours.name}.lifeboat").touch()

    place.back_up()

    assert left(prometheus) == [by_hand], "what is somebody else's stays"


@pytest.mark.parametrize("how", ["changed", "missing", "added", "truncated"])
def test_a_copy_with_one_block_changed_missing_or_added_is_not_identical(
    prometheus: Server, place: ContentPlace, how: str
) -> None:
    backup = place.back_up()
    folder = place.copy(backup)
    block = min((folder / "blocks").iterdir())
    index = block / "index"
    if how == "changed":
        data = bytearray(index.read_bytes())
        data[len(data) // 2] ^= 1
        index.write_bytes(data)
    elif how == "truncated":
        index.write_bytes(index.read_bytes()[:-1])
    elif how == "missing":
        shutil.rmtree(block)
    else:
        (block / "planted").write_text("x")

    comparison = place.compare(backup, folder)

    (difference,) = comparison.differences
    assert (difference.object, difference.kind) == (block.name, "missing" if how == "missing" else "content")


def test_a_question_that_is_answered_wrongly_is_red(prometheus: Server, content_place: Make) -> None:
    questions = [
        {"name": "a million shops", "query": "count(count by (shop) (orders))", "before": "2h", "at_least": 1000000},
        {"name": "no such series", "query": "sum(nothing_like_it)", "at_least": 0},
        {"name": "many values", "query": "orders", "before": "2h", "at_least": 0},
        {"name": "no query", "query": "sum(", "at_least": 0},
    ]
    place = content_place(prometheus.source(questions=questions), connections=prometheus.connections)
    backup = place.back_up()

    checks = place.verbs.validate(place.workspace, backup, place.copy(backup))

    assert [check.outcome for check in checks] == [Outcome.PASSED, *[Outcome.FAILED] * 4]
    assert [check.found.split(",")[0] for check in checks[1:4]] == ["3", "nothing", "3 series"]
    assert "parse error" in checks[4].found


def test_a_copy_whose_blocks_a_server_cannot_open_answers_nothing(prometheus: Server, content_place: Make) -> None:
    questions = [{"name": "shops", "query": "count(count by (shop) (orders))", "before": "2h", "expect": 3}]
    place = content_place(prometheus.source(questions=questions), connections=prometheus.connections)
    backup = place.back_up()
    folder = place.copy(backup)
    for index in (folder / "blocks").glob("*/index"):
        index.write_bytes(b"no index")

    try:
        outcomes = [check.outcome for check in place.verbs.validate(place.workspace, backup, folder)]
    except Exception as error:  # either is red
        assert "does not start" in str(error)  # noqa: PT017
    else:
        assert outcomes[-1] is Outcome.FAILED


def test_a_damaged_part_is_named_and_nothing_is_put_back(prometheus: Server, place: ContentPlace) -> None:
    backup = place.back_up()
    prometheus.stop()
    before = sorted(prometheus.data.iterdir())
    (part,) = (each for each in backup.manifest.parts if each.name == "blocks")
    (stored,) = (place.directory / "primary").rglob(part.volumes[0].key.rsplit("/", 1)[1])
    data = stored.read_bytes()
    stored.chmod(0o600)
    stored.write_bytes(data[: len(data) // 2])

    for attempt in (lambda: place.copy(backup),
                    lambda: place.verbs.put_back(place.workspace, backup, leave=place.site.name)):  # fmt: skip
        with pytest.raises(BackupCorrupt):
            attempt()

    assert sorted(prometheus.data.iterdir()) == before
    assert sorted(path.name for path in prometheus.folder.iterdir() if "restoring" in path.name) == []
    stored.unlink()
    with pytest.raises(BackupCorrupt, match="is missing"):
        place.copy(backup)


def test_putting_back_under_a_running_server_is_refused(
    prometheus: Server, content_place: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = {"depot_prometheus": {"conn_type": "http", "host": f"http://127.0.0.1:{scratch_process.free_port()}"}}
    place = content_place(prometheus.source(), connections=prometheus.connections)
    backup = place.back_up()

    with pytest.raises(Refused, match="still answers; stop it"):
        place.verbs.put_back(place.workspace, backup, leave=place.site.name)
    # Also when its address is wrong: its open files tell, and its lock where it makes one.
    (tmp_path / "connections.json").write_text(json.dumps(elsewhere))
    with pytest.raises(Refused, match=r"process \d+ has .*/data/.* open, so the server runs"):
        place.verbs.put_back(place.workspace, backup, leave=place.site.name)
    prometheus.stop()
    prometheus.options.append("--storage.tsdb.use-lockfile")
    prometheus.start()
    monkeypatch.setattr(exchange, "_users", lambda data: ())
    with pytest.raises(Refused, match=r"lock is held"):
        place.verbs.put_back(place.workspace, backup, leave=place.site.name)
    with pytest.raises(Refused, match="go back all together"):
        place.verbs.put_back(place.workspace, backup, leave=place.site.name, only=Selection(("01",)))


def test_a_server_that_ends_in_the_middle_fails_nothing_that_is_on_disk(
    prometheus: Server, place: ContentPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot is complete once it is named: what follows needs no server."""
    packed = kind.pack

    def then(folder: Path, to: Any) -> Any:
        scratch_process.end(prometheus.folder, grace=0)
        yield from packed(folder, to)

    monkeypatch.setattr(kind, "pack", then)
    backup = place.back_up()

    assert place.compare(backup, place.copy(backup)).identical
    assert left(prometheus) == []
