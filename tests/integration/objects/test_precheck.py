"""What would keep a backup from being one is named before it is taken."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from include.recovery.errors import InsufficientRights, LifeboatError, SourceError, SourceUnavailable
from include.recovery.objects.bucket import Bucket
from tests.integration.objects.conftest import Uploads, Wire

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def precheck(uploads: Uploads) -> str:
    return uploads.place.verbs.precheck(uploads.place.workspace, uploads.place.system, uploads.place.source)


def expire(bucket: Bucket, days: int) -> None:
    rule = {
        "ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": days},
    }  # fmt: skip

    def with_md5(params: dict[str, Any], **_: Any) -> None:  # radosgw insists on it
        body = params["body"].encode() if isinstance(params["body"], str) else params["body"]
        params["headers"]["Content-MD5"] = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()

    bucket.client.meta.events.register("before-call.s3.PutBucketLifecycleConfiguration", with_md5)
    bucket.client.put_bucket_lifecycle_configuration(
        Bucket=bucket.bucket, LifecycleConfiguration={"Rules": [rule]}  # type: ignore[typeddict-item]
    )


def test_a_bucket_that_is_as_it_should_be(uploads: Uploads) -> None:
    found = precheck(uploads)
    assert found == f"bucket {uploads.here.bucket} and its replica {uploads.there.bucket} keep versions"


@pytest.mark.parametrize("versioned", [(False, True), (True, False)])
def test_without_versions_nothing_could_come_back(
    make_uploads: Callable[..., Uploads], versioned: tuple[bool, bool]
) -> None:
    uploads = make_uploads(versioned=versioned)
    bucket = uploads.there if versioned[0] else uploads.here
    refusal = f"versioning of bucket {bucket.bucket} is never switched on"
    with pytest.raises(SourceError, match=refusal):
        precheck(uploads)
    with pytest.raises(SourceError, match=refusal):
        uploads.place.back_up()
    assert uploads.place.backups() == []


def test_suspended_versioning_is_refused_also_before_putting_back(uploads: Uploads) -> None:
    uploads.put("key", b"good")
    backup = uploads.place.back_up()
    uploads.put("key", b"bad!")
    uploads.s3.put_bucket_versioning(Bucket=uploads.here.bucket, VersioningConfiguration={"Status": "Suspended"})
    with pytest.raises(SourceError, match="is Suspended"):
        precheck(uploads)
    with pytest.raises(SourceError, match="is Suspended"):
        uploads.place.verbs.put_back(uploads.place.workspace, backup, leave="depot/uploads")
    assert uploads.content() == {"key": b"bad!"}


def test_rules_that_throw_versions_away_too_early_are_named(uploads: Uploads) -> None:
    expire(uploads.here, 3)
    found = precheck(uploads)
    assert f"{uploads.here.bucket} throws versions away before the 7 days of its backups: rule tidy" in found
    expire(uploads.there, 30)
    assert f"{uploads.there.bucket} throws" not in precheck(uploads)
    expire(uploads.there, 6)
    with pytest.raises(SourceError, match="backups are to be kept for 7 days, but versions go sooner"):
        precheck(uploads)


def test_uploads_in_progress_are_named(uploads: Uploads) -> None:
    uploads.begin("half\nway", b"x" * 100)
    assert "uploads in progress are in no backup before they are complete: 'half\\nway' since" in precheck(uploads)


def test_a_replica_that_is_the_bucket_itself_is_refused(make_uploads: Callable[..., Uploads]) -> None:
    uploads = make_uploads()
    source = uploads.place.source
    replica = source.replica.model_copy(update={"connection": source.connection, "bucket": source.bucket})
    site = uploads.place.verbs.site(
        uploads.place.workspace, uploads.place.system, source.model_copy(update={"replica": replica})
    )
    with pytest.raises(SourceError, match="is its own replica"):
        uploads.place.impl.precheck(site)


def test_a_wrong_secret_is_refused_and_never_shown(make_uploads: Callable[..., Uploads]) -> None:
    uploads = make_uploads(offsite={"password": "wrongwrongwrong"})
    with pytest.raises(LifeboatError) as refused:
        precheck(uploads)
    assert isinstance(refused.value, InsufficientRights)
    assert uploads.there.bucket in str(refused.value)
    assert "wrongwrongwrong" not in str(refused.value)


def test_a_service_that_is_not_there_is_worth_another_try(
    make_uploads: Callable[..., Uploads], wire: Callable[[str], Wire], impatient: None
) -> None:
    line = wire("offsite")
    uploads = make_uploads(offsite={"extra": {"endpoint_url": line.endpoint}})
    line.cut()
    with pytest.raises(SourceUnavailable, match="does not answer"):
        precheck(uploads)
