"""What spoils a backup of a state, and how each is told."""

from __future__ import annotations

import fcntl
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from include.recovery.content.port import Selection
from include.recovery.errors import BackupCorrupt, Refused, SourceError, SourceUnavailable, StoreError
from include.recovery.evidence.model import Outcome
from tests.fixtures.content import ContentPlace
from tests.integration.terraform.conftest import Bucket, Project
from tests.integration.terraform.test_round_trip import file_source, s3_source

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

Make = Callable[..., ContentPlace]
LOCK = json.dumps({"ID": "x", "Operation": "OperationTypeApply", "Who": "ada@desk", "Created": "2026-11-21T10:00:00Z"})


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_truncated_state_is_no_backup(in_file: Path, content_place: Make) -> None:
    place = content_place(file_source(in_file))
    in_file.write_bytes(in_file.read_bytes()[:-50])

    with pytest.raises(SourceError, match="no whole JSON") as error:
        place.back_up()

    assert "hunter2" not in str(error.value)
    assert place.backups() == []


def test_a_lock_is_waited_for_and_then_named(in_file: Path, content_place: Make) -> None:
    """A POSIX lock is one of a process, so another one holds it."""
    place = content_place(file_source(in_file))
    (in_file.parent / f".{in_file.name}.lock.info").write_text(LOCK)
    with other_process_locks(in_file) as free:
        with pytest.raises(SourceUnavailable, match=r"locked by ada@desk for OperationTypeApply since 2026.*1 s that"):
            place.back_up()
        threading.Timer(0.3, free).start()
        place.back_up()


