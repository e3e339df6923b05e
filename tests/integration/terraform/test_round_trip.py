"""Real states: backed up, damaged, restored, put back; then Terraform itself plans no change."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.recovery.content.port import Selection
from include.recovery.evidence.model import Outcome
from tests.fixtures.content import ContentPlace
from tests.integration.terraform.conftest import Bucket, Project

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

Make = Callable[..., ContentPlace]
ADDRESSES = {
    'module.inner.terraform_data.deep[0]', "terraform_data.counted[0]", "terraform_data.counted[1]",
    'terraform_data.many["a"]', 'terraform_data.many["b c"]', 'terraform_data.many["ü"]', "terraform_data.one",
}  # fmt: skip


def file_source(path: Path, **more: Any) -> dict[str, Any]:
    return {"kind": "terraform", "backend": {"type": "file", "path": str(path)}, "lock_wait": "1s", **more}


def s3_source(bucket: Bucket) -> dict[str, Any]:
    backend = {"type": "s3", "connection": "depot_s3", "bucket": bucket.store.bucket, "key": bucket.key}
    return {"kind": "terraform", "backend": backend, "lock_wait": "1s"}


@pytest.mark.demand("A4")
def test_a_state_in_a_bucket_comes_back_and_terraform_plans_no_change(
    project: Project, bucket: Bucket, in_s3: Callable[[], None], content_place: Make
) -> None:
    in_s3()
    place = content_place(s3_source(bucket), connections={"depot_s3": bucket.as_json})
    assert "a bucket with versions" in place.verbs.precheck(place.workspace, place.system, place.source)
    before = bucket.state()

    backup, folder = place.prove()

    assert {item.name for item in place.impl.items(place.site, folder)} == {
        *ADDRESSES, "checks", "lineage", "outputs", "serial",
    }  # fmt: skip
    assert backup.manifest.lsn == f"{before['lineage']}/{before['serial']}"
    assert json.loads((folder / "terraform.tfstate").read_text()) == before
    project.apply(size=2)
    damaged = bucket.state()
    assert project.changes_planned(size=1)

    done = place.verbs.put_back(place.workspace, backup, leave=place.site.name)

    now = bucket.state()
    assert now["serial"] == damaged["serial"] + 1
    assert now["resources"] == before["resources"]
    assert not project.changes_planned(size=1)
    version = done.aside.rsplit(" ", 1)[1]
    assert json.loads(bucket.store.get(bucket.key, version)[0]) == damaged
    assert not [info.key for info in bucket.store.list("") if info.key.endswith(".tflock")]
    project.apply(size=3)  # Terraform goes on writing


@pytest.mark.demand("A4")
def test_a_state_in_a_file_comes_back_and_terraform_plans_no_change(
    project: Project, in_file: Path, content_place: Make
) -> None:
    place = content_place(file_source(in_file))
    in_file.chmod(0o640)

    backup, folder = place.prove()
    checks = place.verbs.validate(place.workspace, backup, folder)

    assert [check.outcome for check in checks] == [Outcome.PASSED, Outcome.PASSED]
    assert checks[1].found == "7 instances"
    project.apply(size=2)
    damaged = in_file.read_bytes()
    assert {change.name for change in place.verbs.preview(place.workspace, backup)} == {
        "serial", "terraform_data.one", 'terraform_data.many["a"]', 'terraform_data.many["b c"]',
        'terraform_data.many["ü"]',
    }  # fmt: skip

    done = place.verbs.put_back(place.workspace, backup, leave=place.site.name)

    assert (done.changed, Path(done.aside).read_bytes()) == (5, damaged)
    assert not project.changes_planned(size=1)
    assert stat.S_IMODE(in_file.stat().st_mode) == stat.S_IMODE(Path(done.aside).stat().st_mode) == 0o640
    again = place.verbs.put_back(place.workspace, backup, leave=place.site.name)
    assert (again.changed, again.aside) == (0, "nothing: it holds what the backup holds")


def test_a_lost_state_comes_back(project: Project, in_file: Path, content_place: Make) -> None:
    place = content_place(file_source(in_file))
    backup = place.back_up()
    in_file.unlink()

    done = place.verbs.put_back(place.workspace, backup, leave=place.site.name)

    assert done.aside == "nothing: there was no state"
    assert not project.changes_planned()


def test_a_truncated_present_state_is_kept_and_replaced(project: Project, in_file: Path, content_place: Make) -> None:
    place = content_place(file_source(in_file))
    backup = place.back_up()
    in_file.write_bytes(in_file.read_bytes()[:-100])

    done = place.verbs.put_back(place.workspace, backup, leave=place.site.name)

    assert "no whole JSON" in done.notes[0]
    assert Path(done.aside).exists()
    assert not project.changes_planned()


def test_a_selection_is_compared_alone(in_file: Path, content_place: Make) -> None:
    place = content_place(file_source(in_file))
    only = Selection(("terraform_data.many",))
    backup = place.back_up()

    found = place.compare(backup, place.copy(backup, only), only)

    assert (found.identical, found.compared_rows) == (True, 3)


def test_no_value_is_in_the_manifest(in_file: Path, content_place: Make) -> None:
    place = content_place(file_source(in_file))

    backup, folder = place.prove()

    assert "hunter2" not in backup.manifest.model_dump_json()
    assert stat.S_IMODE((folder / "terraform.tfstate").stat().st_mode) == 0o600
    for stored in (place.directory / "primary").rglob("*"):
        if stored.is_file():
            assert b"hunter2" not in stored.read_bytes()


def test_an_unchanged_state_needs_no_new_backup(project: Project, in_file: Path, content_place: Make) -> None:
    place = content_place(file_source(in_file))
    backup = place.back_up()

    same = place.verbs.unchanged(place.workspace, place.system, place.source)
    project.apply(size=2)

    assert same is not None
    assert same.backup.manifest.id == backup.manifest.id
    assert place.verbs.unchanged(place.workspace, place.system, place.source) is None
