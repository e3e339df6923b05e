"""What would keep a backup of a bucket from being one, found before it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from include.recovery.errors import InsufficientRights, SourceError, SourceUnavailable, StoreError, StoreUnavailable
from include.recovery.objects.bucket import Bucket
from include.recovery.objects.places import places

if TYPE_CHECKING:
    from include.recovery.content.port import Site
    from include.recovery.policy.source_kinds.objects import ObjectsSource

_NAMED = 5
_NO_RULES = "NoSuchLifecycleConfiguration"


def precheck(site: Site[ObjectsSource]) -> str:
    """What it found, in a clause.

    :raises SourceUnavailable: when bucket or replica cannot be reached.
    :raises InsufficientRights: when its user may not read what a backup reads.
    :raises SourceError: when one does not keep versions; when both are one; when both throw versions away sooner than
        the policy promises to keep backups.
    """
    source = site.source
    here, there = places(site)
    names = (source.connection, source.replica.connection)
    if here.bucket == there.bucket and len({site.connection(each).extra.get("endpoint_url") for each in names}) == 1:
        raise SourceError(f"{site.name}: bucket {here.bucket} is its own replica; name a bucket in another region")
    for bucket in (here, there):
        refuse_unversioned(bucket)
    reach = max((tier.keep.reach for tier in site.system.tiers_of(source)), default=timedelta())
    early = {bucket.bucket: list(_early(bucket, source.prefix, reach)) for bucket in (here, there)}
    if all(early.values()):
        raise SourceError(
            f"{site.name}: backups are to be kept for {reach.days} days, but versions go sooner from the bucket "
            f"({'; '.join(early[here.bucket])}) and from its replica too ({'; '.join(early[there.bucket])}); keep "
            "noncurrent versions of the replica for longer than backups"
        )
    told = [f"bucket {here.bucket} and its replica {there.bucket} keep versions"]
    for name, rules in early.items():
        told += [f"{name} throws versions away before the {reach.days} days of its backups: {rule}" for rule in rules]
    try:
        uploads = [f"{upload.key!r} since {upload.started:%Y-%m-%d %H:%M}" for upload in here.unfinished(source.prefix)]
    except StoreError as error:
        raise InsufficientRights(
            f"{site.name}: uploads in progress cannot be listed, so what comes of them could not be told from what was "
            f"there before; grant s3:ListBucketMultipartUploads: {error}"
        ) from error
    if uploads:
        more = f" and {len(uploads) - _NAMED} more" if len(uploads) > _NAMED else ""
        named = ", ".join(uploads[:_NAMED]) + more
        told.append(f"uploads in progress are in no backup before they are complete: {named}")
    return "; ".join(told)


def refuse_unversioned(bucket: Bucket) -> None:
    """Nothing, where the bucket keeps versions.

    :raises SourceError: else: what is overwritten or deleted there could not come back.
    :raises SourceUnavailable, InsufficientRights: when that cannot be asked.
    """
    try:
        with bucket._answers(""):
            answer: Any = bucket.client.get_bucket_versioning(Bucket=bucket.bucket)
    except StoreUnavailable as error:
        raise SourceUnavailable(str(error)) from error
    except StoreError as error:
        if _is_forbidden(error):
            raise InsufficientRights(
                f"{bucket.name}: bucket {bucket.bucket} does not let this user in; look at its connection's keys, and "
                f"grant s3:GetBucketVersioning, s3:ListBucketVersions and s3:GetObjectVersion: {error}"
            ) from error
        raise SourceError(f"{bucket.name}: bucket {bucket.bucket} cannot be used: {error}") from error
    status = answer.get("Status", "never switched on")
    if status != "Enabled":
        raise SourceError(
            f"{bucket.name}: versioning of bucket {bucket.bucket} is {status}, so a deleted or overwritten object "
            f"could not come back; switch it on: aws s3api put-bucket-versioning --bucket {bucket.bucket} "
            "--versioning-configuration Status=Enabled"
        )


def _is_forbidden(error: StoreError) -> bool:
    response = getattr(error.__cause__, "response", {})
    return bool(response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 403)


def _early(bucket: Bucket, prefix: str, reach: timedelta) -> Iterator[str]:
    """The rules that throw versions away sooner than that."""
    try:
        with bucket._answers(""):
            answer: Any = bucket.client.get_bucket_lifecycle_configuration(Bucket=bucket.bucket)
    except StoreError as error:
        if _NO_RULES in str(error):
            return
        raise InsufficientRights(
            f"{bucket.name}: the lifecycle rules of bucket {bucket.bucket} cannot be read, so nobody knows how long it "
            f"keeps versions; grant s3:GetLifecycleConfiguration: {error}"
        ) from error
    for rule in answer.get("Rules", ()):
        days = rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")
        filtered = rule.get("Filter", {})
        below = rule.get("Prefix") or filtered.get("Prefix") or filtered.get("And", {}).get("Prefix") or ""
        touches = below.startswith(prefix) or prefix.startswith(below)
        if rule.get("Status") == "Enabled" and days is not None and touches and timedelta(days=days) < reach:
            yield f"rule {rule.get('ID', 'without a name')} expires noncurrent versions after {days} days"