class other_process_locks:  # noqa: N801  read as a sentence
    """Holds Terraform's lock from a process of its own."""

    def __init__(self, path: Path) -> None:
        import subprocess
        import sys

        code = (
            "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX); "
            "print('held', flush=True); input()"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def __enter__(self) -> Callable[[], None]:
        def free() -> None:
            self.process.communicate("\n")

        return free

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


def test_putting_back_holds_the_lock_that_terraform_heeds(
    project: Project, in_file: Path, content_place: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from include.recovery.terraform.file_state import FileState

    place = content_place(file_source(in_file))
    backup = place.back_up()
    project.apply(size=2)
    said: list[str] = []
    keep_aside = FileState.keep_aside

    def while_terraform_tries(state: FileState, now: object) -> str:
        said.append(project.run("apply", "-auto-approve", "-input=false", "-no-color", "-var=size=9", fine=(1,))[1])
        return keep_aside(state, now)  # type: ignore[arg-type]

    monkeypatch.setattr(FileState, "keep_aside", while_terraform_tries)
    place.verbs.put_back(place.workspace, backup, leave=place.site.name)

    assert said
    assert not project.changes_planned(size=1)
    with in_file.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # free again


def test_another_lineage_is_never_overwritten(in_file: Path, content_place: Make) -> None:
    place = content_place(file_source(in_file))
    backup = place.back_up()
    rewrite(in_file, lineage="00000000-0000-0000-0000-000000000000")
    before = in_file.read_bytes()

    with pytest.raises(Refused, match="of lineage 00000000.*another state is never overwritten"):
        place.verbs.put_back(place.workspace, backup, leave=place.site.name)

    assert in_file.read_bytes() == before


def test_a_serial_that_goes_back_and_another_lineage_are_noted(in_file: Path, content_place: Make) -> None:
    place = content_place(file_source(in_file))
    first = place.back_up()
    serial = json.loads(in_file.read_text())["serial"]
    rewrite(in_file, serial=serial - 1)
    back = place.back_up()
    rewrite(in_file, lineage="another-one", serial=serial + 5)
    other = place.back_up()

    assert first.manifest.note is None
    assert f"serial is {serial - 1}, and was {serial} in backup {first.manifest.id}" in str(back.manifest.note)
    assert "lineage is another-one, and was " in str(other.manifest.note)


@pytest.mark.parametrize("how", ["changed", "missing", "added"])
def test_a_copy_with_one_resource_changed_missing_or_added_is_not_identical(
    in_file: Path, content_place: Make, how: str
) -> None:
    place = content_place(file_source(in_file))
    backup = place.back_up()
    folder = place.copy(backup)
    file = folder / "terraform.tfstate"
    state = json.loads(file.read_text())
    (one,) = (each for each in state["resources"] if each["name"] == "one")
    if how == "changed":
        one["instances"][0]["attributes"]["input"]["value"] = "another"
    elif how == "missing":
        state["resources"].remove(one)
    else:
        state["resources"].append({**one, "name": "zero"})
    file.write_text(json.dumps(state))

    comparison = place.compare(backup, folder)

    (difference,) = comparison.differences
    kinds = {"changed": "content", "missing": "missing", "added": "unexpected"}
    named = "terraform_data.zero" if how == "added" else "terraform_data.one"
    assert (difference.kind, difference.object) == (kinds[how], named)


def test_a_copy_that_terraform_cannot_read_is_no_proof(project: Project, in_file: Path, content_place: Make) -> None:
    """What Terraform says counts beside our own look."""
    place = content_place(file_source(in_file))
    backup = place.back_up()
    folder = place.copy(backup)
    file = folder / "terraform.tfstate"
    file.write_text(file.read_text().replace("terraform.io/builtin/terraform", "no such/provider/address/at/all"))

    checks = place.verbs.validate(place.workspace, backup, folder)

    assert checks[1].outcome is Outcome.FAILED


def test_a_damaged_part_is_named_and_nothing_is_put_back(in_file: Path, content_place: Make) -> None:
    place = content_place(file_source(in_file))
    backup = place.back_up()
    (part,) = (each for each in backup.manifest.parts if each.name == "state")
    (stored,) = (place.directory / "primary").rglob(part.volumes[0].key.rsplit("/", 1)[1])
    data = stored.read_bytes()
    stored.chmod(0o600)
    stored.write_bytes(data[:-40] + bytes(8) + data[-32:])
    in_file.write_text("{}")

    for attempt in (lambda: place.copy(backup),
                    lambda: place.verbs.put_back(place.workspace, backup, leave=place.site.name)):  # fmt: skip
        with pytest.raises(BackupCorrupt):
            attempt()
    assert in_file.read_text() == "{}"


def test_a_state_that_is_gone_or_unreadable_is_named(in_file: Path, content_place: Make) -> None:
    place = content_place(file_source(in_file))
    in_file.chmod(0)
    with pytest.raises(SourceError, match="may not be read"):
        place.verbs.precheck(place.workspace, place.system, place.source)
    in_file.chmod(0o600)
    in_file.unlink()
    with pytest.raises(SourceError, match="does not exist"):
        place.back_up()
    assert place.backups() == []


def test_putting_back_a_part_of_it_is_refused(in_file: Path, content_place: Make) -> None:
    place = content_place(file_source(in_file))
    backup = place.back_up()

    with pytest.raises(Refused, match="goes back as a whole"):
        place.verbs.put_back(place.workspace, backup, leave=place.site.name, only=Selection(("terraform_data.one",)))


def test_what_a_bucket_can_spoil(
    project: Project, bucket: Bucket, in_s3: Callable[[], None], content_place: Make
) -> None:
    """One project, as beginning it costs most of the time."""
    in_s3()
    place = content_place(s3_source(bucket), connections={"depot_s3": bucket.as_json})
    backup = place.back_up()

    # Locked: waited for, then named; and a lock that came a moment before ours wins, whatever the service heeds.
    bucket.store.put(f"{bucket.key}.tflock", LOCK.encode())
    for attempt in (place.back_up,
                    lambda: place.verbs.put_back(place.workspace, backup, leave=place.site.name)):  # fmt: skip
        began = time.monotonic()
        with pytest.raises(SourceUnavailable, match="locked by ada@desk"):
            attempt()
        assert time.monotonic() - began >= 1
    bucket.store.delete(f"{bucket.key}.tflock")
    project.run("plan", "-lock-timeout=1s", "-input=false", "-no-color")

    # Deleted: no backup, and it comes back.
    bucket.store.delete(bucket.key)
    with pytest.raises(SourceError, match="does not exist"):
        place.back_up()
    place.verbs.put_back(place.workspace, backup, leave=place.site.name)
    assert not project.changes_planned()

    # Versions switched off: refused before anything is read or written.
    bucket.store.client.put_bucket_versioning(
        Bucket=bucket.store.bucket, VersioningConfiguration={"Status": "Suspended"}
    )
    with pytest.raises(SourceError, match="keeps no versions"):
        place.verbs.precheck(place.workspace, place.system, place.source)
    with pytest.raises(SourceError, match="keeps no versions"):
        place.verbs.put_back(place.workspace, backup, leave=place.site.name)
    assert len(place.backups()) == 1


def test_a_lock_that_came_first_wins_over_ours(bucket: Bucket) -> None:
    """radosgw writes ours in spite of If-None-Match; the versions tell who was first."""
    from datetime import UTC, datetime

    from include.recovery.terraform.backend import LockedError
    from include.recovery.terraform.s3_state import S3State

    state = S3State(bucket.store, "a")
    before = state._must_be_free
    calls: list[int] = []

    def then_somebody_locks() -> None:
        before()
        if not calls:
            calls.append(1)
            bucket.store.put("a.tflock", LOCK.encode())

    state._must_be_free = then_somebody_locks  # type: ignore[method-assign]
    with pytest.raises(LockedError, match="ada@desk"), state.locked(datetime.now(UTC)):
        pytest.fail("two hold one lock")
    (left,) = bucket.store.versions("a.tflock")
    assert bucket.store.get("a.tflock", left.id)[0] == LOCK.encode()


def test_a_wrong_secret_key_is_named_without_being_shown(bucket: Bucket, content_place: Make) -> None:
    place = content_place(
        s3_source(bucket), connections={"depot_s3": bucket.as_json | {"password": "wrong-secret-key"}}
    )

    with pytest.raises(StoreError, match="SignatureDoesNotMatch") as error:
        place.back_up()

    assert "wrong-secret-key" not in str(error.value)
